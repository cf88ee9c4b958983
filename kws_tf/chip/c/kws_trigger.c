#include "kws_trigger.h"

#include <string.h>

#include "kws_labels.h"

static const uint16_t least_sums[KWS_CLASSES] = KWS_LEAST_SUMS;

void kws_trigger_reset(kws_trigger_t *trigger) { memset(trigger, 0, sizeof *trigger); }

void kws_trigger_hop(kws_trigger_t *trigger) {
  if (trigger->refractory_hops > 0) --trigger->refractory_hops;
}

kws_detection_t kws_trigger_decide(kws_trigger_t *trigger, const int8_t *output) {
  kws_detection_t detection = {-1, 0.0f};
  uint8_t *row = trigger->history[trigger->decisions % KWS_SMOOTHING_DECISIONS];
  int best = -1;
  for (int i = 0; i < KWS_CLASSES; ++i) {
    const uint8_t posterior = (uint8_t)(output[i] + 128);
    trigger->sums[i] = (uint16_t)(trigger->sums[i] - row[i] + posterior);
    row[i] = posterior;
    if (kws_is_keyword[i] && (best < 0 || trigger->sums[i] > trigger->sums[best])) best = i;
  }
  ++trigger->decisions;
  if (best >= 0 && trigger->decisions >= KWS_SMOOTHING_DECISIONS && trigger->refractory_hops == 0 &&
      trigger->sums[best] >= least_sums[best]) {
    detection.label = best;
    detection.score = (float)trigger->sums[best] / (256.0f * KWS_SMOOTHING_DECISIONS);
    trigger->refractory_hops = KWS_REFRACTORY_HOPS;
  }
  return detection;
}
