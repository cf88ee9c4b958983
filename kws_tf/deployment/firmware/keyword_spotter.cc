#include "keyword_spotter.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kws_model.h"

namespace kws {

namespace {

bool HasBytes(const TfLiteTensor* tensor, size_t bytes) {
  return tensor != nullptr && tensor->type == kTfLiteInt8 && tensor->bytes == bytes;
}

void PosteriorsOf(const int8_t* output, const TfLiteQuantizationParams& params, float* posteriors) {
  for (int i = 0; i < KWS_CLASSES; ++i) {
    posteriors[i] = static_cast<float>(output[i] - params.zero_point) * params.scale;
  }
#if KWS_OUTPUT_IS_LOGITS
  const float largest = *std::max_element(posteriors, posteriors + KWS_CLASSES);
  float sum = 0.0f;
  for (int i = 0; i < KWS_CLASSES; ++i) sum += posteriors[i] = std::exp(posteriors[i] - largest);
  for (int i = 0; i < KWS_CLASSES; ++i) posteriors[i] /= sum;
#endif
}

}  // namespace

const char* StatusText(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kNotInitialised:
      return "Init has not been called or has failed";
    case Status::kSchemaVersion:
      return "the model is of another schema version than this TFLM";
    case Status::kOps:
      return "an op could not be registered";
    case Status::kAllocateTensors:
      return "AllocateTensors failed: raise KWS_ARENA_BYTES, or update TFLM";
    case Status::kModelShape:
      return "the model's input or output is not that of kws_config.h: export anew";
    case Status::kReset:
      return "MicroInterpreter::Reset failed";
    case Status::kInvoke:
      return "MicroInterpreter::Invoke failed";
    case Status::kBadArgument:
      return "a null pointer was given";
  }
  return "unknown status";
}

Status KeywordSpotter::Init() {
  ready_ = false;
  Reset();
  const tflite::Model* model = tflite::GetModel(kws_model);
  if (model->version() != TFLITE_SCHEMA_VERSION) return Status::kSchemaVersion;
  if (!interpreter_) {
    if (KwsAddOps(&resolver_) != kTfLiteOk) return Status::kOps;
  }
  interpreter_.emplace(model, resolver_, arena_, sizeof(arena_));
  if (interpreter_->AllocateTensors() != kTfLiteOk) return Status::kAllocateTensors;
  if (!HasBytes(interpreter_->input(0), sizeof(rows_)) ||
      !HasBytes(interpreter_->output(0), sizeof(output_))) {
    return Status::kModelShape;
  }
  ready_ = true;
  return Status::kOk;
}

void KeywordSpotter::Reset() {
  kws_frontend_reset(&frontend_);
  kws_trigger_reset(&trigger_);
  next_row_ = rows_seen_ = hops_to_decision_ = 0;
  std::memset(posteriors_, 0, sizeof(posteriors_));
}

Status KeywordSpotter::Feed(const int16_t* samples, size_t count, Detection* detection) {
  if (!ready_) return Status::kNotInitialised;
  if ((samples == nullptr && count > 0) || detection == nullptr) return Status::kBadArgument;
  *detection = Detection();
  while (count > 0) {
    const size_t taken = kws_frontend_feed(&frontend_, samples, count);
    samples += taken;
    count -= taken;
    if (!kws_frontend_row(&frontend_, rows_ + next_row_ * KWS_FEATURES)) continue;
    next_row_ = (next_row_ + 1) % KWS_FRAMES;
    if (rows_seen_ < KWS_FRAMES) ++rows_seen_;
    kws_trigger_hop(&trigger_);
    if (hops_to_decision_ > 0) --hops_to_decision_;
    if (rows_seen_ < KWS_FRAMES || hops_to_decision_ > 0) continue;
    hops_to_decision_ = KWS_DECISION_HOPS;
    const Status status = Decide(detection);
    if (status != Status::kOk) return status;
  }
  return Status::kOk;
}

Status KeywordSpotter::ClassifyExample(const int16_t* samples, size_t count) {
  if (!ready_) return Status::kNotInitialised;
  if (samples == nullptr && count > 0) return Status::kBadArgument;
  Reset();
  kws_frontend_example(&frontend_, samples, count, rows_);
  return Classify(rows_);
}

Status KeywordSpotter::Classify(const int8_t* features) {
  if (!ready_) return Status::kNotInitialised;
  if (features == nullptr) return Status::kBadArgument;
  // The op keeps its state from one Invoke to the next; every window starts from zero.
  if (interpreter_->Reset() != kTfLiteOk) return Status::kReset;
  // The tensors' memory is shared with others, so the input is written anew each time.
  std::memcpy(interpreter_->input(0)->data.int8, features, sizeof(rows_));
  if (interpreter_->Invoke() != kTfLiteOk) return Status::kInvoke;
  const TfLiteTensor* output = interpreter_->output(0);
  std::memcpy(output_, output->data.int8, sizeof(output_));
  PosteriorsOf(output_, output->params, posteriors_);
  return Status::kOk;
}

int KeywordSpotter::label() const {
  // Of the model's own integers: equal posteriors go to the first, as in Python.
  return static_cast<int>(std::max_element(output_, output_ + KWS_CLASSES) - output_);
}

Status KeywordSpotter::Decide(Detection* detection) {
  // The oldest row comes first, so the ring is turned until it begins at 0.
  std::rotate(rows_, rows_ + next_row_ * KWS_FEATURES, rows_ + sizeof(rows_));
  next_row_ = 0;
  const Status status = Classify(rows_);
  if (status != Status::kOk) return status;
#if KWS_OUTPUT_IS_LOGITS
  int8_t output[KWS_CLASSES];
  for (int i = 0; i < KWS_CLASSES; ++i) {
    const float steps = std::nearbyint(256.0f * posteriors_[i]);
    output[i] = static_cast<int8_t>(std::min(steps, 255.0f) - 128.0f);
  }
#else
  const int8_t* output = output_;  // 256 * posterior - 128 already
#endif
  const kws_detection_t now = kws_trigger_decide(&trigger_, output);
  if (now.label >= 0) *detection = Detection{now.label, now.score};
  return Status::kOk;
}

}  // namespace kws
