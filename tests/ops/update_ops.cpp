// Optimiser updates. In f32 and f64 the parameter is updated itself; bf16 and f16 are the copy of master
// weights in f32, as a model in low precision has them.
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/update.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

using kernels::UpdateTensors;

/// step(tensors, lr, count) for each gradient after the parameter.
template <typename Step>
Outputs updated(const Inputs& in, const Params& p, const Step& step) {
  const Device device = in[0].device();
  const bool low = in[0].dtype() == DType::BF16 || in[0].dtype() == DType::F16;
  const Tensor copy = in[0].detach().clone();
  const Tensor parameter = low ? kernels::cast(copy, DType::F32) : copy;
  const Tensor state1 = Tensor::zeros_like(parameter), state2 = Tensor::zeros_like(parameter);
  const Tensor lr = Tensor::from_values<float>({static_cast<float>(p.number("lr"))}, Shape{1}, device);
  Tensor count = Tensor::zeros(Shape{1}, DType::I64, device);
  for (std::size_t i = 1; i < in.size(); ++i) {
    const UpdateTensors tensors{.parameter = parameter.raw(),
                                .gradient = in[i].raw(),
                                .state1 = state1.raw(),
                                .state2 = state2.raw(),
                                .copy = low ? copy.raw() : TensorView{}};
    step(device, std::span(&tensors, 1), lr, count);
  }
  return {copy};
}

const Op kSgd("sgd_update", [](const Inputs& in, const Params& p) {
  const kernels::SgdParams params{p.number("momentum"), p.number("decay"), p.flag("nesterov")};
  return updated(in, p, [&](Device device, auto tensors, const Tensor& lr, Tensor&) {
    kernels::sgd_update(device, tensors, lr, params);
  });
});
const Op kRmsProp("rmsprop_update", [](const Inputs& in, const Params& p) {
  const kernels::RmsPropParams params{p.number("alpha"), p.number("epsilon"), p.number("momentum"),
                                      p.number("decay")};
  return updated(in, p, [&](Device device, auto tensors, const Tensor& lr, Tensor&) {
    kernels::rmsprop_update(device, tensors, lr, params);
  });
});
const Op kAdam("adam_update", [](const Inputs& in, const Params& p) {
  const auto betas = p.get<std::array<double, 2>>("betas");
  const kernels::AdamParams params{betas[0], betas[1], p.number("epsilon"), p.number("decay"),
                                   p.flag("decoupled")};
  return updated(in, p, [&](Device device, auto tensors, const Tensor& lr, Tensor& count) {
    kernels::adam_update(device, tensors, lr, count, params);
  });
});

// What an update is tried with; each error case spoils one piece.
struct Pieces {
  Tensor parameter, gradient, state1, state2, copy, lr, count;
  explicit Pieces(Device d)
      : parameter(zeros({2, 3}, d)),
        gradient(zeros({2, 3}, d)),
        state1(zeros({2, 3}, d)),
        state2(zeros({2, 3}, d)),
        lr(zeros({1}, d)),
        count(zeros({1}, d, DType::I64)) {}
  UpdateTensors tensors() const {
    const auto view = [](const Tensor& x) { return x.defined() ? x.raw() : TensorView{}; };
    return {view(parameter), view(gradient), view(state1), view(state2), view(copy)};
  }
};
void sgd(Device d, const Pieces& x) {
  const UpdateTensors tensors = x.tensors();
  kernels::sgd_update(d, std::span(&tensors, 1), x.lr, {.momentum = 0.5});
}
void rmsprop(Device d, const Pieces& x) {
  const UpdateTensors tensors = x.tensors();
  kernels::rmsprop_update(d, std::span(&tensors, 1), x.lr, {});
}
void adam(Device d, Pieces& x) {
  const UpdateTensors tensors = x.tensors();
  kernels::adam_update(d, std::span(&tensors, 1), x.lr, x.count, {});
}
/// spoil(pieces, device), then update.
template <typename Spoil, typename Update>
std::function<void(Device)> spoiled(Spoil spoil, Update update) {
  return [=](Device d) {
    Pieces pieces(d);
    spoil(pieces, d);
    update(d, pieces);
  };
}

const auto kShortGradient = [](Pieces& x, Device d) { x.gradient = zeros({2, 2}, d); };
const auto kShortState = [](Pieces& x, Device d) { x.state1 = zeros({5}, d); };
const auto kNoState = [](Pieces& x, Device) { x.state1 = Tensor(); };
const auto kLongRate = [](Pieces& x, Device d) { x.lr = zeros({2}, d); };
const auto kIntegers = [](Pieces& x, Device d) { x.gradient = zeros({2, 3}, d, DType::I32); };
const auto kHalfState = [](Pieces& x, Device d) { x.state1 = zeros({2, 3}, d, DType::F16); };
const auto kOtherCopy = [](Pieces& x, Device d) { x.copy = zeros({2, 3}, d, DType::BF16); };
const auto kFarRate = [](Pieces& x, Device) { x.lr = zeros({1}, Device::cpu()); };

const OpErrors kSgdErrors(
    "sgd_update",
    {
        {Aspect::Rank, spoiled(kLongRate, sgd), "sgd_update: lr must have one element, got shape [2]"},
        {Aspect::Shape, spoiled(kShortGradient, sgd),
         "sgd_update: gradient of parameter 0 must have 6 elements like it, got 4"},
        {Aspect::Shape, spoiled(kShortState, sgd),
         "sgd_update: state1 of parameter 0 must have 6 elements like it, got 5"},
        {Aspect::DType, spoiled(kIntegers, sgd),
         "sgd_update: gradient of parameter 0 must be f32, bf16 or f16, got i32"},
        {Aspect::DType, spoiled(kHalfState, sgd), "sgd_update: state1 of parameter 0 must be f32, got f16"},
        {Aspect::DType, spoiled(kOtherCopy, sgd),
         "sgd_update: copy of parameter 0 must be bf16 or f16 like its gradient, which is f32, got bf16"},
        {Aspect::Device, spoiled(kFarRate, sgd),
         "sgd_update: lr is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument, spoiled(kNoState, sgd), "sgd_update: parameter 0 has no state1"},
    });
const OpErrors kRmsPropErrors(
    "rmsprop_update",
    {
        {Aspect::Rank, spoiled(kLongRate, rmsprop),
         "rmsprop_update: lr must have one element, got shape [2]"},
        {Aspect::Shape, spoiled(kShortState, rmsprop),
         "rmsprop_update: state1 of parameter 0 must have 6 elements like it, got 5"},
        {Aspect::DType, spoiled(kIntegers, rmsprop),
         "rmsprop_update: gradient of parameter 0 must be f32, bf16 or f16, got i32"},
        {Aspect::Device, spoiled(kFarRate, rmsprop),
         "rmsprop_update: lr is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument, spoiled(kNoState, rmsprop), "rmsprop_update: parameter 0 has no state1"},
    });
const OpErrors kAdamErrors(
    "adam_update",
    {
        {Aspect::Rank, spoiled(kLongRate, adam), "adam_update: lr must have one element, got shape [2]"},
        {Aspect::Shape, spoiled(kShortGradient, adam),
         "adam_update: gradient of parameter 0 must have 6 elements like it, got 4"},
        {Aspect::Shape, spoiled([](Pieces& x, Device d) { x.state2 = zeros({1}, d); }, adam),
         "adam_update: state2 of parameter 0 must have 6 elements like it, got 1"},
        {Aspect::DType, spoiled([](Pieces& x, Device d) { x.count = zeros({1}, d); }, adam),
         "adam_update: step must be i64, got f32; cast it first"},
        {Aspect::Device, spoiled(kFarRate, adam),
         "adam_update: lr is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Device,
         spoiled([](Pieces& x, Device) { x.count = zeros({1}, Device::cpu(), DType::I64); }, adam),
         "adam_update: step is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument, spoiled(kNoState, adam), "adam_update: parameter 0 has no state1"},
    });

}  // namespace
}  // namespace dlcuda::testing
