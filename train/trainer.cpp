#include "dlcuda/train/trainer.h"

#include <cmath>
#include <iterator>
#include <optional>
#include <utility>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/core/profile.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/weights.h"

namespace dlcuda {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::optional<std::string> first_not_finite(const Module& model) {
  for (const auto& [name, tensor] : model.parameters()) {
    for (const double value : kernels::cast(tensor.to(Device::cpu()), DType::F64).values<double>()) {
      if (!std::isfinite(value)) return name;
    }
  }
  return std::nullopt;
}

}  // namespace

// With one channel the two formats lie in memory alike, and only the name changes.
Batch as_model_input(const Batch& batch, MemoryFormat format, DType dtype) {
  static const MemoryTag kTag("data");
  const MemoryTagScope scope(kTag);
  const bool renamed = batch.images.size(1) == 1;
  Batch result = batch;
  result.images = renamed ? batch.images.with_format(format) : kernels::to_format(batch.images, format);
  if (result.images.dtype() != dtype) result.images = kernels::cast(result.images, dtype);
  return result;
}

Trainer::Trainer(const TrainerParts& parts, TrainerConfig config)
    : parts_(parts),
      config_(std::move(config)),
      base_lr_(parts.optimizer.learning_rate()),
      loss_scale_(LossScale::for_dtype(config_.dtype, parts.device)),
      captured_step_(
          parts.device,
          [this](const std::vector<Tensor>& inputs) { return std::vector{step(to_batch(inputs))}; }),
      captured_steps_(parts.device,
                      [this](const std::vector<Tensor>& inputs) { return several_steps(inputs); }) {
  DLCUDA_CHECK(config_.steps_per_launch >= 1, ArgumentError,
               "trainer: steps per launch must be at least 1, got {}", config_.steps_per_launch);
}

int Trainer::run() {
  for (std::int64_t number = 1; number <= config_.epochs; ++number) {
    EpochReport epoch{.epoch = number, .epochs = config_.epochs};
    const bool finished = train_epoch(epoch);
    parts_.folder.save_weights(parts_.folder.last_weights(), parts_.model);
    if (!finished) return interrupt_.signal();

    epoch.validation = evaluate(parts_.validation);
    if (interrupt_.signal() != 0) return interrupt_.signal();
    require_finite(epoch.validation, parts_.train.batches());
    epoch.best = best_epoch_ == 0 || epoch.validation.loss < best_loss_;
    if (epoch.best) {
      best_epoch_ = number;
      best_loss_ = epoch.validation.loss;
      parts_.folder.save_weights(parts_.folder.best_weights(), parts_.model);
    }
    for (TrainObserver* observer : parts_.observers) observer->on_epoch(epoch);
  }
  final_test();
  return interrupt_.signal();
}

bool Trainer::train_epoch(EpochReport& epoch) {
  parts_.model.train();
  parts_.task.reset();
  waiting_.clear();
  parts_.train.start_epoch(std::uint64_t(epoch.epoch));
  const auto start = Clock::now();
  auto reported = start;
  for (std::int64_t step = 1; const Batch* batch = next_batch(); ++step) {
    if (launches_several()) {
      update_with_those_before(*batch);
    } else {
      update(*batch);
      end_profiled_step();
    }
    if (interrupt_.signal() != 0) return false;
    if (!waiting_.empty() || Clock::now() - reported < config_.progress_interval) continue;
    const Figures figures = parts_.task.figures();
    require_finite(figures, step);
    report_progress(epoch, step, figures.loss, seconds_since(start));
    reported = Clock::now();
  }
  update_with_those_waiting();
  epoch.train = parts_.task.figures();  // waits for the device, so the time is that of finished work
  epoch.seconds = seconds_since(start);
  require_finite(epoch.train, parts_.train.batches());
  report_steps_left_out(epoch.epoch);
  epoch.images_per_second = double(epoch.train.count) / epoch.seconds;
  epoch.lr = learning_rate(steps_done_ - 1);
  seconds_trained_ += epoch.seconds;
  images_trained_ += epoch.train.count;
  return true;
}

void Trainer::end_profiled_step() {
  if (parts_.profile == nullptr) return;
  const std::string table = parts_.profile->after_step(steps_done_);
  if (table.empty()) return;
  for (TrainObserver* observer : parts_.observers) observer->on_note(table);
}

const Batch* Trainer::next_batch() {
  if (parts_.profile) parts_.profile->before_step(steps_done_ + 1);
  return parts_.train.next();
}

double Trainer::learning_rate(std::int64_t step) const {
  const std::int64_t all_steps = config_.epochs * parts_.train.batches();
  return base_lr_ * config_.schedule.factor(double(step) / double(all_steps));
}

bool Trainer::launches_several() const {
  return config_.steps_per_launch > 1 && config_.capture && !draws_memory();
}

// Nothing in here waits for the device. What differs from step to step is set outside the step, which may be
// a recording.
void Trainer::update(const Batch& batch) {
  const ProfileRange range([&] { return ProfileRange::Name{fmt::format("step {}", steps_done_ + 1), ""}; });
  parts_.optimizer.set_learning_rate(learning_rate(steps_done_));
  if (draws_memory()) {
    if (steps_done_ == 1) config_.memory_timeline->begin();
    step(batch);
    if (steps_done_ == 1) config_.memory_timeline->finish();
  } else if (config_.capture) {
    captured_step_(to_tensors(batch));
    note_fallback(captured_step_);
  } else {
    step(batch);
  }
  ++steps_done_;
}

void Trainer::update_with_those_before(const Batch& batch) {
  // The loader writes the next batch where this one lies, unless it was uploaded.
  const auto keep = [](const Tensor& tensor) { return tensor.device().is_cpu() ? tensor.clone() : tensor; };
  waiting_.push_back(batch.map(keep));
  if (std::ssize(waiting_) < config_.steps_per_launch) return;
  if (batch.size() != waiting_.front().size()) return update_with_those_waiting();
  const ProfileRange range([&] {
    return ProfileRange::Name{fmt::format("steps from {}", steps_done_ + 1), ""};
  });
  std::vector<float> rates;
  for (std::int64_t i = 0; i < config_.steps_per_launch; ++i) {
    rates.push_back(static_cast<float>(learning_rate(steps_done_ + i)));
  }
  if (rates != rates_there_) {
    rates_ = Tensor::from_values(rates, {config_.steps_per_launch}, parts_.device);
    rates_there_ = std::move(rates);
  }
  std::vector<Tensor> inputs{rates_};
  for (const Batch& one : waiting_) {
    const std::vector<Tensor> tensors = to_tensors(one);
    inputs.insert(inputs.end(), tensors.begin(), tensors.end());
  }
  captured_steps_(inputs);
  note_fallback(captured_steps_);
  steps_done_ += std::ssize(waiting_);
  waiting_.clear();
}

void Trainer::update_with_those_waiting() {
  for (const Batch& batch : std::exchange(waiting_, {})) update(batch);
}

std::vector<Tensor> Trainer::several_steps(const std::vector<Tensor>& inputs) {
  const Tensor& rates = inputs.front();
  const std::int64_t steps = rates.numel(), tensors = (std::ssize(inputs) - 1) / steps;
  Tensor loss;
  for (std::int64_t i = 0; i < steps; ++i) {
    const auto first = inputs.begin() + 1 + i * tensors;
    loss = step(to_batch({first, first + tensors}), rates.slice(i, i + 1));
  }
  return {loss};
}

void Trainer::note_fallback(const CapturedStep& captured) {
  if (captured.fallback_reason().empty() || std::exchange(fell_back_, true)) return;
  const std::string note = fmt::format("steps are not recorded: {}", captured.fallback_reason());
  for (TrainObserver* observer : parts_.observers) observer->on_note(note);
}

Tensor Trainer::step(const Batch& batch, const Tensor& rate) {
  const auto phase = [this](const char* name) {
    if (config_.memory_timeline != nullptr) config_.memory_timeline->phase(name);
  };
  phase("forward");
  const Tensor loss = parts_.task.loss(parts_.model, as_model_input(batch, config_.format, config_.dtype));
  phase("backward");
  loss_scale_.backward(loss);
  phase("update");
  if (rate.defined()) {
    parts_.optimizer.step(loss_scale_, rate);
  } else {
    parts_.optimizer.step(loss_scale_);
  }
  parts_.dropout.end_step();
  return loss;
}

Figures Trainer::evaluate(DataLoader& loader) {
  const ProfileRange range("evaluation");
  const autograd::NoGrad no_grad;
  parts_.model.eval();
  parts_.task.reset();
  loader.start_epoch(0);
  while (const Batch* batch = loader.next()) {
    parts_.task.loss(parts_.model, as_model_input(*batch, config_.format, config_.dtype));
    if (interrupt_.signal() != 0) break;
  }
  return parts_.task.figures();
}

void Trainer::final_test() {
  FinalReport report;
  report.weights = (config_.test_best ? parts_.folder.best_weights() : parts_.folder.last_weights()).string();
  report.weights_epoch = config_.test_best ? best_epoch_ : config_.epochs;
  if (report.weights_epoch != config_.epochs) load_weights(parts_.model, report.weights);
  report.test = evaluate(parts_.test);
  if (interrupt_.signal() != 0) return;
  require_finite(report.test, parts_.train.batches());
  report.seconds = seconds_trained_;
  report.images_per_second = double(images_trained_) / seconds_trained_;
  for (TrainObserver* observer : parts_.observers) observer->on_final(report);
}

void Trainer::report_steps_left_out(std::int64_t epoch) {
  if (!loss_scale_.enabled()) return;
  const std::int64_t all = loss_scale_.steps_left_out(), now = all - std::exchange(steps_left_out_, all);
  if (now == 0) return;
  const std::int64_t steps = parts_.train.batches();
  const double scale = loss_scale_.value();
  // A scale that is still falling finds its place; below 1 it does not help.
  DLCUDA_CHECK(
      now < steps || scale >= 1, NumericError,
      "epoch {}: no step had finite gradients, down to a loss scale of {}: nothing was learned; train "
      "with --precision bf16 or fp32, or a lower learning rate",
      epoch, scale);
  const std::string note = fmt::format(
      "epoch {}: {} of {} steps left out, their gradients overflowed f16; the loss scale is {} now", epoch,
      now, steps, scale);
  for (TrainObserver* observer : parts_.observers) observer->on_note(note);
}

void Trainer::require_finite(const Figures& figures, std::int64_t step) {
  if (std::isfinite(figures.loss)) {
    step_checked_ = steps_done_;
    return;
  }
  const auto bad = first_not_finite(parts_.model);
  // Where the steps themselves were fine, an evaluation has shown what the last update did.
  const std::string when = step_checked_ < steps_done_
                               ? fmt::format("between steps {} and {}", step_checked_ + 1, steps_done_)
                               : fmt::format("after step {}", steps_done_);
  DLCUDA_THROW(
      NumericError,
      "training diverged: the loss became {} {} (step {} of the epoch), at a learning rate of {:g}; {}. Try "
      "a "
      "lower --lr",
      std::isnan(figures.loss) ? "NaN" : "infinite", when, step, learning_rate(steps_done_ - 1),
      bad ? fmt::format("the first parameter that is not finite is {}", *bad) : "all parameters are finite");
}

void Trainer::report_progress(const EpochReport& epoch, std::int64_t step, double loss,
                              double seconds) const {
  const std::int64_t steps = parts_.train.batches(), all_steps = config_.epochs * steps;
  const double images_per_step = double(parts_.train.images()) / double(steps);
  const ProgressReport report{.epoch = epoch.epoch,
                              .epochs = epoch.epochs,
                              .step = step,
                              .steps = steps,
                              .images_per_second = images_per_step * double(step) / seconds,
                              .seconds_left = seconds / double(step) * double(all_steps - steps_done_),
                              .loss = loss};
  for (TrainObserver* observer : parts_.observers) observer->on_progress(report);
}

}  // namespace dlcuda
