/* A board for trying things on a PC: raw 16-bit samples from standard input, words to standard
 * output. For example: sox recording.wav -t s16 -r 16000 -c 1 - | ./kws_microphone */
#include <stdio.h>

#include "kws_board.h"

size_t kws_board_read(int16_t *samples, size_t capacity) {
  return fread(samples, sizeof *samples, capacity, stdin);
}

void kws_board_detected(const char *label, float score) {
  printf("%s %d %%\n", label, (int)(100.0f * score + 0.5f));
  fflush(stdout);
}
