#include "kws_golden.h"

#include <math.h>
#include <stdlib.h>

bool kws_golden_check(const kws_golden_t *golden, kws_frontend_t *frontend, int8_t *features,
                      kws_golden_result_t *result) {
  size_t rows = 0;
  kws_frontend_reset(frontend);
  for (size_t start = 0; start < KWS_EXAMPLE_SAMPLES && rows < KWS_FRAMES;) {
    const size_t left = KWS_EXAMPLE_SAMPLES - start;
    start += kws_frontend_feed(frontend, golden->samples + start, left < KWS_HOP ? left : KWS_HOP);
    if (kws_frontend_row(frontend, features + rows * KWS_FEATURES)) ++rows;
  }
  result->values = KWS_FRAMES * KWS_FEATURES;
  result->different = 0;
  result->largest = 0;
  result->worst = 0.0f;
  for (size_t i = 0; i < rows * KWS_FEATURES; ++i) {
    const int difference = abs(features[i] - golden->input[i]);
    if (difference != 0) ++result->different;
    if (difference > result->largest) result->largest = difference;
    if (features[i] > KWS_INPUT_MIN && features[i] < KWS_INPUT_MAX) {
      const float steps = golden->features[i] / KWS_INPUT_SCALE;
      const float beyond = fabsf((float)features[i] - steps) - 0.5f;
      if (beyond > result->worst) result->worst = beyond;
    }
  }
  return rows == KWS_FRAMES && result->largest <= 1 && result->worst <= 0.02f &&
         200 * result->different <= result->values;
}
