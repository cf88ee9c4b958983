// Stand-in, see ../../../../README.md.
#ifndef STUB_KERNEL_UTIL_H_
#define STUB_KERNEL_UTIL_H_

#include "tensorflow/lite/c/common.h"

namespace tflite {
namespace micro {

inline const TfLiteEvalTensor* GetEvalInput(const TfLiteContext*, const TfLiteNode* node, int k) {
  return node->inputs[k];
}
inline TfLiteEvalTensor* GetMutableEvalInput(const TfLiteContext*, const TfLiteNode* node, int k) {
  return node->inputs[k];
}
inline TfLiteEvalTensor* GetEvalOutput(const TfLiteContext*, const TfLiteNode* node, int) {
  return node->output;
}
inline TFLMRegistration RegisterOp(void* (*init)(TfLiteContext*, const char*, size_t),
                                   TfLiteStatus (*prepare)(TfLiteContext*, TfLiteNode*),
                                   TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*)) {
  return {init, prepare, invoke};
}

}  // namespace micro
}  // namespace tflite

#endif
