/* Counts instructions and stack on QEMU's mps2 machines under -icount shift=0. */
#ifndef KWS_MPS2_H_
#define KWS_MPS2_H_

#ifdef __cplusplus
extern "C" {
#endif

void mps2_start(void);
unsigned long mps2_instructions(void); /* since mps2_start */
unsigned long mps2_stack(void);        /* bytes of stack that calls have taken since then */

#ifdef __cplusplus
}
#endif

#endif
