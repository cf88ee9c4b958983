/* Start-up code and an instruction counter for QEMU's mps2-an386 and its sisters.
 *
 * Under "-icount shift=0" QEMU's clock moves on by exactly 1 ns an instruction, and the SysTick
 * timer counts down at 25 MHz of that clock: one tick is 40 instructions. mps2_start first times a
 * loop of a known number of instructions, so that a machine with another clock is right, too. */
#include "mps2.h"

#include <stdint.h>
#include <stdlib.h>

extern uint32_t _data_load, _data, _data_end, _bss, _bss_end, _stack;
int main(void);
void initialise_monitor_handles(void); /* newlib's semihosting */
void __libc_init_array(void);          /* C++ constructors */
void _init(void);
void _fini(void);

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define CPACR (*(volatile uint32_t *)0xE000ED88u)

void Reset_Handler(void);
void Fault_Handler(void);

void Reset_Handler(void) {
#ifdef __ARM_FP
  CPACR |= 0xFu << 20; /* full access to the FPU */
  __asm volatile("dsb\n isb" ::: "memory");
#endif
  const uint32_t *from = &_data_load;
  for (uint32_t *to = &_data; to < &_data_end;) *to++ = *from++;
  for (uint32_t *to = &_bss; to < &_bss_end;) *to++ = 0;
  initialise_monitor_handles();
  __libc_init_array();
  exit(main());
}

/* Of crtbegin.o, which -nostartfiles leaves out: what static objects' destructors belong to. */
void *__dso_handle = 0;

void _init(void) {} /* __libc_init_array and exit call them */
void _fini(void) {}

void Fault_Handler(void) { _Exit(3); }

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))(uintptr_t)&_stack,
    Reset_Handler,
    Fault_Handler, /* NMI */
    Fault_Handler, /* hard fault */
    Fault_Handler, /* memory management */
    Fault_Handler, /* bus */
    Fault_Handler, /* usage */
};

#define LOOPS 100000u

static uint32_t started, loop_ticks;

static uint32_t elapsed(void) { return (started - SYST_CVR) & 0xFFFFFFu; }

static void restart(void) {
  SYST_RVR = 0xFFFFFFu;
  SYST_CVR = 0;
  SYST_CSR = 5; /* on, processor clock, no interrupt */
  started = SYST_CVR;
}

/* The stack below the caller is painted, and later searched for the lowest word that changed. */
#define PAINT 0xC5C5C5C5u
#define PAINTED 16384u /* words */

static volatile uint32_t *painted_from;

static volatile uint32_t *stack_pointer(void) {
  volatile uint32_t *pointer;
  __asm volatile("mov %0, sp" : "=r"(pointer));
  return pointer;
}

void mps2_start(void) {
  uint32_t loops = LOOPS;
  painted_from = stack_pointer();
  for (uint32_t i = 1; i <= PAINTED; ++i) painted_from[-(int)i] = PAINT;
  restart();
  __asm volatile(".syntax unified\n1: subs %0, %0, #1\n bne 1b" : "+l"(loops) : : "cc");
  loop_ticks = elapsed();
  restart();
}

unsigned long mps2_instructions(void) {
  const uint32_t ticks = elapsed();
  return loop_ticks ? (unsigned long)((uint64_t)ticks * 2u * LOOPS / loop_ticks) : 0;
}

unsigned long mps2_stack(void) {
  uint32_t words = PAINTED;
  while (words > 0 && painted_from[-(int)words] == PAINT) --words;
  return 4u * words;
}
