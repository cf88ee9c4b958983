/* The model's classes, in the order of its outputs (kws_labels.c). */
#ifndef KWS_LABELS_H_
#define KWS_LABELS_H_

#include <stdint.h>

#include "kws_config.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const char *const kws_labels[KWS_CLASSES];
extern const uint8_t kws_is_keyword[KWS_CLASSES]; /* 0 for silence and unknown words */

#ifdef __cplusplus
}
#endif

#endif /* KWS_LABELS_H_ */
