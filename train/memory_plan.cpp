#include "dlcuda/train/memory_plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include "dlcuda/core/check.h"
#include "dlcuda/core/memory/block.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/train/planning.h"

namespace dlcuda {
namespace {

/// "block1.conv1" of "block1.conv1.weight".
std::string layer_of(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? "(model)" : name.substr(0, dot);
}

class Layers {
 public:
  LayerMemory& at(const std::string& name) {
    const auto [found, fresh] = index_.try_emplace(name, rows_.size());
    if (fresh) rows_.emplace_back().layer = name;
    return rows_[found->second];
  }
  std::vector<LayerMemory> take() { return std::move(rows_); }

 private:
  std::map<std::string, std::size_t> index_;
  std::vector<LayerMemory> rows_;
};

std::map<std::string, std::size_t> bytes_by_tag(const CachingAllocator& memory) {
  std::map<std::string, std::size_t> result;
  for (const MemoryTagUse& use : memory.tags()) result[use.tag] = use.bytes;
  return result;
}

/// The bytes that a tensor's block has.
std::size_t block_bytes(const Tensor& tensor) {
  return (tensor.nbytes() + memory::kRounding - 1) / memory::kRounding * memory::kRounding;
}

void count_parameters(const Module& model, Layers& layers) {
  for (const auto& [name, tensor] : model.state_dict()) {
    layers.at(layer_of(name)).parameters += block_bytes(tensor);
  }
  for (const auto& [name, tensor] : model.parameters()) {
    layers.at(layer_of(name)).gradients += block_bytes(tensor);
  }
}

/// The optimiser keeps as many states of each parameter, and a few numbers of its own.
void count_states(std::size_t bytes, Layers& layers, const Module& model) {
  std::size_t parameters = 0;
  for (const auto& [name, tensor] : model.parameters()) parameters += block_bytes(tensor);
  const std::size_t states = parameters == 0 ? 0 : bytes / parameters;
  for (const auto& [name, tensor] : model.parameters()) {
    layers.at(layer_of(name)).optimizer_state += states * block_bytes(tensor);
  }
  layers.at("optimizer").optimizer_state += bytes - states * parameters;
}

}  // namespace

PlannedTraining plan_training(std::function<std::unique_ptr<Module>()> make_model, const ImageShape& image,
                              const TargetFormat& targets,
                              std::function<std::unique_ptr<Task>(Device)> make_task, Device device,
                              MemoryFormat format) {
  const auto allocate = [=](const Shape& shape, DType dtype) {
    return Tensor::empty(shape, dtype, device, shape.rank() == 4 ? format : MemoryFormat::Contiguous);
  };
  return {
      .make_model = std::move(make_model),
      .make_batch = [=](std::int64_t size) { return make_batch(size, image, targets, allocate); },
      .make_task = std::move(make_task),
      .device = device,
      .format = format,
  };
}

PlannedTraining plan_classification(std::function<std::unique_ptr<Module>()> make_model, const Shape& image,
                                    Device device, MemoryFormat format) {
  DLCUDA_CHECK(image.rank() == 3, ShapeError, "plan_classification: an image is (C, H, W), got {}",
               to_string(image));
  return plan_training(
      std::move(make_model), {image[0], image[1], image[2]}, {},
      [](Device on) { return std::make_unique<ClassificationTask>(on); }, device, format);
}

MemoryPlan plan_memory(const PlannedTraining& training, std::int64_t batch_size, std::size_t limit) {
  DLCUDA_CHECK(batch_size >= 1, ArgumentError, "plan_memory: the batch size must be at least 1, got {}",
               batch_size);
  const Device device = training.device;
  PlanningGround ground(device, limit);
  CachingAllocator& memory = ground.memory();
  const auto in_use = [&] { return memory.stats().total.active.current; };

  MemoryPlan plan;
  plan.batch_size = batch_size;
  Layers layers;
  const auto model = training.make_model();
  model->to(training.dtype);
  model->to(device, training.format);
  count_parameters(*model, layers);
  const std::size_t with_model = in_use();
  const auto optimizer = make_optimizer(training.optimizer, model->parameters(), 1e-3);
  count_states(in_use() - with_model, layers, *model);
  const auto task = training.make_task(device);
  kernels::Generator& dropout = kernels::dropout_generator(device);

  const std::size_t before_batch = in_use();
  Batch batch = training.make_batch(batch_size);
  // As the loader delivers them.
  if (training.dtype != DType::F32) batch.images = kernels::cast(batch.images, training.dtype);
  plan.batch = in_use() - before_batch;
  LossScale loss_scale = LossScale::for_dtype(training.dtype, device);
  for (int step = 0; step < 2; ++step) {
    memory.reset_peaks();
    const auto before = bytes_by_tag(memory);
    const Tensor loss = task->loss(*model, batch);
    if (step == 1) {
      for (const auto& [tag, bytes] : bytes_by_tag(memory)) {
        const auto found = before.find(tag);
        const std::size_t earlier = found == before.end() ? 0 : found->second;
        if (bytes > earlier) layers.at(tag).activations += bytes - earlier;
      }
    }
    loss_scale.backward(loss);
    optimizer->step(loss_scale);
    dropout.end_step();
  }
  plan.layers = layers.take();
  for (const LayerMemory& layer : plan.layers) {
    plan.all.parameters += layer.parameters;
    plan.all.gradients += layer.gradients;
    plan.all.optimizer_state += layer.optimizer_state;
    plan.all.activations += layer.activations;
  }
  const MemoryStats stats = memory.stats();
  plan.peak = stats.total.active.peak;
  plan.reserved = stats.total.reserved.peak;
  const std::size_t known = plan.all.total() + plan.batch;
  plan.workspace = plan.peak > known ? plan.peak - known : 0;
  return plan;
}

std::int64_t largest_batch(const PlannedTraining& training, std::size_t bytes, std::int64_t most) {
  const auto fits = [&](std::int64_t batch_size) {
    try {
      plan_memory(training, batch_size, bytes);
      return true;
    } catch (const OutOfMemoryError&) {
      return false;
    }
  };
  std::int64_t good = 0, bad = 1;
  while (bad <= most && fits(bad)) {
    good = bad;
    bad *= 2;
  }
  bad = std::min(bad, most + 1);
  while (bad - good > 1) {
    const std::int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

std::string to_string(const MemoryPlan& plan) {
  std::size_t width = 5;
  for (const LayerMemory& layer : plan.layers) width = std::max(width, layer.layer.size());
  const auto row = [&](const std::string& name, const LayerMemory& m) {
    return fmt::format("{:<{}}  {:>10}  {:>10}  {:>10}  {:>11}\n", name, width, format_bytes(m.parameters),
                       format_bytes(m.gradients), format_bytes(m.optimizer_state),
                       format_bytes(m.activations));
  };
  std::string text = fmt::format("{:<{}}  {:>10}  {:>10}  {:>10}  {:>11}\n", "layer", width, "parameters",
                                 "gradients", "optimizer", "activations");
  for (const LayerMemory& layer : plan.layers) {
    if (layer.total() > 0) text += row(layer.layer, layer);
  }
  text += row("total", plan.all);
  text += fmt::format("batch of {}: {}; workspace at the peak: {}\n", plan.batch_size,
                      format_bytes(plan.batch), format_bytes(plan.workspace));
  text += fmt::format("peak: {} in use, {} reserved\n", format_bytes(plan.peak), format_bytes(plan.reserved));
  return text;
}

}  // namespace dlcuda
