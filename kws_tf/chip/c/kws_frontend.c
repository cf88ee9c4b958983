#include "kws_frontend.h"

#include <math.h>
#include <string.h>

/* Normalises, quantizes and saturates one feature. lrintf rounds halves to even, as Python does. */
static int8_t quantized(float value, int feature) {
  const float steps = value * kws_gain[feature] + kws_bias[feature];
  if (steps <= (float)KWS_INPUT_MIN) return KWS_INPUT_MIN;
  if (steps >= (float)KWS_INPUT_MAX) return KWS_INPUT_MAX;
  return (int8_t)lrintf(steps);
}

/* Replaces the packed spectrum by the power of bins 0 ... KWS_BINS - 1. */
static void power_in_place(float *x) {
#if KWS_BINS > KWS_FFT_LENGTH / 2
  const float nyquist = x[1];
#endif
  x[0] *= x[0];
  for (size_t k = 1; k < KWS_BINS && k < KWS_FFT_LENGTH / 2; ++k) {
    x[k] = x[2 * k] * x[2 * k] + x[2 * k + 1] * x[2 * k + 1];
  }
#if KWS_BINS > KWS_FFT_LENGTH / 2
  x[KWS_FFT_LENGTH / 2] = nyquist * nyquist;
#endif
}

static void window_to_row(kws_frontend_t *frontend, int8_t *row) {
  float *x = frontend->buffer;
  for (size_t i = 0; i < KWS_WINDOW; ++i) {
    /* The periodic Hann window is symmetric about its middle. */
    x[i] = (float)frontend->samples[i] * kws_window[i <= KWS_WINDOW / 2 ? i : KWS_WINDOW - i];
  }
  for (size_t i = KWS_WINDOW; i < KWS_FFT_LENGTH; ++i) x[i] = 0.0f;
  kws_rfft(x);
  power_in_place(x);

  const float *weight = kws_mel_weights;
  for (int band = 0; band < KWS_BANDS; ++band) {
    const float *power = x + kws_bands[band].first;
    float sum = 0.0f;
    for (size_t n = kws_bands[band].count; n > 0; --n) sum += *weight++ * *power++;
    float value = logf(sum + KWS_OFFSET);
    if (value < KWS_FLOOR) value = KWS_FLOOR;
    if (value > KWS_CEILING) value = KWS_CEILING;
    frontend->bands[band] = value;
  }

  for (int feature = 0; feature < KWS_FEATURES; ++feature) {
#if KWS_COEFFICIENTS
    float value = 0.0f;
    for (int band = 0; band < KWS_BANDS; ++band) {
      value += frontend->bands[band] * kws_dct[feature * KWS_BANDS + band];
    }
    row[feature] = quantized(value, feature);
#else
    row[feature] = quantized(frontend->bands[feature], feature);
#endif
  }
}

void kws_frontend_reset(kws_frontend_t *frontend) { memset(frontend, 0, sizeof *frontend); }

size_t kws_frontend_feed(kws_frontend_t *frontend, const int16_t *samples, size_t count) {
  const size_t room = KWS_WINDOW - frontend->filled;
  const size_t taken = count < room ? count : room;
  if (taken > 0) {
    memcpy(frontend->samples + frontend->filled, samples, taken * sizeof *samples);
    frontend->filled += taken;
  }
  return taken;
}

bool kws_frontend_row(kws_frontend_t *frontend, int8_t *row) {
  if (frontend->filled < KWS_WINDOW) return false;
  window_to_row(frontend, row);
  frontend->filled = KWS_WINDOW - KWS_HOP;
  memmove(frontend->samples, frontend->samples + KWS_HOP,
          frontend->filled * sizeof frontend->samples[0]);
  return true;
}

void kws_frontend_example(kws_frontend_t *frontend, const int16_t *samples, size_t count,
                          int8_t *features) {
  if (count > KWS_EXAMPLE_SAMPLES) count = KWS_EXAMPLE_SAMPLES;
  for (size_t frame = 0; frame < KWS_FRAMES; ++frame) {
    const size_t start = frame * KWS_HOP;
    kws_frontend_reset(frontend);
    if (start < count) kws_frontend_feed(frontend, samples + start, count - start);
    window_to_row(frontend, features + frame * KWS_FEATURES);
  }
  kws_frontend_reset(frontend);
}
