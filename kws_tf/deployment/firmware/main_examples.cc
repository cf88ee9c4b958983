// Runs the stored examples through front end and model, prints label and score, and checks the
// golden vectors unless built with -DKWS_GOLDEN_CHECK=0. Exit code 0 when all is well.
//
// On Cortex-M the model's output may differ from Python's by a few steps where CMSIS-NN kernels
// are linked; with TFLM's reference kernels it is the same.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "keyword_spotter.h"
#include "kws_golden.h"
#include "kws_labels.h"

#ifdef KWS_MPS2
#include "mps2.h"
#endif

#ifndef KWS_GOLDEN_CHECK
#define KWS_GOLDEN_CHECK 1
#endif
#ifndef KWS_OUTPUT_TOLERANCE
#define KWS_OUTPUT_TOLERANCE 0  // steps of the int8 output
#endif

namespace {

kws::KeywordSpotter spotter;

#if KWS_GOLDEN_CHECK
kws_frontend_t frontend;
int8_t features[KWS_FRAMES * KWS_FEATURES];

bool GoldenCheck(const kws_golden_t& golden) {
  kws_golden_result_t result;
  bool passed = kws_golden_check(&golden, &frontend, features, &result);
  std::printf("  front end: %u of %u values differ, by %d at most\n", result.different,
              result.values, result.largest);
  int largest = 0;
  if (spotter.Classify(golden.input) != kws::Status::kOk) return false;
  for (int i = 0; i < KWS_CLASSES; ++i) {
    largest = std::max(largest, std::abs(spotter.output()[i] - golden.output[i]));
  }
  std::printf("  model on Python's input: outputs differ by %d at most\n", largest);
  return passed && largest <= KWS_OUTPUT_TOLERANCE && spotter.label() == golden.label;
}
#endif

}  // namespace

int main() {
  kws::Status status = spotter.Init();
  if (status != kws::Status::kOk) {
    std::printf("Init: %s\n", kws::StatusText(status));
    return 1;
  }
  std::printf("arena: %u of %u bytes\n", static_cast<unsigned>(spotter.arena_used_bytes()),
              static_cast<unsigned>(KWS_ARENA_BYTES));
  std::printf("keyword spotter: %u bytes of RAM, arena included\n",
              static_cast<unsigned>(sizeof(spotter)));
  int failures = 0;
  for (const kws_golden_t& golden : kws_golden) {
#ifdef KWS_MPS2
    mps2_start();
#endif
    status = spotter.ClassifyExample(golden.samples, KWS_EXAMPLE_SAMPLES);
#ifdef KWS_MPS2
    std::printf("  instructions per example: %lu\n", mps2_instructions());
#endif
    if (status != kws::Status::kOk) {
      std::printf("%s: %s\n", golden.name, kws::StatusText(status));
      return 1;
    }
    const int label = spotter.label();
    std::printf("%s: %s, score %d %%\n", golden.name, kws_labels[label],
                static_cast<int>(100.0f * spotter.posteriors()[label] + 0.5f));
#if KWS_GOLDEN_CHECK
    if (!GoldenCheck(golden)) ++failures;
#endif
  }
#if KWS_GOLDEN_CHECK
  std::printf("%s\n", failures ? "golden check FAILED" : "golden check passed");
#endif
  return failures != 0;
}
