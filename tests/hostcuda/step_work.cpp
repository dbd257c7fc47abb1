#include "dlcuda/tests/hostcuda/step_work.h"

#include <functional>
#include <memory>
#include <utility>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/core/profile_recording.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/zoo_training.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/train/planning.h"
#include "dlcuda/train/trainer.h"

namespace dlcuda::hostcuda {
namespace {

/// While it lives, nothing runs on the mock device, and what is asked of it is written down.
class Counting {
 public:
  explicit Counting(PlanningGround& ground) {
    ground.planning().queues_cuda_work = true;
    ground.planning().on_operation = [this](const profile_detail::OpInfo& operation) {
      operations_.push_back(
          {operation.name, current_memory_tag().name(), operation.flops, operation.bytes, {}});
    };
    set_dry_run([this](const Work& work) {
      if (operations_.empty()) operations_.emplace_back().name = "(no operation)";
      operations_.back().work.push_back(work);
    });
  }
  ~Counting() { set_dry_run({}); }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

  std::vector<Operation> of(const std::function<void()>& step) {
    operations_.clear();
    step();
    return std::exchange(operations_, {});
  }

 private:
  std::vector<Operation> operations_;
  profile_detail::CountingScope scope_;
};

std::unique_ptr<Module> make(const ZooModel& zoo, const StepOptions& options, Device device) {
  auto model = zoo.make(zoo.classes, zoo.input.channels);
  if (!options.training) {
    fold_batch_norm(*model);
    model->eval();
  }
  model->to(options.dtype);
  model->to(device, zoo.format);
  return model;
}

StepWork count_training(const ZooModel& zoo, const StepOptions& options, Device device, Counting& counting) {
  const auto model = make(zoo, options, device);
  const auto task = make_training_task(zoo.prediction, zoo.classes, device);
  const auto optimizer = make_optimizer("adam", model->parameters(), 1e-3);
  LossScale loss_scale = LossScale::for_dtype(options.dtype, device);
  kernels::Generator& dropout = kernels::dropout_generator(device);
  Batch given =
      make_targets(options.batch_size, zoo.input, training_targets(zoo.prediction),
                   [&](const Shape& shape, DType dtype) { return Tensor::empty(shape, dtype, device); });
  given.images = Tensor::empty({options.batch_size, zoo.input.channels, zoo.input.height, zoo.input.width},
                               options.dtype, device, zoo.format);  // as the loader gives them
  const Batch batch = given.map([](const Tensor& tensor) { return Tensor::empty_like(tensor); });

  StepWork result;
  for (int step = 0; step < 2; ++step) {
    result.outside = counting.of([&] {
      optimizer->set_learning_rate(1e-3);
      batch.images.detach().copy_from(given.images);
      batch.labels.detach().copy_from(given.labels);
      if (batch.boxes.defined()) batch.boxes.detach().copy_from(given.boxes);
    });
    result.recorded = counting.of([&] {
      const Tensor loss = task->loss(*model, as_model_input(batch, zoo.format, options.dtype));
      loss_scale.backward(loss);
      optimizer->step(loss_scale);
      dropout.end_step();
    });
  }
  return result;
}

StepWork count_inference(const ZooModel& zoo, const StepOptions& options, Device device, Counting& counting) {
  const auto model = make(zoo, options, device);
  const autograd::NoGrad no_grad;
  const Shape shape{options.batch_size, zoo.input.channels, zoo.input.height, zoo.input.width};
  const Tensor given = Tensor::empty(shape, options.dtype, device, zoo.format);
  Tensor images = Tensor::empty_like(given);
  StepWork result;
  for (int step = 0; step < 2; ++step) {
    result.outside = counting.of([&] { images.copy_from(given); });
    result.recorded = counting.of([&] { (*model)(images); });
  }
  return result;
}

}  // namespace

StepWork count_step(const ZooModel& model, const StepOptions& options) {
  const Device device = Device::cuda();
  PlanningGround ground(device);
  Counting counting(ground);
  return options.training ? count_training(model, options, device, counting)
                          : count_inference(model, options, device, counting);
}

std::map<std::string, std::int64_t> count_by_name(const std::vector<Operation>& operations) {
  std::map<std::string, std::int64_t> counts;
  for (const Operation& operation : operations) {
    for (const Work& work : operation.work) {
      ++counts[work.kind == Work::Kind::Library ? work.name + " (library)" : work.name];
    }
  }
  return counts;
}

std::int64_t count_all(const std::vector<Operation>& operations) {
  std::int64_t sum = 0;
  for (const Operation& operation : operations) sum += std::int64_t(operation.work.size());
  return sum;
}

}  // namespace dlcuda::hostcuda
