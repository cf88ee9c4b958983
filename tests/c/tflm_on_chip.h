// Stand-in for micro_interpreter.h on a chip; tflm_on_chip.cc has its functions.
//
// As TFLM's it has its functions in a library and a destructor, which a linker script and start-up
// code must be ready for.
#ifndef STUB_TFLM_ON_CHIP_H_
#define STUB_TFLM_ON_CHIP_H_

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

#define TFLITE_SCHEMA_VERSION (3)

namespace tflite {

struct Model {
  uint32_t version() const { return TFLITE_SCHEMA_VERSION; }
};
const Model* GetModel(const void* buffer);

class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t* tensor_arena, size_t size);
  ~MicroInterpreter();
  TfLiteStatus AllocateTensors();
  TfLiteStatus Reset();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }
  size_t arena_used_bytes() const;

 private:
  TfLiteTensor input_ = {}, output_ = {};
  size_t size_, blocks_ = 0;
};

}  // namespace tflite

#endif
