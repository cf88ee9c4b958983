#include "kws_trigger.h"

#include <string.h>

#include "kws_labels.h"

void kws_trigger_reset(kws_trigger_t *trigger) { memset(trigger, 0, sizeof *trigger); }

void kws_trigger_hop(kws_trigger_t *trigger) {
  if (trigger->refractory_hops > 0) --trigger->refractory_hops;
}

kws_detection_t kws_trigger_decide(kws_trigger_t *trigger, const float *posteriors) {
  kws_detection_t detection = {-1, 0.0f};
  float *row = trigger->history[trigger->decisions % KWS_SMOOTHING_DECISIONS];
  memcpy(row, posteriors, sizeof trigger->history[0]);
  ++trigger->decisions;
  const uint32_t averaged = trigger->decisions < KWS_SMOOTHING_DECISIONS
                                ? trigger->decisions
                                : (uint32_t)KWS_SMOOTHING_DECISIONS;
  int best = -1;
  for (int i = 0; i < KWS_CLASSES; ++i) {
    float sum = 0.0f;
    for (uint32_t k = 0; k < averaged; ++k) sum += trigger->history[k][i];
    trigger->smoothed[i] = sum / (float)averaged;
    if (kws_is_keyword[i] && (best < 0 || trigger->smoothed[i] > trigger->smoothed[best])) best = i;
  }
  if (best >= 0 && averaged == KWS_SMOOTHING_DECISIONS && trigger->refractory_hops == 0 &&
      trigger->smoothed[best] >= KWS_TRIGGER_THRESHOLD) {
    detection.label = best;
    detection.score = trigger->smoothed[best];
    trigger->refractory_hops = KWS_REFRACTORY_HOPS;
  }
  return detection;
}
