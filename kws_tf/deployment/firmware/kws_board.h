/* What a board supplies to main_microphone.cc. */
#ifndef KWS_BOARD_H_
#define KWS_BOARD_H_

#include <stddef.h>
#include <stdint.h>

#include "kws_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Waits for the next samples of the microphone (KWS_SAMPLE_RATE Hz, mono), writes at most
 * capacity of them and returns how many; 0 ends the program. It is not called while the model
 * runs, so let DMA fill a buffer that is longer than one inference takes. */
size_t kws_board_read(int16_t *samples, size_t capacity);

/* Called for every keyword detected. */
void kws_board_detected(const char *label, float score);

#ifdef __cplusplus
}
#endif

#endif /* KWS_BOARD_H_ */
