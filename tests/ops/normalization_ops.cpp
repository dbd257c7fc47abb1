#include "dlcuda/kernels/group_norm.h"
#include "dlcuda/layers/functional/normalization.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;
using kernels::Activation;

kernels::ActivationParams activation(const std::string& name) {
  if (name == "relu") return {.kind = Activation::Relu};
  if (name == "relu6") return {.kind = Activation::Relu6};
  if (name == "leaky_relu") return {.kind = Activation::LeakyRelu, .slope = 0.125f};
  if (name == "sigmoid") return {.kind = Activation::Sigmoid};
  return {.kind = Activation::Identity};
}

const Op kBatchNorm("batch_norm", [](const Inputs& in, const Params& p) {
  // The running statistics move in place: on copies, which are outputs then.
  F::BatchNormTensors tensors{in[1], in[2]};
  if (in[4].defined()) {
    tensors.running_mean = in[4].clone();
    tensors.running_var = in[5].clone();
  }
  const Tensor y = F::batch_norm_add(in[0], in[3], tensors, p.flag("training"),
                                     {.epsilon = p.number("epsilon"),
                                      .momentum = p.number("momentum"),
                                      .activation = activation(p.text("activation"))});
  if (!in[4].defined()) return Outputs{y};
  return Outputs{y, tensors.running_mean, tensors.running_var};
});

Tensor norm(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const Tensor& residual = {},
            const F::BatchNormParams& params = {}) {
  return F::batch_norm_add(x, residual, {weight, bias}, true, params);
}
const OpErrors kBatchNormErrors(
    "batch_norm", {
                      {Aspect::Rank,
                       [](Device d) {
                         norm(zeros({2, 3, 4}, d), {});
                       },
                       "batch_norm: x must be (N, C) or (N, C, H, W), got shape [2, 3, 4]"},
                      {Aspect::Shape,
                       [](Device d) {
                         norm(zeros({2, 3}, d), zeros({2}, d));
                       },
                       "batch_norm: weight must have shape [3], got [2]"},
                      {Aspect::Shape,
                       [](Device d) {
                         norm(zeros({2, 3}, d), {}, zeros({1, 3}, d));
                       },
                       "batch_norm: bias must have shape [3], got [1, 3]"},
                      {Aspect::Shape,
                       [](Device d) {
                         norm(zeros({2, 3}, d), {}, {}, zeros({3, 2}, d));
                       },
                       "batch_norm: residual must have shape [2, 3], got [3, 2]"},
                      {Aspect::Shape,
                       [](Device d) {
                         norm(zeros({1, 3, 1, 1}, d), {});
                       },
                       "batch_norm: in training a channel needs more than one value, got shape [1, 3, 1, 1]"},
                      {Aspect::DType,
                       [](Device d) {
                         norm(zeros({2, 3}, d, DType::I32), {});
                       },
                       "batch_norm: x must be floating-point, got i32; cast it first"},
                      {Aspect::DType,
                       [](Device d) {
                         norm(zeros({2, 3}, d, DType::BF16), zeros({3}, d, DType::BF16));
                       },
                       "batch_norm: weight must be f32, got bf16; cast it first"},
                      {Aspect::Device,
                       [](Device d) {
                         norm(zeros({2, 3}, d), zeros({3}, Device::cpu()));
                       },
                       "batch_norm: weight is on cpu, expected cuda:0; move it with to(device)"},
                      {Aspect::Device,
                       [](Device d) {
                         norm(zeros({2, 3}, d), {}, {}, zeros({2, 3}, Device::cpu()));
                       },
                       "batch_norm: residual is on cpu, expected cuda:0; move it with to(device)"},
                      {Aspect::Argument,
                       [](Device d) {
                         norm(zeros({2, 3}, d), {}, {}, {}, {.epsilon = 0});
                       },
                       "batch_norm: epsilon must be positive, got 0"},
                      {Aspect::Argument,
                       [](Device d) {
                         norm(zeros({2, 3}, d), {}, {}, {}, {.momentum = 2});
                       },
                       "batch_norm: momentum must be between 0 and 1, got 2"},
                      {Aspect::Argument,
                       [](Device d) {
                         norm(zeros({2, 3}, d), {}, {}, {}, {.activation = {.kind = Activation::Gelu}});
                       },
                       "batch_norm: this activation cannot be fused, because its gradient needs its input; "
                       "call it by itself"},
                      {Aspect::Argument,
                       [](Device d) {
                         F::batch_norm(zeros({2, 3}, d), {{}, {}, zeros({3}, d), {}}, true);
                       },
                       "batch_norm: running_mean and running_var come together or not at all"},
                      {Aspect::Argument,
                       [](Device d) {
                         kernels::batch_norm_inference(zeros({2, 3}, d), {}, {}, {}, {}, {});
                       },
                       "batch_norm: running_mean is undefined"},
                  });

const Op kFold("fold_batch_norm", [](const Inputs& in, const Params& p) {
  auto [weight, bias] =
      kernels::fold_batch_norm(in[0], in[1], in[2], in[3], in[4], in[5], p.number("epsilon"));
  return Outputs{weight, bias};
});
Tensor fold(const Tensor& weight, const Tensor& bias, const Tensor& mean) {
  return kernels::fold_batch_norm(weight, bias, {}, {}, mean, mean).weight;
}
const OpErrors kFoldErrors(
    "fold_batch_norm",
    {
        {Aspect::Rank, [](Device d) { fold(zeros({3}, d), {}, zeros({3}, d)); },
         "fold_batch_norm: layer_weight must have an output and an input axis, got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           fold(zeros({3, 2}, d), {}, zeros({2}, d));
         },
         "fold_batch_norm: running_mean must have shape [3], got [2]"},
        {Aspect::Shape,
         [](Device d) {
           fold(zeros({3, 2}, d), zeros({2}, d), zeros({3}, d));
         },
         "fold_batch_norm: layer_bias must have shape [3], got [2]"},
        {Aspect::DType,
         [](Device d) {
           fold(zeros({3, 2}, d), {}, zeros({3}, d, DType::F16));
         },
         "fold_batch_norm: running_mean must be f32, got f16; cast it first"},
        {Aspect::Device,
         [](Device d) {
           fold(zeros({3, 2}, d), {}, zeros({3}, Device::cpu()));
         },
         "fold_batch_norm: running_mean is on cpu, expected cuda:0; move it with to(device)"},
    });

const Op kGroupNorm("group_norm", [](const Inputs& in, const Params& p) {
  return Outputs{F::group_norm(in[0], p.integer("groups"), in[1], in[2])};
});
const OpErrors kGroupNormErrors(
    "group_norm", {
                      {Aspect::Rank, [](Device d) { F::group_norm(zeros({3}, d), 1); },
                       "group_norm: x must be (N, C, ...), got shape [3]"},
                      {Aspect::Shape,
                       [](Device d) {
                         F::group_norm(zeros({2, 4}, d), 2, zeros({2}, d));
                       },
                       "group_norm: weight must have shape [4], got [2]"},
                      {Aspect::DType,
                       [](Device d) {
                         F::group_norm(zeros({2, 4}, d), 2, zeros({4}, d, DType::F16));
                       },
                       "group_norm: weight must be f32, got f16; cast it first"},
                      {Aspect::Device,
                       [](Device d) {
                         F::group_norm(zeros({2, 4}, d), 2, zeros({4}, Device::cpu()));
                       },
                       "group_norm: weight is on cpu, expected cuda:0; move it with to(device)"},
                      {Aspect::Argument,
                       [](Device d) {
                         F::group_norm(zeros({2, 4}, d), 3);
                       },
                       "group_norm: groups must divide the 4 channels of x, got 3"},
                      {Aspect::Argument,
                       [](Device d) {
                         F::group_norm(zeros({2, 4}, d), 2, {}, {}, -1);
                       },
                       "group_norm: epsilon must be positive, got -1"},
                  });

const Op kLayerNorm("layer_norm", [](const Inputs& in, const Params& p) {
  const auto normalized = p.integers("normalized");
  return Outputs{F::layer_norm(in[0], Shape(std::span<const std::int64_t>(normalized)), in[1], in[2])};
});
const OpErrors kLayerNormErrors(
    "layer_norm",
    {
        {Aspect::Rank,
         [](Device d) {
           F::layer_norm(zeros({3}, d), {2, 3});
         },
         "layer_norm: x of shape [3] does not end in the normalised axes [2, 3]"},
        {Aspect::Shape,
         [](Device d) {
           F::layer_norm(zeros({2, 4}, d), {3});
         },
         "layer_norm: x of shape [2, 4] does not end in the normalised axes [3]"},
        {Aspect::Shape,
         [](Device d) {
           F::layer_norm(zeros({2, 4}, d), {4}, zeros({2}, d));
         },
         "layer_norm: weight must have shape [4], got [2]"},
        {Aspect::DType,
         [](Device d) {
           F::layer_norm(zeros({2, 4}, d, DType::U8), {4});
         },
         "group_norm: x must be floating-point, got u8; cast it first"},
        {Aspect::Device,
         [](Device d) {
           F::layer_norm(zeros({2, 4}, d), {4}, zeros({4}, Device::cpu()));
         },
         "group_norm: weight is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) {
           F::layer_norm(Tensor::zeros({2, 3, 4, 4}, DType::F32, d, MemoryFormat::ChannelsLast), {4});
         },
         "layer_norm: x of shape [2, 3, 4, 4] must lie in N, C, H, W order; take kernels::contiguous() of it "
         "first"},
    });

const Op kLocalResponseNorm("local_response_norm", [](const Inputs& in, const Params& p) {
  return Outputs{F::local_response_norm(
      in[0],
      {.size = p.integer("size"), .alpha = p.number("alpha"), .beta = p.number("beta"), .k = p.number("k")})};
});
const OpErrors kLocalResponseNormErrors(
    "local_response_norm",
    {
        {Aspect::Rank, [](Device d) { F::local_response_norm(zeros({3}, d)); },
         "local_response_norm: x must be (N, C) or (N, C, H, W), got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           kernels::local_response_norm_backward(zeros({2, 3}, d), zeros({2, 4}, d));
         },
         "local_response_norm_backward: dy must have shape [2, 4], got [2, 3]"},
        {Aspect::DType,
         [](Device d) {
           F::local_response_norm(zeros({2, 3}, d, DType::I64));
         },
         "local_response_norm: x must be floating-point, got i64; cast it first"},
        {Aspect::Device,
         [](Device d) {
           kernels::local_response_norm_backward(zeros({2, 3}, Device::cpu()), zeros({2, 3}, d));
         },
         "local_response_norm_backward: dy is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) {
           F::local_response_norm(zeros({2, 3}, d), {.size = 0});
         },
         "local_response_norm: size must be at least 1, got 0"},
        {Aspect::Argument,
         [](Device d) {
           F::local_response_norm(zeros({2, 3}, d), {.k = 0});
         },
         "local_response_norm: alpha must not be negative and k must be positive, got 0.0001 and 0"},
    });

}  // namespace
}  // namespace dlcuda::testing
