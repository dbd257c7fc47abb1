#include "dlcuda/optim/optimizer.h"

#include <cmath>
#include <map>
#include <utility>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/capture.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/profile.h"
#include "dlcuda/core/text.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/copy.h"

namespace dlcuda {
namespace {

void check_parameters(const NamedTensors& parameters) {
  DLCUDA_CHECK(!parameters.empty(), ArgumentError, "optimizer: there are no parameters to update");
  std::map<const autograd::Meta*, std::string> seen;
  for (const auto& [name, parameter] : parameters) {
    DLCUDA_CHECK(parameter.defined(), ArgumentError, "optimizer: parameter {} is undefined", name);
    DLCUDA_CHECK(
        !parameter.meta().node, ArgumentError,
        "optimizer: parameter {} is the result of an operation; give the tensor it was computed from", name);
    const auto [entry, fresh] = seen.emplace(&parameter.meta(), name);
    DLCUDA_CHECK(fresh, ArgumentError,
                 "optimizer: {} and {} are the same tensor, which would be updated twice a step",
                 entry->second, name);
    const Device device = parameters.front().second.device();
    DLCUDA_CHECK(parameter.device() == device, DeviceError,
                 "optimizer: parameter {} is on {}, {} on {}; move the whole module with to() first",
                 parameters.front().first, to_string(device), name, to_string(parameter.device()));
    DLCUDA_CHECK(is_floating_point(parameter.dtype()) && (parameter.dtype() != DType::F64 || device.is_cpu()),
                 DTypeError,
                 "optimizer: parameter {} must be f32, bf16 or f16 (or f64 on the CPU), got {} on {}", name,
                 to_string(parameter.dtype()), to_string(device));
    DLCUDA_CHECK(parameter.is_dense(), ShapeError,
                 "optimizer: parameter {} of shape {} is a slice; give a tensor of its own", name,
                 to_string(parameter.shape()));
  }
}

MemoryTag tag() {
  static const MemoryTag kTag("optimizer");
  return kTag;
}

bool is_low_precision(DType dtype) { return dtype == DType::BF16 || dtype == DType::F16; }

}  // namespace

Optimizer::Optimizer(const NamedTensors& parameters, double learning_rate, int states) {
  check_parameters(parameters);
  const MemoryTagScope scope(tag());
  DLCUDA_CHECK(learning_rate > 0, ArgumentError, "optimizer: the learning rate must be positive, got {}",
               learning_rate);
  lr_ = Tensor::empty({1}, DType::F32, parameters.front().second.device());
  set_learning_rate(learning_rate);
  slots_.reserve(parameters.size());
  for (const auto& [name, parameter] : parameters) {
    Slot& slot = slots_.emplace_back();
    slot.parameter = parameter;
    if (is_low_precision(parameter.dtype())) slot.master = kernels::cast(parameter.detach(), DType::F32);
    const Tensor& exact = slot.master.defined() ? slot.master : parameter;
    for (int i = 0; i < states; ++i) slot.state[std::size_t(i)] = Tensor::zeros_like(exact);
  }
  tensors_.reserve(slots_.size());
  gradients_.reserve(slots_.size());
  gradient_views_.reserve(slots_.size());
}

void Optimizer::set_learning_rate(double lr) {
  DLCUDA_CHECK(std::isfinite(lr) && lr >= 0, ArgumentError,
               "optimizer: the learning rate must be finite and not negative, got {}", lr);
  capture::refuse("the learning rate is set inside the step: set it before the step runs");
  learning_rate_ = lr;
  // The value travels as an argument of the kernel: there is no host memory that would have to stay valid.
  kernels::fill(lr_, lr);
}

void Optimizer::step() { step(nullptr); }
void Optimizer::step(LossScale& scale) { step(&scale); }

void Optimizer::step(LossScale& scale, const Tensor& learning_rate) {
  check_rate(learning_rate);
  struct Lend {
    Lend(Tensor& at, const Tensor& other) : place(at), own(std::exchange(at, other)) {}
    ~Lend() { place = std::move(own); }
    Tensor& place;
    Tensor own;
  };
  const Lend lend(lr_, learning_rate);
  step(&scale);
}

void Optimizer::check_rate(const Tensor& rate) const {
  DLCUDA_CHECK(rate.defined() && rate.numel() == 1, ShapeError,
               "optimizer: the learning rate must be one element, got {}",
               rate.defined() ? to_string(rate.shape()) : "an undefined tensor");
  DLCUDA_CHECK(rate.dtype() == DType::F32, DTypeError, "optimizer: the learning rate must be f32, got {}",
               to_string(rate.dtype()));
  DLCUDA_CHECK(rate.device() == device(), DeviceError,
               "optimizer: the learning rate is on {}, the parameters are on {}", to_string(rate.device()),
               to_string(device()));
}

void Optimizer::step(LossScale* scale) {
  const autograd::NoGrad no_grad;
  const MemoryTagScope scope(tag());
  const ProfileRange range("optimizer step", ProfilePhase::Update);
  tensors_.clear();
  gradients_.clear();
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad_stamp() <= last_stamp_) continue;
    gradients_.push_back(kernels::to_format(slot.parameter.grad(), slot.parameter.format()));
    const auto view_of = [](const Tensor& state) { return state.defined() ? state.raw() : TensorView{}; };
    const bool low = slot.master.defined();
    tensors_.push_back({.parameter = (low ? slot.master : slot.parameter).raw(),
                        .gradient = gradients_.back().raw(),
                        .state1 = view_of(slot.state[0]),
                        .state2 = view_of(slot.state[1]),
                        .copy = low ? slot.parameter.raw() : TensorView{}});
  }
  DLCUDA_CHECK(
      !tensors_.empty(), Error,
      "optimizer: no parameter has a gradient that is newer than the last step(); call backward() first, and "
      "make the optimizer after the module was moved with to()");
  update(tensors_, settle(scale));
  if (capture::Recording* recording = capture::recording()) note_step(*recording);
  finish_step();
  gradients_.clear();
}

Tensor Optimizer::settle(LossScale* scale) {
  if (scale == nullptr || !scale->enabled()) return {};
  DLCUDA_CHECK(scale->device() == device(), DeviceError,
               "optimizer: the loss scale is on {}, the parameters are on {}", to_string(scale->device()),
               to_string(device()));
  gradient_views_.clear();
  for (const kernels::UpdateTensors& tensors : tensors_) gradient_views_.push_back({tensors.gradient});
  return scale->settle(gradient_views_);
}

void Optimizer::finish_step() {
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad_stamp() > last_stamp_) slot.parameter.bump_version();
  }
  last_stamp_ = autograd::latest_stamp();
  autograd::end_step();
}

// A replay updates the same parameters by the same buffers.
void Optimizer::note_step(capture::Recording& recording) {
  recording.undo.push_back([this, stamp = last_stamp_] { last_stamp_ = stamp; });
  recording.after_replay.push_back([this] { finish_step(); });
  for (const Slot& slot : slots_) {
    if (recording.touched.contains(&slot.parameter.meta())) continue;  // the recording writes it itself
    const bool fresh = slot.parameter.grad_stamp() > last_stamp_;
    const void* gradient = fresh ? slot.parameter.grad().data() : nullptr;
    recording.guards.push_back([this, &slot, fresh, gradient] {
      const bool is_fresh = slot.parameter.grad_stamp() > last_stamp_;
      return is_fresh == fresh && (!fresh || slot.parameter.grad().data() == gradient);
    });
  }
}

const std::vector<std::string>& optimizer_names() {
  static const std::vector<std::string> names{"sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"};
  return names;
}

std::unique_ptr<Optimizer> make_optimizer(std::string_view name, const NamedTensors& parameters,
                                          double learning_rate) {
  if (name == "sgd") return std::make_unique<Sgd>(parameters, learning_rate);
  if (name == "momentum") {
    return std::make_unique<Sgd>(parameters, learning_rate, kernels::SgdParams{.momentum = 0.9});
  }
  if (name == "nesterov") {
    return std::make_unique<Sgd>(parameters, learning_rate,
                                 kernels::SgdParams{.momentum = 0.9, .nesterov = true});
  }
  if (name == "rmsprop") return std::make_unique<RmsProp>(parameters, learning_rate);
  if (name == "adam") return std::make_unique<Adam>(parameters, learning_rate);
  if (name == "adamw") {
    return std::make_unique<Adam>(parameters, learning_rate,
                                  kernels::AdamParams{.weight_decay = 0.01, .decoupled = true});
  }
  DLCUDA_THROW(ArgumentError, "optimizer: unknown name '{}' (known: {}){}", name,
               fmt::join(optimizer_names(), ", "), did_you_mean(name, optimizer_names()));
}

}  // namespace dlcuda
