/* The last layer and its softmax, as TensorFlow Lite Micro's reference kernels (and CMSIS-NN)
 * compute FULLY_CONNECTED and SOFTMAX of int8. C99, no heap, no state. */
#ifndef KWS_CLASSIFIER_H_
#define KWS_CLASSIFIER_H_

#include <stdint.h>

#include "kws_lstm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint16_t units;
  uint16_t classes;
  const int8_t *weights;       /* [classes][units] */
  const int32_t *biases;       /* [classes], the hidden state's zero point folded in */
  const kws_factor_t *factors; /* [classes]; to the logits' scale */
  int32_t zero_point;          /* of the logits */
  int32_t softmax_multiplier;  /* of a difference of logits, to Q5.26 */
  int32_t softmax_left;
  int32_t softmax_smallest; /* differences below it count as an exponential of 0 */
} kws_classifier_t;

/* Computes the logits of a hidden state. */
void kws_classifier_logits(const kws_classifier_t *classifier, const int16_t *hidden,
                           int8_t *logits);

/* Computes the softmax: 256 * posterior - 128, saturated. */
void kws_classifier_softmax(const kws_classifier_t *classifier, const int8_t *logits,
                            int8_t *posteriors);

#ifdef __cplusplus
}
#endif

#endif /* KWS_CLASSIFIER_H_ */
