// Listens: takes samples from the board (kws_board.h) and tells it the keywords.
#include <cstdio>

#include "keyword_spotter.h"
#include "kws_board.h"
#include "kws_labels.h"

namespace {

kws::KeywordSpotter spotter;
int16_t samples[KWS_HOP];

}  // namespace

int main() {
  kws::Status status = spotter.Init();
  while (status == kws::Status::kOk) {
    const size_t count = kws_board_read(samples, KWS_HOP);
    if (count == 0) return 0;
    kws::Detection detection;
    status = spotter.Feed(samples, count, &detection);
    if (detection.label >= 0) kws_board_detected(kws_labels[detection.label], detection.score);
  }
  std::printf("%s\n", kws::StatusText(status));
  return 1;
}
