/* The bare spotter on stored examples: prints word, score and what it cost, and checks the golden
 * vectors. Where a file examples.s16 lies in the working folder (16-bit samples, one example after
 * another), prints the outputs of each as well. Exit code 0 when all is well. */
#include <stdio.h>
#include <stdlib.h>

#include "kws_golden.h"
#include "kws_labels.h"
#include "kws_spotter.h"

#ifdef KWS_MPS2
#include "mps2.h"
#endif

static kws_spotter_t spotter;
static int8_t features[KWS_FRAMES * KWS_FEATURES];

static void print_word(const char *name) {
  const int label = kws_spotter_label(&spotter);
  printf("%s: %s, score %d %%\n", name, kws_labels[label],
         (100 * (spotter.output[label] + 128) + 128) / 256);
}

static bool golden_passes(const kws_golden_t *golden) {
  kws_golden_result_t result;
  const bool passed = kws_golden_check(golden, &spotter.frontend, features, &result);
  printf("  front end: %u of %u values differ, by %d at most\n", result.different, result.values,
         result.largest);
  if (kws_spotter_classify(&spotter, golden->input) != KWS_OK) return false;
  int largest = 0;
  for (int i = 0; i < KWS_CLASSES; ++i) {
    const int difference = abs(spotter.output[i] - golden->output[i]);
    if (difference > largest) largest = difference;
  }
  printf("  model on Python's input: outputs differ by %d at most\n", largest);
  return passed && largest == 0;
}

static void run_file(void) {
  static int16_t samples[KWS_EXAMPLE_SAMPLES];
  FILE *file = fopen("examples.s16", "rb");
  if (file == NULL) return;
  while (fread(samples, sizeof samples[0], KWS_EXAMPLE_SAMPLES, file) == KWS_EXAMPLE_SAMPLES) {
    kws_spotter_classify_example(&spotter, samples, KWS_EXAMPLE_SAMPLES);
    printf("output");
    for (int i = 0; i < KWS_CLASSES; ++i) printf(" %d", spotter.output[i]);
    printf("\n");
  }
  fclose(file);
}

int main(void) {
  int failures = 0;
  const kws_status_t status = kws_spotter_init(&spotter);
  if (status != KWS_OK) {
    printf("%s\n", kws_status_text(status));
    return 1;
  }
  printf("keyword spotter: %u bytes of RAM, %u of them the window\n", (unsigned)sizeof spotter,
         (unsigned)sizeof spotter.rows);
  for (int n = 0; n < KWS_GOLDEN_EXAMPLES; ++n) {
    const kws_golden_t *golden = &kws_golden[n];
    kws_spotter_classify_example(&spotter, golden->samples, KWS_EXAMPLE_SAMPLES);
    print_word(golden->name);
#ifdef KWS_MPS2
    mps2_start();
    kws_frontend_example(&spotter.frontend, golden->samples, KWS_EXAMPLE_SAMPLES, features);
    printf("  instructions of the front end: %lu\n", mps2_instructions());
    mps2_start();
    kws_spotter_classify(&spotter, golden->input);
    printf("  instructions of the model: %lu\n", mps2_instructions());
    mps2_start();
    kws_spotter_classify_example(&spotter, golden->samples, KWS_EXAMPLE_SAMPLES);
    printf("  bytes of stack: %lu\n", mps2_stack());
#endif
    if (!golden_passes(golden)) ++failures;
  }
  run_file();
  printf("%s\n", failures ? "golden check FAILED" : "golden check passed");
  return failures != 0;
}
