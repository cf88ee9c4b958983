// The library behind tflm_on_chip.h: an interpreter that runs kws_lstm_op and the bare firmware's
// classifier, for tests/test_export.py.
#include <cstring>
#include <initializer_list>

#include "kws_classifier.h"
#include "kws_config.h"
#include "kws_lstm_data.h"
#include "kws_lstm_op.h"
#include "tensorflow/lite/micro/micro_interpreter.h"

namespace tflite {
namespace {

constexpr size_t kBlock = 16;
constexpr int kInputs = KWS_FEATURES, kUnits = 24;

int persistent;
alignas(4) uint8_t scratch[1024];
int8_t hidden[kUnits], sequence[KWS_FRAMES * kUnits];
int16_t cell[kUnits], last[kUnits];
TfLiteIntArray input_dims = {3, {1, KWS_FRAMES, kInputs}}, state_dims = {2, {1, kUnits, 0}};
TfLiteIntArray output_dims = {3, {1, KWS_FRAMES, kUnits}};
TfLiteTensor lstm_input = {}, kept = {}, cells = {}, lstm_output = {};
TfLiteNode node = {};

void* AllocatePersistent(TfLiteContext*, size_t bytes) {
  return bytes == sizeof(persistent) ? &persistent : nullptr;
}
TfLiteStatus RequestScratch(TfLiteContext*, size_t bytes, int* index) {
  *index = 0;
  return bytes <= sizeof(scratch) ? kTfLiteOk : kTfLiteError;
}
void* GetScratch(TfLiteContext*, int) { return scratch; }

TfLiteContext context = {AllocatePersistent, RequestScratch, GetScratch};

}  // namespace

const Model* GetModel(const void*) {
  static const Model model;
  return &model;
}

MicroInterpreter::MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t* arena,
                                   size_t size)
    : size_(size) {
  input_.data.int8 = reinterpret_cast<int8_t*>(arena);
  input_.bytes = KWS_FRAMES * KWS_FEATURES;
  output_.data.int8 = input_.data.int8 + input_.bytes;
  output_.bytes = KWS_CLASSES;
  input_.type = output_.type = kTfLiteInt8;
  output_.params = {1.0f / 256.0f, -128};
}

MicroInterpreter::~MicroInterpreter() { blocks_ = 0; }

TfLiteStatus MicroInterpreter::AllocateTensors() {
  blocks_ = (input_.bytes + output_.bytes + kBlock - 1) / kBlock;
  lstm_input = {{}, {input_.data.int8}, input_.bytes, kTfLiteInt8, &input_dims};
  kept = {{}, {hidden}, sizeof(hidden), kTfLiteInt8, &state_dims};
  cells = {{}, {}, sizeof(cell), kTfLiteInt16, &state_dims};
  cells.data.i16 = cell;
  lstm_output = {{}, {sequence}, sizeof(sequence), kTfLiteInt8, &output_dims};
  node.inputs[0] = &lstm_input;
  node.inputs[18] = &kept;
  node.inputs[19] = &cells;
  node.output = &lstm_output;
  const TFLMRegistration op = kws::RegisterLstm();
  node.user_data = op.init(&context, nullptr, 0);
  return blocks_ * kBlock <= size_ ? op.prepare(&context, &node) : kTfLiteError;
}

TfLiteStatus MicroInterpreter::Reset() {
  std::memset(hidden, kws_lstm.hidden_zero_point, sizeof(hidden));
  std::memset(cell, 0, sizeof(cell));
  return kTfLiteOk;
}

TfLiteStatus MicroInterpreter::Invoke() {
  if (kws::RegisterLstm().invoke(&context, &node) != kTfLiteOk) return kTfLiteError;
  for (int k = 0; k < kUnits; ++k) last[k] = hidden[k];
  int8_t logits[KWS_CLASSES];
  kws_classifier_logits(&kws_classifier, last, logits);
  kws_classifier_softmax(&kws_classifier, logits, output_.data.int8);
  return kTfLiteOk;
}

size_t MicroInterpreter::arena_used_bytes() const {
  return blocks_ * kBlock;
}

}  // namespace tflite
