// Stand-in, see ../../../README.md.
#ifndef STUB_MICRO_INTERPRETER_H_
#define STUB_MICRO_INTERPRETER_H_

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kws_config.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

#define TFLITE_SCHEMA_VERSION (3)
#ifndef STUB_OUTPUT /* scale and zero point: a softmax's */
#define STUB_OUTPUT 1.0f / 256.0f, -128
#endif

namespace tflite {

struct Model {
  uint32_t version() const { return TFLITE_SCHEMA_VERSION; }
};
inline const Model* GetModel(const void* buffer) {
  static const Model model;
  const bool right = std::memcmp(static_cast<const char*>(buffer) + 4, "TFL3", 4) == 0 &&
                     reinterpret_cast<uintptr_t>(buffer) % 16 == 0;
  if (!right) std::abort();
  return &model;
}

class MicroResourceVariables;
class MicroProfilerInterface;

class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t* tensor_arena, size_t size,
                   MicroResourceVariables* = nullptr, MicroProfilerInterface* = nullptr,
                   bool = false) {
    const char* to = std::getenv("KWS_STUB_TO");
    const char* from = std::getenv("KWS_STUB_FROM");
    to_ = to ? std::atoi(to) : -1;
    from_ = from ? std::atoi(from) : -1;
    input_.data.int8 = reinterpret_cast<int8_t*>(tensor_arena);
    input_.bytes = KWS_FRAMES * KWS_FEATURES;
    output_.data.int8 = input_.data.int8 + input_.bytes;
    output_.bytes = KWS_CLASSES;
    fits_ = size >= input_.bytes + output_.bytes;
    input_.type = output_.type = kTfLiteInt8;
    output_.params = {STUB_OUTPUT};
  }
  TfLiteStatus AllocateTensors() { return fits_ && to_ >= 0 ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus Reset() {
    is_reset_ = true;
    return kTfLiteOk;
  }
  TfLiteStatus Invoke() {
    if (!is_reset_) return kTfLiteError;  // the application must reset before each decision
    is_reset_ = false;
    if (write(to_, input_.data.int8, input_.bytes) != static_cast<ssize_t>(input_.bytes) ||
        read(from_, output_.data.int8, output_.bytes) != static_cast<ssize_t>(output_.bytes)) {
      return kTfLiteError;
    }
    std::memset(input_.data.int8, 77, input_.bytes);  // TFLM reuses the input's memory, too
    return kTfLiteOk;
  }
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }
  size_t arena_used_bytes() const { return input_.bytes + output_.bytes; }

 private:
  TfLiteTensor input_ = {}, output_ = {};
  int to_, from_;
  bool fits_, is_reset_ = false;
};

}  // namespace tflite

#endif
