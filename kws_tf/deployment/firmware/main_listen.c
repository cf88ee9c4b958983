/* Listens without TensorFlow Lite Micro: takes samples from the board (kws_board.h) and tells it
 * the keywords. */
#include "kws_board.h"
#include "kws_labels.h"
#include "kws_spotter.h"

static kws_spotter_t spotter;
static int16_t samples[KWS_HOP];

int main(void) {
  kws_status_t status = kws_spotter_init(&spotter);
  while (status == KWS_OK) {
    kws_detection_t detection;
    const size_t count = kws_board_read(samples, KWS_HOP);
    if (count == 0) return 0;
    status = kws_spotter_feed(&spotter, samples, count, &detection);
    if (detection.label >= 0) kws_board_detected(kws_labels[detection.label], detection.score);
  }
  return (int)status;
}
