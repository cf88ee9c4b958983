/* From posteriors to detections: smoothing, threshold, refractory time. Python's Trigger does the
 * same, and so do both applications, the one with TensorFlow Lite Micro and the bare one. */
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
  float history[KWS_SMOOTHING_DECISIONS][KWS_CLASSES];
  float smoothed[KWS_CLASSES]; /* of the last decision */
  uint32_t decisions;          /* since the last reset */
  uint32_t refractory_hops;    /* until there can be a detection again */
} kws_trigger_t;

/* Forgets all posteriors and detections. Must be called before the first use. */
void kws_trigger_reset(kws_trigger_t *trigger);

/* Tells that a hop has passed. */
void kws_trigger_hop(kws_trigger_t *trigger);

/* Takes the posteriors of a decision. */
kws_detection_t kws_trigger_decide(kws_trigger_t *trigger, const float *posteriors);

#ifdef __cplusplus
}
#endif

#endif /* KWS_TRIGGER_H_ */
