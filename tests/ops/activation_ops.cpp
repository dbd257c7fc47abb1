#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/softmax.h"
#include "dlcuda/layers/functional/activation.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

const Op kSigmoid("sigmoid", [](const Inputs& in, const Params&) { return Outputs{F::sigmoid(in[0])}; });
const Op kTanh("tanh", [](const Inputs& in, const Params&) { return Outputs{F::tanh(in[0])}; });
const Op kRelu("relu", [](const Inputs& in, const Params&) { return Outputs{F::relu(in[0])}; });
const Op kRelu6("relu6", [](const Inputs& in, const Params&) { return Outputs{F::relu6(in[0])}; });
const Op kLeakyRelu("leaky_relu", [](const Inputs& in, const Params& p) {
  return Outputs{F::leaky_relu(in[0], p.get<float>("negative_slope"))};
});
const Op kElu("elu", [](const Inputs& in, const Params& p) {
  return Outputs{F::elu(in[0], p.get<float>("alpha"))};
});
const Op kSilu("silu", [](const Inputs& in, const Params&) { return Outputs{F::silu(in[0])}; });
const Op kGelu("gelu", [](const Inputs& in, const Params&) { return Outputs{F::gelu(in[0])}; });
const Op kGeluTanh("gelu_tanh", [](const Inputs& in, const Params&) { return Outputs{F::gelu_tanh(in[0])}; });
const Op kHardSigmoid("hard_sigmoid",
                      [](const Inputs& in, const Params&) { return Outputs{F::hard_sigmoid(in[0])}; });
const Op kHardSwish("hard_swish",
                    [](const Inputs& in, const Params&) { return Outputs{F::hard_swish(in[0])}; });
const Op kSoftplus("softplus", [](const Inputs& in, const Params& p) {
  return Outputs{F::softplus(in[0], p.get<float>("beta"), p.get<float>("threshold"))};
});

// All activations are one function with another functor: they refuse the same things.
const std::initializer_list<ErrorCase> kRefusals = {
    anything_goes(Aspect::Rank, "element-wise"),
    {Aspect::Shape,
     [](Device d) {
       kernels::activation_backward(zeros({2, 3}, d), zeros({3, 2}, d), {});
     },
     "activation_backward: saved must have shape [2, 3], got [3, 2]"},
    {Aspect::Shape,
     [](Device d) {
       F::relu(zeros({2, 4, 2, 2}, d).channel_slice(1, 3));
     },
     "activation: x of shape [2, 2, 2, 2] is a slice; take kernels::contiguous() of it first"},
    {Aspect::DType, [](Device d) { F::relu(zeros({2}, d, DType::I64)); },
     "activation: x must be floating-point, got i64; cast it first"},
    {Aspect::Shape,
     [](Device d) {
       kernels::activation_backward(zeros({1, 2, 3, 3}, d),
                                    Tensor::zeros({1, 2, 3, 3}, DType::F32, d, MemoryFormat::ChannelsLast),
                                    {});
     },
     "activation_backward: saved is channels-last and dy is contiguous; convert one with kernels::to_format"},
    {Aspect::DType,
     [](Device d) { kernels::activation_backward(zeros({2}, d), zeros({2}, d, DType::BF16), {}); },
     "activation_backward: saved must be f32, got bf16; cast it first"},
    {Aspect::Device,
     [](Device d) { kernels::activation_backward(zeros({2}, d), zeros({2}, Device::cpu()), {}); },
     "activation_backward: saved is on cpu, expected cuda:0; move it with to(device)"},
    {Aspect::Argument, [](Device d) { F::leaky_relu(zeros({2}, d), -0.5f); },
     "activation: the slope of leaky ReLU must not be negative, got -0.5"},
    {Aspect::Argument, [](Device d) { F::elu(zeros({2}, d), -1.0f); },
     "activation: the alpha of ELU must not be negative, got -1"},
    {Aspect::Argument, [](Device d) { F::softplus(zeros({2}, d), 0.0f); },
     "activation: the beta of softplus must be positive, got 0"},
};
const OpErrors kSigmoidErrors("sigmoid", kRefusals);
const OpErrors kTanhErrors("tanh", kRefusals);
const OpErrors kReluErrors("relu", kRefusals);
const OpErrors kRelu6Errors("relu6", kRefusals);
const OpErrors kLeakyReluErrors("leaky_relu", kRefusals);
const OpErrors kEluErrors("elu", kRefusals);
const OpErrors kSiluErrors("silu", kRefusals);
const OpErrors kGeluErrors("gelu", kRefusals);
const OpErrors kGeluTanhErrors("gelu_tanh", kRefusals);
const OpErrors kHardSigmoidErrors("hard_sigmoid", kRefusals);
const OpErrors kHardSwishErrors("hard_swish", kRefusals);
const OpErrors kSoftplusErrors("softplus", kRefusals);

const Op kSoftmax("softmax", [](const Inputs& in, const Params& p) {
  return Outputs{F::softmax(in[0], static_cast<int>(p.integer("axis")))};
});
const OpErrors kSoftmaxErrors(
    "softmax", {
                   {Aspect::Rank, [](Device d) { F::softmax(zeros({}, d)); },
                    "softmax: axis -1 does not exist in shape []"},
                   {Aspect::Shape,
                    [](Device d) {
                      kernels::softmax_backward(zeros({2, 3}, d), zeros({3, 2}, d));
                    },
                    "softmax_backward: y must have shape [2, 3], got [3, 2]"},
                   {Aspect::DType, [](Device d) { F::softmax(zeros({2}, d, DType::U8)); },
                    "softmax: x must be floating-point, got u8; cast it first"},
                   {Aspect::Device,
                    [](Device d) { kernels::softmax_backward(zeros({2}, d), zeros({2}, Device::cpu())); },
                    "softmax_backward: y is on cpu, expected cuda:0; move it with to(device)"},
                   {Aspect::Argument,
                    [](Device d) {
                      F::softmax(zeros({2, 3}, d), 2);
                    },
                    "softmax: axis 2 does not exist in shape [2, 3]"},
               });

const Op kLogSoftmax("log_softmax", [](const Inputs& in, const Params& p) {
  return Outputs{F::log_softmax(in[0], static_cast<int>(p.integer("axis")))};
});
const OpErrors kLogSoftmaxErrors(
    "log_softmax",
    {
        {Aspect::Rank, [](Device d) { F::log_softmax(zeros({}, d)); },
         "log_softmax: axis -1 does not exist in shape []"},
        {Aspect::Shape,
         [](Device d) {
           kernels::log_softmax_backward(zeros({2, 3}, d), zeros({3, 2}, d));
         },
         "log_softmax_backward: y must have shape [2, 3], got [3, 2]"},
        {Aspect::DType, [](Device d) { F::log_softmax(zeros({2}, d, DType::U8)); },
         "log_softmax: x must be floating-point, got u8; cast it first"},
        {Aspect::Device,
         [](Device d) { kernels::log_softmax_backward(zeros({2}, d), zeros({2}, Device::cpu())); },
         "log_softmax_backward: y is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) {
           F::log_softmax(zeros({2, 3}, d), -3);
         },
         "log_softmax: axis -3 does not exist in shape [2, 3]"},
    });

}  // namespace
}  // namespace dlcuda::testing
