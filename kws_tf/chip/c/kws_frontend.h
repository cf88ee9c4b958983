/* Front end: 16-bit samples in, int8 model input out, one row of features per hop.
 *
 * C99, float32, no heap, no global state: the caller owns the struct. The constants are in
 * kws_config.h and kws_tables.c, both made from the model's manifest. One thread may use one
 * struct; any number of structs may be in use. */
#ifndef KWS_FRONTEND_H_
#define KWS_FRONTEND_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kws_config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int16_t samples[KWS_WINDOW]; /* the newest samples, oldest first */
  size_t filled;               /* how many of them are there */
  float buffer[KWS_FFT_LENGTH];
  float bands[KWS_BANDS];
} kws_frontend_t;

/* Empties the front end. Must be called before the first use. */
void kws_frontend_reset(kws_frontend_t *frontend);

/* Takes samples until the window is full; returns how many it took (fewer than count only when
 * the window is full). Call kws_frontend_row after each call:
 *
 *   while (count > 0) {
 *     const size_t taken = kws_frontend_feed(&frontend, samples, count);
 *     samples += taken;
 *     count -= taken;
 *     if (kws_frontend_row(&frontend, row)) use(row);
 *   }
 */
size_t kws_frontend_feed(kws_frontend_t *frontend, const int16_t *samples, size_t count);

/* When the window is full: writes KWS_FEATURES values to row, moves the window on by a hop and
 * returns true. */
bool kws_frontend_row(kws_frontend_t *frontend, int8_t *row);

/* A whole example at once: writes KWS_FRAMES * KWS_FEATURES values. A shorter one is padded with
 * zeros, of a longer one the first KWS_EXAMPLE_SAMPLES count. Leaves the front end empty. */
void kws_frontend_example(kws_frontend_t *frontend, const int16_t *samples, size_t count,
                          int8_t *features);

/* The real FFT of KWS_FFT_LENGTH points in place, packed as Re X[0], Re X[N/2], Re X[1], Im X[1],
 * Re X[2], ... Three implementations to choose from: kws_fft.c, kws_fft_cmsis.c, or a board's
 * own. */
void kws_rfft(float *x);

/* The tables (kws_tables.c). */
typedef struct {
  uint16_t first; /* FFT bin */
  uint16_t count; /* of bins with a weight */
} kws_band_t;
extern const float kws_window[KWS_WINDOW / 2 + 1]; /* first half of the window, times 2^-15 */
extern const float kws_cosine[KWS_FFT_LENGTH / 2 + 1]; /* cos(2 pi k / N) */
extern const kws_band_t kws_bands[KWS_BANDS];
extern const float kws_mel_weights[KWS_MEL_WEIGHTS]; /* band after band */
#if KWS_COEFFICIENTS
extern const float kws_dct[KWS_COEFFICIENTS * KWS_BANDS];
#endif
extern const float kws_gain[KWS_FEATURES]; /* 1 / (deviation * input scale) */
extern const float kws_bias[KWS_FEATURES]; /* -mean / (deviation * input scale) */

#ifdef __cplusplus
}
#endif

#endif /* KWS_FRONTEND_H_ */
