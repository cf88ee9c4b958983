/* Checks the front end against the golden vectors; exit code 0 when all pass. Runs on the host
 * and on an emulated chip (run_qemu.sh), where it also counts instructions. */
#include <stdio.h>
#include <string.h>

#include "kws_golden.h"

#ifdef KWS_MPS2
#include "mps2.h"
#endif

static kws_frontend_t frontend;
static int8_t features[KWS_FRAMES * KWS_FEATURES];
static int8_t whole[KWS_FRAMES * KWS_FEATURES];

int main(void) {
  int failures = 0;
  for (int i = 0; i < KWS_GOLDEN_EXAMPLES; ++i) {
    const kws_golden_t *golden = &kws_golden[i];
    kws_golden_result_t result;
    bool passed = kws_golden_check(golden, &frontend, features, &result);
    kws_frontend_example(&frontend, golden->samples, KWS_EXAMPLE_SAMPLES, whole);
    if (memcmp(features, whole, sizeof whole) != 0) passed = false;
    printf("%s: %s, %u of %u values differ, by %d at most, %d / 1000 steps beyond rounding\n",
           passed ? "ok" : "FAILED", golden->name, result.different, result.values,
           result.largest, (int)(1000.0f * result.worst + 0.5f));
    if (!passed) ++failures;
  }
#ifdef KWS_MPS2
  /* Rows of speech-like signals; the count varies by a few instructions with the data. */
  const kws_golden_t *last = &kws_golden[KWS_GOLDEN_EXAMPLES - 1];
  kws_frontend_feed(&frontend, last->samples + KWS_EXAMPLE_SAMPLES / 3, KWS_WINDOW);
  mps2_start();
  kws_frontend_row(&frontend, features);
  printf("instructions per hop: %lu\n", mps2_instructions());
#endif
  printf("front end: %u bytes of RAM\n", (unsigned)sizeof frontend);
  printf("%s\n", failures ? "golden check FAILED" : "golden check passed");
  return failures != 0;
}
