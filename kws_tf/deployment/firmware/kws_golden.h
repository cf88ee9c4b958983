/* Golden vectors: examples with what Python computes of them, and the check of a build against
 * it. */
#ifndef KWS_GOLDEN_H_
#define KWS_GOLDEN_H_

#include "kws_frontend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const char *name;
  const int16_t *samples;  /* KWS_EXAMPLE_SAMPLES */
  const float *features;   /* normalised, KWS_FRAMES * KWS_FEATURES */
  const int8_t *input;     /* the same, quantized */
  const int8_t *output;    /* KWS_CLASSES values, by TFLite Micro's reference kernels */
  int label;               /* index into kws_labels */
} kws_golden_t;

extern const kws_golden_t kws_golden[KWS_GOLDEN_EXAMPLES];

typedef struct {
  unsigned values;
  unsigned different;  /* int8 values that are not Python's */
  int largest;         /* difference */
  float worst;         /* distance of a value from Python's float feature beyond rounding, steps */
} kws_golden_result_t;

/* Feeds a golden example through the front end hop by hop, as a board does. Writes the features and
 * how they compare; returns whether the front end passes: no value off by more than 1, at most
 * 0.5 % off at all, none further from the float feature than rounding and 0.02 steps. */
bool kws_golden_check(const kws_golden_t *golden, kws_frontend_t *frontend, int8_t *features,
                      kws_golden_result_t *result);

#ifdef __cplusplus
}
#endif

#endif /* KWS_GOLDEN_H_ */
