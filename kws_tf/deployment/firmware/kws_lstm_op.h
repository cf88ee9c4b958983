// The LSTM of kws_lstm.h as a kernel of TensorFlow Lite Micro, for the op resolver:
//
//   resolver.AddUnidirectionalSequenceLSTM(kws::RegisterLstm());
//
// It computes what TFLM's reference kernel computes, bit for bit, and like it keeps hidden and cell
// state from one Invoke to the next, until MicroInterpreter::Reset. The weights are those of
// kws_lstm_data.c: the model file's own have been left out.
#ifndef KWS_LSTM_OP_H_
#define KWS_LSTM_OP_H_

#include "tensorflow/lite/micro/micro_common.h"

namespace kws {

TFLMRegistration RegisterLstm();

}  // namespace kws

#endif  // KWS_LSTM_OP_H_
