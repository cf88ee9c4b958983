/* The bare keyword spotter: from microphone samples to a word without TensorFlow Lite Micro.
 *
 * C99, no heap, no global state: everything is in the struct, so make it static, not a local
 * variable. One struct for one thread. */
#ifndef KWS_SPOTTER_H_
#define KWS_SPOTTER_H_

#include <stddef.h>
#include <stdint.h>

#include "kws_config.h"
#include "kws_frontend.h"
#include "kws_lstm.h"
#include "kws_trigger.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  KWS_OK,
  KWS_NOT_INITIALISED, /* kws_spotter_init has not been called, or has failed */
  KWS_MODEL,           /* the model's sizes are not those of kws_config.h: export anew */
  KWS_BAD_ARGUMENT     /* a null pointer */
} kws_status_t;

typedef struct {
  uint32_t ready;
  kws_lstm_state_t lstm;
  int16_t lstm_memory[KWS_LSTM_STATE_SIZE(KWS_FEATURES, KWS_UNITS)];
  kws_frontend_t frontend;
  kws_trigger_t trigger;
  uint32_t next_row; /* of the ring below: the oldest */
  uint32_t rows_seen;
  uint32_t hops_to_decision;
  int8_t output[KWS_CLASSES]; /* of the last decision, 256 * posterior - 128 */
  int8_t rows[KWS_FRAMES * KWS_FEATURES];
} kws_spotter_t;

/* Sets up the spotter. Must be called before the first use; may be called again. */
kws_status_t kws_spotter_init(kws_spotter_t *spotter);

/* Forgets all samples, posteriors and detections. */
kws_status_t kws_spotter_reset(kws_spotter_t *spotter);

/* Takes samples as they arrive, any number. Decides every KWS_DECISION_HOPS hops on the newest
 * KWS_FRAMES frames. detection gets the last keyword triggered within these samples, or -1. */
kws_status_t kws_spotter_feed(kws_spotter_t *spotter, const int16_t *samples, size_t count,
                              kws_detection_t *detection);

/* Decides on one example, without smoothing and trigger; the result is in output. */
kws_status_t kws_spotter_classify_example(kws_spotter_t *spotter, const int16_t *samples,
                                          size_t count);

/* Decides on KWS_FRAMES * KWS_FEATURES values of model input, the oldest first. */
kws_status_t kws_spotter_classify(kws_spotter_t *spotter, const int8_t *features);

/* Index of the largest posterior of the last decision, the first of equal ones. */
int kws_spotter_label(const kws_spotter_t *spotter);

/* A short English text. */
const char *kws_status_text(kws_status_t status);

#ifdef __cplusplus
}
#endif

#endif /* KWS_SPOTTER_H_ */
