// Runs kws_lstm_op.cc on stand-ins of TFLM for tests/test_export.py: frames from standard input,
// hidden states to standard output, in two calls of Invoke an example.
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "kws_config.h"
#include "kws_lstm_data.h"
#include "kws_lstm_op.h"
#include "tensorflow/lite/micro/micro_context.h"

namespace {

constexpr int kInputs = KWS_LSTM_INPUTS, kUnits = KWS_LSTM_UNITS, kFirst = KWS_FRAMES / 3;

int persistent;
alignas(4) uint8_t scratch[4096];

void* AllocatePersistent(TfLiteContext*, size_t bytes) {
  return bytes == sizeof(persistent) ? &persistent : nullptr;
}
TfLiteStatus RequestScratch(TfLiteContext*, size_t bytes, int* index) {
  *index = 5;
  return bytes <= sizeof(scratch) ? kTfLiteOk : kTfLiteError;
}
void* GetScratch(TfLiteContext*, int index) {
  std::memset(scratch, 77, sizeof(scratch));  // another op has had it
  return index == 5 ? scratch : nullptr;
}

}  // namespace

int main() {
  static int8_t frames[KWS_FRAMES * kInputs], sequence[KWS_FRAMES * kUnits], hidden[kUnits];
  static int16_t cell[kUnits];
  TfLiteIntArray input_dims = {3, {1, KWS_FRAMES, kInputs}}, state_dims = {2, {1, kUnits, 0}};
  TfLiteIntArray output_dims = {3, {1, KWS_FRAMES, kUnits}};
  TfLiteTensor input = {}, kept = {}, cells = {}, output = {};
  input.type = kept.type = output.type = kTfLiteInt8;
  cells.type = kTfLiteInt16;
  input.dims = &input_dims;
  kept.dims = cells.dims = &state_dims;
  output.dims = &output_dims;
  kept.data.int8 = hidden;
  cells.data.i16 = cell;
  TfLiteNode node = {};
  node.inputs[0] = &input;
  node.inputs[18] = &kept;
  node.inputs[19] = &cells;
  node.output = &output;
  TfLiteContext context = {AllocatePersistent, RequestScratch, GetScratch};
  const TFLMRegistration op = kws::RegisterLstm();
  node.user_data = op.init(&context, nullptr, 0);
  state_dims.data[1] = kUnits + 1;
  if (op.prepare(&context, &node) == kTfLiteOk) return 2;  // must refuse another size
  state_dims.data[1] = kUnits;
  if (op.prepare(&context, &node) != kTfLiteOk) return 3;
  if (tflite::GetMicroContext(&context)->temporary != 0) return 4;
  while (std::fread(frames, sizeof(frames), 1, stdin) == 1) {
    std::memset(hidden, kws_lstm.hidden_zero_point, sizeof(hidden));
    std::memset(cell, 0, sizeof(cell));
    for (int start : {0, kFirst}) {
      input_dims.data[1] = output_dims.data[1] = start ? KWS_FRAMES - kFirst : kFirst;
      input.data.int8 = frames + start * kInputs;
      output.data.int8 = sequence + start * kUnits;
      if (op.invoke(&context, &node) != kTfLiteOk) return 5;
    }
    std::fwrite(sequence, sizeof(sequence), 1, stdout);
  }
  return 0;
}
