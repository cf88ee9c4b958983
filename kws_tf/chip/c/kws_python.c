/* What Python calls: the spotter over many examples, and over a stream. Not exported. */
#include "kws_spotter.h"

extern const size_t kws_spotter_size;
extern const size_t kws_frontend_size;
const size_t kws_spotter_size = sizeof(kws_spotter_t);
const size_t kws_frontend_size = sizeof(kws_frontend_t);

int kws_run_examples(kws_spotter_t *spotter, const int16_t *samples, size_t count, int8_t *outputs);
int kws_run_features(kws_spotter_t *spotter, const int8_t *features, size_t count, int8_t *outputs);
size_t kws_run_frontend(kws_frontend_t *frontend, const int16_t *samples, size_t count,
                        int8_t *rows);
int kws_listen(kws_spotter_t *spotter, const int16_t *samples, size_t count, int *label,
               float *score);

static void copy_output(const kws_spotter_t *spotter, int8_t *to) {
  for (int i = 0; i < KWS_CLASSES; ++i) to[i] = spotter->output[i];
}

int kws_run_examples(kws_spotter_t *spotter, const int16_t *samples, size_t count,
                     int8_t *outputs) {
  kws_status_t status = kws_spotter_init(spotter);
  for (size_t n = 0; n < count && status == KWS_OK; ++n) {
    status = kws_spotter_classify_example(spotter, samples + n * KWS_EXAMPLE_SAMPLES,
                                          KWS_EXAMPLE_SAMPLES);
    copy_output(spotter, outputs + n * KWS_CLASSES);
  }
  return (int)status;
}

int kws_run_features(kws_spotter_t *spotter, const int8_t *features, size_t count,
                     int8_t *outputs) {
  kws_status_t status = kws_spotter_init(spotter);
  for (size_t n = 0; n < count && status == KWS_OK; ++n) {
    status = kws_spotter_classify(spotter, features + n * KWS_FRAMES * KWS_FEATURES);
    copy_output(spotter, outputs + n * KWS_CLASSES);
  }
  return (int)status;
}

/* All rows whose window lies within the samples; returns how many. */
size_t kws_run_frontend(kws_frontend_t *frontend, const int16_t *samples, size_t count,
                        int8_t *rows) {
  size_t made = 0;
  kws_frontend_reset(frontend);
  while (count > 0) {
    const size_t taken = kws_frontend_feed(frontend, samples, count);
    samples += taken;
    count -= taken;
    if (kws_frontend_row(frontend, rows + made * KWS_FEATURES)) ++made;
  }
  return made;
}

int kws_listen(kws_spotter_t *spotter, const int16_t *samples, size_t count, int *label,
               float *score) {
  kws_detection_t detection = {-1, 0.0f};
  const kws_status_t status = kws_spotter_feed(spotter, samples, count, &detection);
  *label = detection.label;
  *score = detection.score;
  return (int)status;
}
