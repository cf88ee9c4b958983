#ifndef KWS_MODEL_H_
#define KWS_MODEL_H_

#ifdef __cplusplus
extern "C" {
#endif

extern const unsigned char kws_model[]; /* the .tflite file, aligned to 16 bytes */
extern const unsigned kws_model_bytes;

#ifdef __cplusplus
}
#endif

#endif
