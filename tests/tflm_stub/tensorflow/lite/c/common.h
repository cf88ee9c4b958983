// Stand-in, see ../../../README.md.
#ifndef STUB_C_COMMON_H_
#define STUB_C_COMMON_H_

#include <cstddef>
#include <cstdint>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteNoType = 0, kTfLiteInt16 = 7, kTfLiteInt8 = 9 };
struct TfLiteIntArray {
  int size;
  int data[3];
};
struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};
union TfLitePtrUnion {
  int8_t* int8;
  int16_t* i16;
  void* data;
};
struct TfLiteTensor {
  TfLiteQuantizationParams params;
  TfLitePtrUnion data;
  size_t bytes;
  TfLiteType type;
  TfLiteIntArray* dims;
};
using TfLiteEvalTensor = TfLiteTensor;

struct TfLiteNode {
  void* user_data;
  TfLiteTensor* inputs[24];
  TfLiteTensor* output;
};
struct TfLiteContext {
  void* (*AllocatePersistentBuffer)(TfLiteContext*, size_t);
  TfLiteStatus (*RequestScratchBufferInArena)(TfLiteContext*, size_t, int*);
  void* (*GetScratchBuffer)(TfLiteContext*, int);
};
struct TFLMRegistration {
  void* (*init)(TfLiteContext*, const char*, size_t);
  TfLiteStatus (*prepare)(TfLiteContext*, TfLiteNode*);
  TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*);
};

#endif
