// Stand-in, see ../../../README.md.
#ifndef STUB_MICRO_CONTEXT_H_
#define STUB_MICRO_CONTEXT_H_

#include "tensorflow/lite/c/common.h"

namespace tflite {

class MicroContext {
 public:
  TfLiteTensor* AllocateTempInputTensor(const TfLiteNode* node, int index) {
    ++temporary;
    return node->inputs[index];
  }
  TfLiteTensor* AllocateTempOutputTensor(const TfLiteNode* node, int) {
    ++temporary;
    return node->output;
  }
  void DeallocateTempTfLiteTensor(TfLiteTensor*) { --temporary; }
  int temporary = 0;
};

inline MicroContext* GetMicroContext(const TfLiteContext*) {
  static MicroContext context;
  return &context;
}

}  // namespace tflite

#endif
