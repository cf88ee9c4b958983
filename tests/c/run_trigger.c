/* Runs kws_trigger.c over the outputs of a stream, for tests/test_trigger.py. */
#include <stddef.h>

#include "kws_trigger.h"

size_t run_trigger(const int8_t *outputs, size_t decisions, int32_t *at, int32_t *labels,
                   float *scores);

size_t run_trigger(const int8_t *outputs, size_t decisions, int32_t *at, int32_t *labels,
                   float *scores) {
  kws_trigger_t trigger;
  size_t found = 0;
  kws_trigger_reset(&trigger);
  for (size_t n = 0; n < decisions; ++n) {
    for (int hop = 0; hop < KWS_DECISION_HOPS; ++hop) kws_trigger_hop(&trigger);
    const kws_detection_t detection = kws_trigger_decide(&trigger, outputs + n * KWS_CLASSES);
    if (detection.label < 0) continue;
    at[found] = (int32_t)n;
    labels[found] = detection.label;
    scores[found++] = detection.score;
  }
  return found;
}
