// The training loop: data, model, loss, backward pass, update, metrics.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "dlcuda/core/captured_step.h"
#include "dlcuda/core/macros.h"
#include "dlcuda/core/shape.h"
#include "dlcuda/data/loader.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/optim/loss_scale.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/train/interrupt.h"
#include "dlcuda/train/memory_timeline.h"
#include "dlcuda/train/report.h"
#include "dlcuda/train/run_folder.h"
#include "dlcuda/train/schedule.h"
#include "dlcuda/train/step_profile.h"
#include "dlcuda/train/task.h"

namespace dlcuda DLCUDA_API {

struct TrainerConfig {
  std::int64_t epochs = 1;
  Schedule schedule = constant_schedule();
  /// Of the images that the model gets. Channels-last is what convolutions run fastest in.
  MemoryFormat format = MemoryFormat::ChannelsLast;
  DType dtype = DType::F32;  ///< of the images that the model gets: that of its parameters
  /// How often observers hear of progress, and how soon a loss that is not finite is noticed. Each time waits
  /// for the device.
  std::chrono::milliseconds progress_interval{1000};
  /// Whether steps are recorded and replayed (CapturedStep) where that is possible.
  bool capture = true;
  /// Steps that one recording holds, where steps are recorded: the host is needed once for all of them, which
  /// small models gain from. Batches wait until there are so many, those of an epoch's end run one by one. 1:
  /// none waits. Throws ArgumentError in the trainer's constructor for less.
  std::int64_t steps_per_launch = 1;
  /// Whether the final test uses the weights of the epoch with the lowest validation loss, or the last ones.
  /// Not for a validation split that is the test split: the test would have chosen its own weights.
  bool test_best = true;
  /// Draws the memory of the second step, when all that is made once is there; it must outlive the trainer.
  /// The first two steps are not recorded then.
  MemoryTimelineRecorder* memory_timeline = nullptr;
};

/// All on one device; they must outlive the trainer.
struct TrainerParts {
  Device device;
  Module& model;
  Task& task;
  Optimizer& optimizer;
  kernels::Generator& dropout;  ///< its step number advances after each update
  DataLoader& train;
  DataLoader& validation;
  DataLoader& test;
  const RunFolder& folder;
  std::vector<TrainObserver*> observers;
  StepProfile* profile = nullptr;  ///< may be null
};

/// A batch's images as a model of this format and dtype takes them.
Batch as_model_input(const Batch& batch, MemoryFormat format, DType dtype);

class Trainer {
 public:
  Trainer(const TrainerParts& parts, TrainerConfig config);

  /// Trains all epochs, then tests. Returns 0, or the number of the signal that interrupted it; the weights
  /// as they were then are in the run folder. Throws NumericError when the loss is no longer finite; the
  /// message holds the steps between which it happened and the first parameter that is not finite.
  int run();

 private:
  using Clock = std::chrono::steady_clock;

  /// False when it was interrupted.
  bool train_epoch(EpochReport& report);
  const Batch* next_batch();
  void end_profiled_step();
  double learning_rate(std::int64_t step) const;
  /// Whether the next step is one of those that run as they are, for the picture of their memory.
  bool draws_memory() const { return config_.memory_timeline != nullptr && steps_done_ < 2; }
  /// Whether steps wait for others, to be launched together.
  bool launches_several() const;
  void update(const Batch& batch);
  void update_with_those_before(const Batch& batch);
  void update_with_those_waiting();
  /// rate: of the optimiser, on the device; undefined: what it was set to.
  Tensor step(const Batch& batch, const Tensor& rate = {});
  std::vector<Tensor> several_steps(const std::vector<Tensor>& inputs);
  void note_fallback(const CapturedStep& captured);
  Figures evaluate(DataLoader& loader);
  void final_test();
  void require_finite(const Figures& figures, std::int64_t step);
  /// Says so, or throws NumericError where every step was.
  void report_steps_left_out(std::int64_t epoch);
  void report_progress(const EpochReport& epoch, std::int64_t step, double loss, double seconds) const;

  TrainerParts parts_;
  TrainerConfig config_;
  double base_lr_;
  LossScale loss_scale_;
  std::int64_t steps_left_out_ = 0;  // in finished epochs, because a gradient was not finite
  CapturedStep captured_step_;
  CapturedStep captured_steps_;  // several: of their learning rates, then of their batches' tensors
  std::vector<Batch> waiting_;   // for others, to be launched together
  Tensor rates_;                 // of the last launch of several, as a vector and on the device
  std::vector<float> rates_there_;
  bool fell_back_ = false;
  InterruptGuard interrupt_;
  std::int64_t steps_done_ = 0;    // of all epochs
  std::int64_t step_checked_ = 0;  // the last one after which the loss was seen to be finite
  double seconds_trained_ = 0;     // in finished epochs
  std::int64_t images_trained_ = 0;
  std::int64_t best_epoch_ = 0;
  double best_loss_ = 0;
};

}  // namespace dlcuda
