// From microphone samples to a word: front end, TensorFlow Lite Micro, smoothing, trigger.
//
// C++17; no exceptions, RTTI or heap; everything is in the object (about KWS_ARENA_BYTES and the
// front end's struct), so make it static, not a local variable. One object for one thread.
#ifndef KEYWORD_SPOTTER_H_
#define KEYWORD_SPOTTER_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kws_config.h"
#include "kws_frontend.h"
#include "kws_ops.h"
#include "kws_trigger.h"
#include "tensorflow/lite/micro/micro_interpreter.h"

namespace kws {

enum class Status {
  kOk,
  kNotInitialised,      // Init has not been called, or has failed
  kSchemaVersion,       // the model is of another schema version than this TFLM
  kOps,                 // an op could not be registered
  kAllocateTensors,     // the arena is too small, or this TFLM has not what the model needs
  kModelShape,          // input or output are not those of kws_config.h
  kReset,               // MicroInterpreter::Reset failed
  kInvoke,              // MicroInterpreter::Invoke failed
  kBadArgument,         // a null pointer
};

// A short English text.
const char* StatusText(Status status);

// A keyword that the trigger let through.
struct Detection {
  int label = -1;      // index into kws_labels, -1 for none
  float score = 0.0f;  // smoothed posterior, 0 to 1
};

class KeywordSpotter {
 public:
  KeywordSpotter() = default;
  KeywordSpotter(const KeywordSpotter&) = delete;
  KeywordSpotter& operator=(const KeywordSpotter&) = delete;

  // Sets up the interpreter. May be called again.
  Status Init();

  // Takes samples as they arrive, any number. Decides every KWS_DECISION_HOPS hops on the newest
  // KWS_FRAMES frames. `detection` gets the last keyword triggered within these samples, or -1.
  Status Feed(const int16_t* samples, size_t count, Detection* detection);

  // Decides on one example, without smoothing and trigger; read the result from posteriors().
  Status ClassifyExample(const int16_t* samples, size_t count);

  // Decides on KWS_FRAMES * KWS_FEATURES values of model input.
  Status Classify(const int8_t* features);

  // Forgets all samples, posteriors and triggers.
  void Reset();

  // Of the last decision, in the order of kws_labels.
  const float* posteriors() const { return posteriors_; }
  // The smoothed posteriors, as sums: divide them by 256 * KWS_SMOOTHING_DECISIONS.
  const uint16_t* sums() const { return trigger_.sums; }
  const int8_t* output() const { return output_; }
  // Index of the largest posterior of the last decision.
  int label() const;

  size_t arena_used_bytes() const { return interpreter_ ? interpreter_->arena_used_bytes() : 0; }
  // How many decisions Feed has made since the last reset.
  uint32_t decisions() const { return trigger_.decisions; }

 private:
  Status Decide(Detection* detection);

  KwsOpResolver resolver_;
  std::optional<tflite::MicroInterpreter> interpreter_;
  bool ready_ = false;
  kws_frontend_t frontend_ = {};
  int8_t rows_[KWS_FRAMES * KWS_FEATURES] = {};  // a ring: next_row_ is the oldest
  uint32_t next_row_ = 0;
  uint32_t rows_seen_ = 0;
  uint32_t hops_to_decision_ = 0;
  int8_t output_[KWS_CLASSES] = {};
  float posteriors_[KWS_CLASSES] = {};
  kws_trigger_t trigger_ = {};
  alignas(16) uint8_t arena_[KWS_ARENA_BYTES] = {};
};

}  // namespace kws

#endif  // KEYWORD_SPOTTER_H_
