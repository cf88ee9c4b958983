/* Drives the front end through everything a microphone or a caller may do; built with sanitizers.
 * With LIBFUZZER the inputs come from a fuzzer, else from a fixed generator. Recordings in raw
 * 16-bit files named on the command line are run as well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kws_frontend.h"

enum { LONGEST = 3 * KWS_EXAMPLE_SAMPLES };

static uint32_t seed = 1;
static uint32_t chance(uint32_t below) {
  seed = seed * 1664525u + 1013904223u;
  return (uint32_t)(((uint64_t)seed * below) >> 32);
}

/* Both ways of the API, in exactly sized heap blocks so that the sanitizer sees each overrun. */
static void run(const int16_t *samples, size_t count) {
  kws_frontend_t *frontend = malloc(sizeof *frontend);
  int8_t *whole = malloc(KWS_FRAMES * KWS_FEATURES), *row = malloc(KWS_FEATURES);
  int16_t *exact = malloc(count ? count * sizeof *exact : 1);
  if (!frontend || !whole || !row || !exact) abort();
  if (count) memcpy(exact, samples, count * sizeof *exact);
  kws_frontend_example(frontend, count ? exact : NULL, count, whole);
  kws_frontend_reset(frontend);
  size_t rows = 0;
  for (size_t start = 0; start < count;) {
    size_t piece = chance(2 * KWS_WINDOW);
    if (piece > count - start) piece = count - start;
    start += kws_frontend_feed(frontend, exact + start, piece);
    while (kws_frontend_row(frontend, row)) {
      if (rows < KWS_FRAMES && start <= KWS_EXAMPLE_SAMPLES &&
          memcmp(row, whole + rows * KWS_FEATURES, KWS_FEATURES) != 0) {
        fprintf(stderr, "row %u of %u samples differs\n", (unsigned)rows, (unsigned)count);
        abort();
      }
      ++rows;
    }
  }
  if (rows != (count < KWS_WINDOW ? 0 : 1 + (count - KWS_WINDOW) / KWS_HOP)) abort();
  free(frontend);
  free(whole);
  free(row);
  free(exact);
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int16_t samples[LONGEST];
  size_t count = size / 2 < LONGEST ? size / 2 : LONGEST;
  memcpy(samples, data, 2 * count);
  seed = (uint32_t)size;
  run(samples, count);
  return 0;
}
#else
int main(int argc, char **argv) {
  static int16_t samples[LONGEST];
  size_t runs = 0;
  for (int kind = 0; kind < 4; ++kind) { /* silence, square waves, noise */
    for (size_t i = 0; i < LONGEST; ++i) {
      const int16_t square = (i / (kind == 1 ? 1 : 37)) % 2 ? 32767 : -32768;
      samples[i] = kind == 0 ? 0 : kind < 3 ? square : (int16_t)((int32_t)chance(65536) - 32768);
    }
    for (size_t count = 0; count <= LONGEST; count += count < 1000 ? 97 : 1571, ++runs) {
      run(samples, count);
    }
    run(samples, LONGEST);
  }
  for (int i = 1; i < argc; ++i, ++runs) {
    FILE *file = fopen(argv[i], "rb");
    if (!file) return 2;
    const size_t count = fread(samples, sizeof samples[0], LONGEST, file);
    fclose(file);
    run(samples, count);
  }
  printf("%u runs\n", (unsigned)runs);
  return 0;
}
#endif
