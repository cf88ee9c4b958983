/* The FFT by CMSIS-DSP; compile this file instead of kws_fft.c (cmake -DKWS_FFT=cmsis). Needs
 * KWS_FFT_LENGTH * 4 bytes more of stack: arm_rfft_fast_f32 does not work in place. */
#include <string.h>

#include "arm_math.h"
#include "kws_frontend.h"

void kws_rfft(float *x) {
  arm_rfft_fast_instance_f32 instance;
  float spectrum[KWS_FFT_LENGTH];
  /* Only sets pointers to constant tables; fails for lengths other than 32 ... 4096. */
  if (arm_rfft_fast_init_f32(&instance, KWS_FFT_LENGTH) != ARM_MATH_SUCCESS) {
    memset(x, 0, KWS_FFT_LENGTH * sizeof *x);
    return;
  }
  arm_rfft_fast_f32(&instance, x, spectrum, 0);
  memcpy(x, spectrum, sizeof spectrum);
}
