#ifndef KWS_MODEL_H_
#define KWS_MODEL_H_

#include <stdint.h>

#include "kws_config.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const unsigned char kws_model[]; /* the .tflite file, aligned to 16 bytes */
extern const unsigned kws_model_bytes;
extern const char *const kws_labels[KWS_CLASSES];
extern const uint8_t kws_is_keyword[KWS_CLASSES]; /* 0 for silence and unknown words */

#ifdef __cplusplus
}
#endif

#endif
