#include "dlcuda/tools/bench_model.h"

#include <algorithm>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/zoo_training.h"
#include "dlcuda/train/model_table.h"
#include "dlcuda/train/trainer.h"

namespace dlcuda::tool {
namespace {

/// Any will do, but it must be the same everywhere: classes in turn, four boxes, masks of stripes.
Target target_of(std::int64_t row, const TargetFormat& format, const BenchConfig& config) {
  const std::int64_t classes = config.choice.classes;
  Target target;
  switch (format.kind) {
    case TargetKind::Class:
      target.label = 7 * row % classes;
      break;
    case TargetKind::Boxes:
      for (std::int64_t m = 0; m < 4; ++m) {
        const float corner = 0.2f * float(m), side = 0.1f * float(m + 1);
        target.boxes.push_back({corner, corner, corner + side, corner + side, (4 * row + m) * 7 % classes});
      }
      break;
    case TargetKind::Mask:
      for (std::int64_t y = 0; y < config.choice.input.height; ++y) {
        const auto pixel = static_cast<std::uint8_t>(y / 8 % std::min<std::int64_t>(classes, kIgnoredPixel));
        target.mask.insert(target.mask.end(), std::size_t(config.choice.input.width), pixel);
      }
      break;
  }
  return target;
}

Batch resident_batch(const BenchConfig& config) {
  static const MemoryTag kTag("data");
  const MemoryTagScope scope(kTag);
  const TargetFormat format = training_targets(config.choice.model.prediction);
  Batch batch = make_batch(config.batch_size, config.choice.input, format,
                           [](const Shape& shape, DType dtype) { return Tensor::empty(shape, dtype); });
  for (std::int64_t row = 0; row < config.batch_size; ++row) {
    write_target(batch, row, target_of(row, format, config), format, config.choice.classes, row);
  }
  kernels::fill_normal(batch.images, 0, 1, kernels::weight_generator().next_call());
  batch = as_model_input(batch, config.format, model_dtype(config.precision));
  return batch.map([&](const Tensor& tensor) { return tensor.to(config.device); });
}

std::unique_ptr<Module> make_model(const BenchConfig& config) {
  const MemoryTagScope scope("parameters");
  kernels::manual_seed(1);
  auto model = config.choice.make();
  if (!config.train) {
    model->eval();
    fold_batch_norm(*model);
  }
  model->to(model_dtype(config.precision));
  model->to(config.device, config.format);
  return model;
}

}  // namespace

BenchModel::BenchModel(const BenchConfig& config)
    : model_(make_model(config)),
      loss_scale_(LossScale::for_dtype(model_dtype(config.precision), config.device)),
      dropout_(kernels::dropout_generator(config.device)),
      inputs_(to_tensors(resident_batch(config))),
      recorded_(config.device,
                [this](const std::vector<Tensor>& inputs) { return compute_several(inputs); }) {
  if (!config.train) inputs_.resize(1);
  for (std::int64_t step = 0; step < config.steps_per_launch; ++step) {
    launch_inputs_.insert(launch_inputs_.end(), inputs_.begin(), inputs_.end());
  }
  if (!config.train) return;
  task_ = make_training_task(config.choice.model.prediction, config.choice.classes, config.device);
  optimizer_ = make_optimizer("adam", model_->parameters(), 1e-3);
}

std::vector<Tensor> BenchModel::compute(std::span<const Tensor> inputs) {
  if (!task_) {
    const autograd::NoGrad no_grad;
    return {(*model_)(inputs[0])};
  }
  const Tensor loss = task_->loss(*model_, to_batch({inputs.begin(), inputs.end()}));
  loss_scale_.backward(loss);
  optimizer_->step(loss_scale_);
  dropout_.end_step();
  return {loss};
}

std::vector<Tensor> BenchModel::compute_several(std::span<const Tensor> inputs) {
  std::vector<Tensor> result;
  for (; !inputs.empty(); inputs = inputs.subspan(inputs_.size())) {
    result = compute(inputs.first(inputs_.size()));
  }
  return result;
}

BenchWork work_of(const BenchConfig& config) {
  const ImageShape& input = config.choice.input;
  const Shape images{config.batch_size, input.channels, input.height, input.width};
  const ModelSummary summary = summarize_model([&] { return config.choice.make(); }, images);
  double outputs = 0;  // elements
  for (const LayerSummary& layer : summary.layers) {
    if (layer.multiply_adds > 0) outputs += double(layer.activation_bytes) / size_of(DType::F32);
  }
  const double element = double(size_of(model_dtype(config.precision)));
  const double a = outputs * element, i = double(images.numel()) * element;
  const double parameters = double(summary.parameters), p = parameters * element;
  const double flops = 2 * double(summary.multiply_adds);
  if (!config.train) return {flops, i + 2 * a + p, summary.parameters};
  const bool master = model_dtype(config.precision) != DType::F32;
  const double update = p + 6 * parameters * size_of(DType::F32) + (master ? p : 0);
  return {3 * flops, 2 * i + 5 * a + 3 * p + update, summary.parameters};
}

}  // namespace dlcuda::tool
