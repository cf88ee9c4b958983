/* Runs kws_lstm.c over examples, for tests/test_lstm_kernel.py. */
#include <stddef.h>

#include "kws_classifier.h"
#include "kws_lstm.h"

int run_lstm(const kws_lstm_t *lstm, const int8_t *inputs, size_t examples, size_t steps,
             int16_t *memory, int8_t *hidden, int16_t *cell);
void run_classifier(const kws_classifier_t *classifier, const int16_t *hidden, size_t examples,
                    int8_t *logits, int8_t *posteriors);

int run_lstm(const kws_lstm_t *lstm, const int8_t *inputs, size_t examples, size_t steps,
             int16_t *memory, int8_t *hidden, int16_t *cell) {
  kws_lstm_state_t state;
  for (size_t n = 0; n < examples; ++n) {
    if (kws_lstm_init(lstm, &state, memory) != 0) return -1;
    for (size_t step = 0; step < steps; ++step, inputs += lstm->inputs) {
      kws_lstm_step(lstm, &state, inputs);
      for (size_t unit = 0; unit < lstm->units; ++unit) *hidden++ = (int8_t)state.hidden[unit];
    }
    for (size_t unit = 0; unit < lstm->units; ++unit) *cell++ = state.cell[unit];
  }
  return 0;
}

void run_classifier(const kws_classifier_t *classifier, const int16_t *hidden, size_t examples,
                    int8_t *logits, int8_t *posteriors) {
  for (size_t n = 0; n < examples; ++n) {
    kws_classifier_logits(classifier, hidden + n * classifier->units,
                          logits + n * classifier->classes);
    kws_classifier_softmax(classifier, logits + n * classifier->classes,
                           posteriors + n * classifier->classes);
  }
}
