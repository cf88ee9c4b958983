#include "kws_spotter.h"

#include <string.h>

#include "kws_classifier.h"
#include "kws_lstm_data.h"

const char *kws_status_text(kws_status_t status) {
  switch (status) {
    case KWS_OK:
      return "ok";
    case KWS_NOT_INITIALISED:
      return "kws_spotter_init has not been called or has failed";
    case KWS_MODEL:
      return "the model's sizes are not those of kws_config.h: export anew";
    case KWS_BAD_ARGUMENT:
      return "a null pointer was given";
  }
  return "unknown status";
}

kws_status_t kws_spotter_init(kws_spotter_t *spotter) {
  if (spotter == NULL) return KWS_BAD_ARGUMENT;
  memset(spotter, 0, sizeof *spotter);
  if (kws_lstm.inputs != KWS_FEATURES || kws_lstm.units != KWS_UNITS ||
      kws_classifier.units != KWS_UNITS || kws_classifier.classes != KWS_CLASSES ||
      kws_lstm_init(&kws_lstm, &spotter->lstm, spotter->lstm_memory) != 0) {
    return KWS_MODEL;
  }
  spotter->ready = 1;
  return kws_spotter_reset(spotter);
}

kws_status_t kws_spotter_reset(kws_spotter_t *spotter) {
  if (spotter == NULL) return KWS_BAD_ARGUMENT;
  if (!spotter->ready) return KWS_NOT_INITIALISED;
  kws_frontend_reset(&spotter->frontend);
  kws_trigger_reset(&spotter->trigger);
  spotter->next_row = spotter->rows_seen = spotter->hops_to_decision = 0;
  return KWS_OK;
}

/* Runs the model over the window, a ring whose oldest row is `oldest`. */
static void classify_ring(kws_spotter_t *spotter, const int8_t *rows, uint32_t oldest) {
  int8_t logits[KWS_CLASSES];
  kws_lstm_reset(&kws_lstm, &spotter->lstm);
  for (uint32_t n = 0; n < KWS_FRAMES; ++n) {
    const uint32_t row = oldest + n < KWS_FRAMES ? oldest + n : oldest + n - KWS_FRAMES;
    kws_lstm_step(&kws_lstm, &spotter->lstm, rows + row * KWS_FEATURES);
  }
  kws_classifier_logits(&kws_classifier, spotter->lstm.hidden, logits);
  kws_classifier_softmax(&kws_classifier, logits, spotter->output);
}

kws_status_t kws_spotter_feed(kws_spotter_t *spotter, const int16_t *samples, size_t count,
                              kws_detection_t *detection) {
  if (spotter == NULL || (samples == NULL && count > 0) || detection == NULL) {
    return KWS_BAD_ARGUMENT;
  }
  if (!spotter->ready) return KWS_NOT_INITIALISED;
  detection->label = -1;
  detection->score = 0.0f;
  while (count > 0) {
    const size_t taken = kws_frontend_feed(&spotter->frontend, samples, count);
    samples += taken;
    count -= taken;
    if (!kws_frontend_row(&spotter->frontend, spotter->rows + spotter->next_row * KWS_FEATURES)) {
      continue;
    }
    spotter->next_row = spotter->next_row + 1 < KWS_FRAMES ? spotter->next_row + 1 : 0;
    if (spotter->rows_seen < KWS_FRAMES) ++spotter->rows_seen;
    kws_trigger_hop(&spotter->trigger);
    if (spotter->hops_to_decision > 0) --spotter->hops_to_decision;
    if (spotter->rows_seen < KWS_FRAMES || spotter->hops_to_decision > 0) continue;
    spotter->hops_to_decision = KWS_DECISION_HOPS;
    classify_ring(spotter, spotter->rows, spotter->next_row);
    const kws_detection_t now = kws_trigger_decide(&spotter->trigger, spotter->output);
    if (now.label >= 0) *detection = now;
  }
  return KWS_OK;
}

kws_status_t kws_spotter_classify_example(kws_spotter_t *spotter, const int16_t *samples,
                                          size_t count) {
  if (spotter == NULL || (samples == NULL && count > 0)) return KWS_BAD_ARGUMENT;
  const kws_status_t status = kws_spotter_reset(spotter);
  if (status != KWS_OK) return status;
  kws_frontend_example(&spotter->frontend, samples, count, spotter->rows);
  classify_ring(spotter, spotter->rows, 0);
  return KWS_OK;
}

kws_status_t kws_spotter_classify(kws_spotter_t *spotter, const int8_t *features) {
  if (spotter == NULL || features == NULL) return KWS_BAD_ARGUMENT;
  if (!spotter->ready) return KWS_NOT_INITIALISED;
  classify_ring(spotter, features, 0);
  return KWS_OK;
}

int kws_spotter_label(const kws_spotter_t *spotter) {
  int best = 0;
  for (int i = 1; i < KWS_CLASSES; ++i) {
    if (spotter->output[i] > spotter->output[best]) best = i;
  }
  return best;
}
