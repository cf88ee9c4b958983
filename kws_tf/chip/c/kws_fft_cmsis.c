/* The FFT by CMSIS-DSP (a version with an initialiser for each length); compile this file instead
 * of kws_fft.c (cmake -DKWS_FFT=cmsis). Needs KWS_FFT_LENGTH * 4 bytes more of stack, as
 * arm_rfft_fast_f32 does not work in place. */
#include <string.h>

#include "arm_math.h"
#include "kws_frontend.h"

/* The initialiser of one length links that length's tables and no others. */
#define INIT(length) INIT_(length)
#define INIT_(length) arm_rfft_fast_init_##length##_f32

void kws_rfft(float *x) {
  arm_rfft_fast_instance_f32 instance;
  float spectrum[KWS_FFT_LENGTH];
  (void)INIT(KWS_FFT_LENGTH)(&instance); /* only sets pointers to constant tables */
  arm_rfft_fast_f32(&instance, x, spectrum, 0);
  memcpy(x, spectrum, sizeof spectrum);
}
