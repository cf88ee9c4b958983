/* Radix-2 real FFT: N real points as N/2 complex ones, then split. Portable and small; see
 * kws_fft_cmsis.c for a faster one on boards with CMSIS-DSP. */
#include "kws_frontend.h"

#define HALF (KWS_FFT_LENGTH / 2)

/* cos and sin of 2 pi k / N for k = 0 ... N/2, from one table. */
static float cosine(size_t k) { return kws_cosine[k]; }
static float sine(size_t k) {
  return kws_cosine[k < KWS_FFT_LENGTH / 4 ? KWS_FFT_LENGTH / 4 - k : k - KWS_FFT_LENGTH / 4];
}

static void swap(float *a, float *b) {
  const float kept = *a;
  *a = *b;
  *b = kept;
}

static void complex_fft(float *x) {
  for (size_t i = 1, j = 0; i < HALF; ++i) { /* bit-reversed order */
    size_t bit = HALF / 2;
    for (; j & bit; bit /= 2) j ^= bit;
    j ^= bit;
    if (i < j) {
      swap(x + 2 * i, x + 2 * j);
      swap(x + 2 * i + 1, x + 2 * j + 1);
    }
  }
  for (size_t i = 0; i < 2 * HALF; i += 4) { /* the first stage needs no products */
    const float re = x[i + 2], im = x[i + 3];
    x[i + 2] = x[i] - re;
    x[i + 3] = x[i + 1] - im;
    x[i] += re;
    x[i + 1] += im;
  }
  for (size_t span = 2; span < HALF; span *= 2) {
    for (size_t k = 0; k < span; ++k) {
      const float c = cosine(k * (HALF / span)), s = sine(k * (HALF / span));
      for (size_t i = 2 * k; i < 2 * HALF; i += 4 * span) {
        float *a = x + i, *b = x + i + 2 * span;
        const float re = c * b[0] + s * b[1], im = c * b[1] - s * b[0];
        b[0] = a[0] - re;
        b[1] = a[1] - im;
        a[0] += re;
        a[1] += im;
      }
    }
  }
}

void kws_rfft(float *x) {
  complex_fft(x);
  const float first = x[0];
  x[0] = first + x[1];
  x[1] = first - x[1];
  for (size_t k = 1; k <= HALF / 2; ++k) { /* even and odd samples' spectra, then their sum */
    float *a = x + 2 * k, *b = x + 2 * (HALF - k);
    const float even_re = 0.5f * (a[0] + b[0]), even_im = 0.5f * (a[1] - b[1]);
    const float odd_re = 0.5f * (a[1] + b[1]), odd_im = 0.5f * (b[0] - a[0]);
    const float c = cosine(k), s = sine(k);
    const float re = c * odd_re + s * odd_im, im = c * odd_im - s * odd_re;
    a[0] = even_re + re;
    a[1] = even_im + im;
    b[0] = even_re - re;
    b[1] = im - even_im;
  }
}
