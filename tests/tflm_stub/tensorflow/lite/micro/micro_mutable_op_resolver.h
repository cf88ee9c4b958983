// Stand-in, see ../../../README.md.
#ifndef STUB_MICRO_MUTABLE_OP_RESOLVER_H_
#define STUB_MICRO_MUTABLE_OP_RESOLVER_H_

#include "tensorflow/lite/c/common.h"

namespace tflite {

class MicroOpResolver {};

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddUnidirectionalSequenceLSTM(const TFLMRegistration& = {}) { return Add(); }
  TfLiteStatus AddStridedSlice(const TFLMRegistration& = {}) { return Add(); }
  TfLiteStatus AddFullyConnected(const TFLMRegistration& = {}) { return Add(); }
  TfLiteStatus AddSoftmax(const TFLMRegistration& = {}) { return Add(); }

 private:
  void operator delete(void*) {}  // as TF_LITE_REMOVE_VIRTUAL_DELETE does
  TfLiteStatus Add() { return ++length_ <= tOpCount ? kTfLiteOk : kTfLiteError; }
  unsigned int length_ = 0;
};

}  // namespace tflite

#endif
