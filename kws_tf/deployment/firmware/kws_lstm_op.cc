#include "kws_lstm_op.h"

#include <cstdint>
#include <initializer_list>

#include "kws_lstm.h"
#include "kws_lstm_data.h"
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/kernels/kernel_util.h"
#include "tensorflow/lite/micro/micro_context.h"

namespace kws {
namespace {

// Inputs of the op (lstm_shared.h of TFLM).
constexpr int kInput = 0, kHiddenState = 18, kCellState = 19, kOutput = 0;
constexpr int kHalfwords =
    2 * KWS_LSTM_VECTOR(KWS_LSTM_UNITS) + KWS_LSTM_VECTOR(KWS_LSTM_INPUTS);

void* Init(TfLiteContext* context, const char*, size_t) {
  return context->AllocatePersistentBuffer(context, sizeof(int));
}

bool HasShape(const TfLiteTensor* tensor, TfLiteType type, int dimensions, int last) {
  return tensor != nullptr && tensor->type == type && tensor->dims->size == dimensions &&
         tensor->dims->data[0] == 1 && tensor->dims->data[dimensions - 1] == last;
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  tflite::MicroContext* micro = tflite::GetMicroContext(context);
  TfLiteTensor* input = micro->AllocateTempInputTensor(node, kInput);
  TfLiteTensor* hidden = micro->AllocateTempInputTensor(node, kHiddenState);
  TfLiteTensor* cell = micro->AllocateTempInputTensor(node, kCellState);
  TfLiteTensor* output = micro->AllocateTempOutputTensor(node, kOutput);
  const bool fits = HasShape(input, kTfLiteInt8, 3, KWS_LSTM_INPUTS) &&
                    HasShape(hidden, kTfLiteInt8, 2, KWS_LSTM_UNITS) &&
                    HasShape(cell, kTfLiteInt16, 2, KWS_LSTM_UNITS) &&
                    HasShape(output, kTfLiteInt8, 3, KWS_LSTM_UNITS) &&
                    input->dims->data[1] == output->dims->data[1];
  for (TfLiteTensor* tensor : {output, cell, hidden, input}) {
    if (tensor != nullptr) micro->DeallocateTempTfLiteTensor(tensor);
  }
  if (!fits) return kTfLiteError;
  return context->RequestScratchBufferInArena(context, kHalfwords * sizeof(int16_t),
                                              static_cast<int*>(node->user_data));
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* input = tflite::micro::GetEvalInput(context, node, kInput);
  TfLiteEvalTensor* kept = tflite::micro::GetMutableEvalInput(context, node, kHiddenState);
  TfLiteEvalTensor* cell = tflite::micro::GetMutableEvalInput(context, node, kCellState);
  TfLiteEvalTensor* output = tflite::micro::GetEvalOutput(context, node, kOutput);
  int16_t* memory = static_cast<int16_t*>(
      context->GetScratchBuffer(context, *static_cast<const int*>(node->user_data)));
  kws_lstm_state_t state = {memory, memory + KWS_LSTM_VECTOR(KWS_LSTM_UNITS),
                            memory + 2 * KWS_LSTM_VECTOR(KWS_LSTM_UNITS), cell->data.i16};
  for (int k = 0; k < kHalfwords; ++k) memory[k] = 0;
  for (int k = 0; k < KWS_LSTM_UNITS; ++k) state.hidden[k] = kept->data.int8[k];
  const int8_t* from = input->data.int8;
  int8_t* to = output->data.int8;
  for (int step = 0; step < input->dims->data[1]; ++step, from += KWS_LSTM_INPUTS) {
    kws_lstm_step(&kws_lstm, &state, from);
    for (int k = 0; k < KWS_LSTM_UNITS; ++k) *to++ = static_cast<int8_t>(state.hidden[k]);
  }
  for (int k = 0; k < KWS_LSTM_UNITS; ++k) {
    kept->data.int8[k] = static_cast<int8_t>(state.hidden[k]);
  }
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration RegisterLstm() { return tflite::micro::RegisterOp(Init, Prepare, Invoke); }

}  // namespace kws
