/* From posteriors to detections: smoothing, thresholds, refractory time. All in integers, so that
 * Python's Trigger decides the same to the last bit, and so do both applications, the one with
 * TensorFlow Lite Micro and the bare one. */
#ifndef KWS_TRIGGER_H_
#define KWS_TRIGGER_H_

#include <stdint.h>

#include "kws_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A keyword that the trigger let through. */
typedef struct {
  int label;   /* index into kws_labels, -1 for none */
  float score; /* smoothed posterior, 0 to 1 */
} kws_detection_t;

typedef struct {
  uint32_t decisions;         /* since the last reset */
  uint32_t refractory_hops;   /* until there can be a detection again */
  uint16_t sums[KWS_CLASSES]; /* of the history, in 256ths */
  uint8_t history[KWS_SMOOTHING_DECISIONS][KWS_CLASSES]; /* 256 * posterior */
} kws_trigger_t;

/* Forgets all posteriors and detections. Must be called before the first use. */
void kws_trigger_reset(kws_trigger_t *trigger);

/* Tells that a hop has passed. */
void kws_trigger_hop(kws_trigger_t *trigger);

/* Takes the output of a decision, 256 * posterior - 128 of each class. */
kws_detection_t kws_trigger_decide(kws_trigger_t *trigger, const int8_t *output);

#ifdef __cplusplus
}
#endif

#endif /* KWS_TRIGGER_H_ */
