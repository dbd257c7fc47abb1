#include <functional>
#include <map>

#include "dlcuda/kernels/conv2d_fused.h"
#include "dlcuda/layers/functional/convolution.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

F::Conv2dParams conv2d_params(const Inputs& in, const Params& p) {
  F::Conv2dParams params{.stride = p.array<2>("stride"),
                         .dilation = p.array<2>("dilation"),
                         .groups = p.get<std::int64_t>("groups", 1)};
  const std::string padding = p.get<nlohmann::json>("padding").is_string() ? p.text("padding") : "";
  if (padding == "same") return F::same_padding(in[0].shape(), {in[1].size(2), in[1].size(3)}, params);
  if (padding == "valid") return F::valid_padding(params);
  params.padding = p.array<4>("padding");
  return params;
}

const Op kConv2d("conv2d", [](const Inputs& in, const Params& p) {
  return Outputs{F::conv2d(in[0], in[1], in[2], conv2d_params(in, p))};
});
const Op kDepthwise("depthwise_conv2d", [](const Inputs& in, const Params& p) {
  return Outputs{F::depthwise_conv2d(in[0], in[1], in[2], conv2d_params(in, p))};
});

kernels::ActivationParams fused_activation(const std::string& name) {
  using enum kernels::Activation;
  static const std::map<std::string, kernels::ActivationParams> known{
      {"identity", {Identity}},
      {"relu", {Relu}},
      {"relu6", {Relu6}},
      {"sigmoid", {Sigmoid}},
      {"tanh", {Tanh}},
      {"elu", {Elu}},
      {"silu", {Silu}},
      {"gelu", {Gelu}},
      {"hard_swish", {HardSwish}},
      {"leaky_relu", {.kind = LeakyRelu, .slope = 0.125f}}};
  return known.at(name);
}

const Op kFused("conv2d_fused", [](const Inputs& in, const Params& p) {
  return Outputs{kernels::conv2d_fused(in[0], in[1], in[2], in[3], conv2d_params(in, p),
                                       fused_activation(p.text("activation")))};
});

/// conv2d_fused of x (1, 3, 8, 8) and weight (4, 3, 3, 3).
ErrorCase fused(Aspect aspect, std::string message, const std::function<Tensor(Device)>& x,
                const std::function<Tensor(Device)>& bias,
                const std::function<Tensor(Device)>& residual = {}) {
  return {aspect,
          [=](Device d) {
            kernels::conv2d_fused(x ? x(d) : zeros({1, 3, 8, 8}, d), zeros({4, 3, 3, 3}, d),
                                  bias ? bias(d) : Tensor(), residual ? residual(d) : Tensor(), {}, {});
          },
          std::move(message)};
}
const OpErrors kFusedErrors(
    "conv2d_fused",
    {fused(Aspect::Rank, "conv2d_fused: x must have 4 axes, got shape [3, 8, 8]",
           [](Device d) {
             return zeros({3, 8, 8}, d);
           },
           {}),
     fused(Aspect::Shape, "conv2d_fused: bias must have shape [4], got [3]", {},
           [](Device d) { return zeros({3}, d); }),
     fused(Aspect::Shape, "conv2d_fused: residual must have shape [1, 4, 6, 6], got [1, 4, 6, 5]", {}, {},
           [](Device d) {
             return zeros({1, 4, 6, 5}, d);
           }),
     fused(Aspect::DType, "conv2d_fused: x must be floating-point, got i32; cast it first",
           [](Device d) {
             return zeros({1, 3, 8, 8}, d, DType::I32);
           },
           {}),
     fused(Aspect::DType, "conv2d_fused: bias must be f32, got f16; cast it first", {},
           [](Device d) { return zeros({4}, d, DType::F16); }),
     fused(Aspect::Device, "conv2d_fused: bias is on cpu, expected cuda:0; move it with to(device)", {},
           [](Device) { return zeros({4}, Device::cpu()); }),
     fused(Aspect::Device, "conv2d_fused: residual is on cpu, expected cuda:0; move it with to(device)", {},
           {}, [](Device) {
             return zeros({1, 4, 6, 6}, Device::cpu());
           })});

/// conv2d of an x (1, 3, 8, 8) that is right unless the case says otherwise.
ErrorCase conv(Aspect aspect, std::string message, Shape weight, F::Conv2dParams params = {},
               Shape x = {1, 3, 8, 8}) {
  return {aspect, [=](Device d) { F::conv2d(zeros(x, d), zeros(weight, d), {}, params); },
          std::move(message)};
}

const OpErrors kConv2dErrors(
    "conv2d",
    {
        conv(Aspect::Rank, "conv2d: x must have 4 axes, got shape [3, 8, 8]", {4, 3, 3, 3}, {}, {3, 8, 8}),
        conv(Aspect::Rank, "conv2d: weight must have 4 axes, got shape [4, 3, 3]", {4, 3, 3}),
        conv(Aspect::Shape, "conv2d: x has 3 channels, weight [4, 5, 3, 3] with 1 group(s) expects 5",
             {4, 5, 3, 3}),
        conv(Aspect::Shape, "conv2d: 4 output channels do not divide into 3 groups", {4, 1, 3, 3},
             {.groups = 3}),
        conv(Aspect::Shape, "conv2d: the kernel is empty, weight has shape [4, 3, 0, 3]", {4, 3, 0, 3}),
        conv(Aspect::Shape,
             "conv2d: a kernel of 5 with dilation 3 covers 13, but x has height 8 with padding 1 + 2",
             {4, 3, 5, 3}, {.padding = {1, 0, 2, 0}, .dilation = {3, 1}}),
        conv(Aspect::Shape,
             "conv2d: a kernel of 9 with dilation 1 covers 9, but x has width 8 with padding 0 + 0",
             {4, 3, 3, 9}),
        conv(Aspect::Shape,
             "conv2d: height 8 with padding 9223372036854775807 + 0, kernel 3 and dilation 1 is beyond 2^63 "
             "- 1",
             {4, 3, 3, 3}, {.padding = {INT64_MAX, 0, 0, 0}}),
        {Aspect::Shape,
         [](Device d) {
           F::conv2d(zeros({1, 3, 8, 8}, d), zeros({4, 3, 3, 3}, d), zeros({3}, d));
         },
         "conv2d: bias must have shape [4], got [3]"},
        {Aspect::Shape,
         [](Device d) {
           F::conv2d(zeros({2, 4, 8, 8}, d).channel_slice(0, 3), zeros({4, 3, 3, 3}, d));
         },
         "conv2d: x of shape [2, 3, 8, 8] is a slice; take kernels::contiguous() of it first"},
        {Aspect::DType,
         [](Device d) {
           F::conv2d(zeros({1, 3, 8, 8}, d, DType::I32), zeros({4, 3, 3, 3}, d, DType::I32));
         },
         "conv2d: x must be floating-point, got i32; cast it first"},
        {Aspect::DType,
         [](Device d) {
           F::conv2d(zeros({1, 3, 8, 8}, d), zeros({4, 3, 3, 3}, d, DType::BF16));
         },
         "conv2d: weight is bf16 and x is f32; cast one"},
        {Aspect::DType,
         [](Device d) {
           F::conv2d(zeros({1, 3, 8, 8}, d), zeros({4, 3, 3, 3}, d), zeros({4}, d, DType::F16));
         },
         "conv2d: bias must be f32, got f16; cast it first"},
        {Aspect::Device,
         [](Device d) {
           F::conv2d(zeros({1, 3, 8, 8}, d), zeros({4, 3, 3, 3}, Device::cpu()));
         },
         "conv2d: weight is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Device,
         [](Device d) {
           F::conv2d(zeros({1, 3, 8, 8}, d), zeros({4, 3, 3, 3}, d), zeros({4}, Device::cpu()));
         },
         "conv2d: bias is on cpu, expected cuda:0; move it with to(device)"},
        conv(Aspect::Argument,
             "conv2d: stride, dilation and groups must be at least 1, got [0, 1], [1, 1] and 1", {4, 3, 3, 3},
             {.stride = {0, 1}}),
        conv(Aspect::Argument,
             "conv2d: stride, dilation and groups must be at least 1, got [1, 1], [1, -2] and 1",
             {4, 3, 3, 3}, {.dilation = {1, -2}}),
        conv(Aspect::Argument,
             "conv2d: stride, dilation and groups must be at least 1, got [1, 1], [1, 1] and 0", {4, 3, 3, 3},
             {.groups = 0}),
        conv(Aspect::Argument, "conv2d: padding must not be negative, got [0, 0, -1, 0]", {4, 3, 3, 3},
             {.padding = {0, 0, -1, 0}}),
        {Aspect::Rank,
         [](Device) {
           F::same_padding({3, 8, 8}, {3, 3});
         },
         "same_padding: x must have 4 axes (N, C, H, W), got shape [3, 8, 8]"},
        {Aspect::Argument,
         [](Device) {
           F::same_padding({1, 3, 8, 8}, {3, 0});
         },
         "same_padding: kernel, stride and dilation must be at least 1, got 0, 1 and 1"},
        {Aspect::Argument,
         [](Device) {
           F::same_padding({1, 3, 8, 8}, {INT64_MAX, 3}, {.dilation = {2, 1}});
         },
         "same_padding: a kernel of 9223372036854775807 with dilation 2 is beyond 2^63 - 1"},
    });

const OpErrors kDepthwiseErrors(
    "depthwise_conv2d",
    {
        {Aspect::Rank,
         [](Device d) {
           F::depthwise_conv2d(zeros({8, 8}, d), zeros({4, 1, 3, 3}, d));
         },
         "conv2d: x must have 4 axes, got shape [8, 8]"},
        {Aspect::Shape,
         [](Device d) {
           F::depthwise_conv2d(zeros({1, 4, 8, 8}, d), zeros({4, 4, 3, 3}, d));
         },
         "conv2d: x has 4 channels, weight [4, 4, 3, 3] with 4 group(s) expects 16"},
        {Aspect::Shape,
         [](Device d) {
           F::depthwise_conv2d(zeros({1, 4, 8, 8}, d), zeros({6, 1, 3, 3}, d));
         },
         "conv2d: 6 output channels do not divide into 4 groups"},
        {Aspect::DType,
         [](Device d) {
           F::depthwise_conv2d(zeros({1, 4, 8, 8}, d), zeros({4, 1, 3, 3}, d, DType::F16));
         },
         "conv2d: weight is f16 and x is f32; cast one"},
        {Aspect::Device,
         [](Device d) {
           F::depthwise_conv2d(zeros({1, 4, 8, 8}, d), zeros({4, 1, 3, 3}, Device::cpu()));
         },
         "conv2d: weight is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) {
           F::depthwise_conv2d(zeros({1, 4, 8, 8}, d), zeros({4, 1, 3, 3}, d), {}, {.stride = {1, 0}});
         },
         "conv2d: stride, dilation and groups must be at least 1, got [1, 0], [1, 1] and 4"},
    });

const Op kTransposed("conv_transpose2d", [](const Inputs& in, const Params& p) {
  const F::ConvTranspose2dParams params{.stride = p.array<2>("stride"),
                                        .padding = p.array<4>("padding"),
                                        .output_padding = p.array<2>("output_padding"),
                                        .dilation = p.array<2>("dilation"),
                                        .groups = p.integer("groups")};
  return Outputs{F::conv_transpose2d(in[0], in[1], in[2], params)};
});

/// conv_transpose2d of an x (1, 4, 8, 8) that is right unless the case says otherwise.
ErrorCase transposed(Aspect aspect, std::string message, Shape weight, F::ConvTranspose2dParams params = {},
                     Shape x = {1, 4, 8, 8}) {
  return {aspect, [=](Device d) { F::conv_transpose2d(zeros(x, d), zeros(weight, d), {}, params); },
          std::move(message)};
}

const OpErrors kTransposedErrors(
    "conv_transpose2d",
    {
        transposed(Aspect::Rank, "conv_transpose2d: x must have 4 axes, got shape [4, 8, 8]", {4, 3, 2, 2},
                   {}, {4, 8, 8}),
        transposed(Aspect::Rank, "conv_transpose2d: weight must have 4 axes, got shape [4, 3, 2]", {4, 3, 2}),
        transposed(Aspect::Shape, "conv_transpose2d: x has 4 channels, weight [3, 4, 2, 2] expects 3",
                   {3, 4, 2, 2}),
        transposed(Aspect::Shape, "conv_transpose2d: the kernel is empty, weight has shape [4, 3, 0, 2]",
                   {4, 3, 0, 2}),
        transposed(Aspect::Shape, "conv_transpose2d: 4 channels do not divide into 3 groups", {4, 3, 2, 2},
                   {.groups = 3}),
        transposed(Aspect::Shape, "conv_transpose2d: x [1, 4, 0, 8] has no pixels", {4, 3, 2, 2}, {},
                   {1, 4, 0, 8}),
        transposed(Aspect::Shape,
                   "conv_transpose2d: nothing is left of the output's height: x has 8, the kernel 2 with "
                   "stride 1 and dilation 1, padding 5 + 4",
                   {4, 3, 2, 2}, {.padding = {5, 0, 4, 0}}),
        transposed(Aspect::Shape, "conv_transpose2d: the output's height is beyond 2^63 - 1", {4, 3, 2, 2},
                   {.stride = {INT64_MAX, 1}}),
        {Aspect::Shape,
         [](Device d) {
           F::conv_transpose2d(zeros({1, 4, 8, 8}, d), zeros({4, 3, 2, 2}, d), zeros({4}, d));
         },
         "conv_transpose2d: bias must have shape [3], got [4]"},
        {Aspect::Shape,
         [](Device d) {
           F::conv_transpose2d(zeros({2, 5, 8, 8}, d).channel_slice(0, 4), zeros({4, 3, 2, 2}, d));
         },
         "conv_transpose2d: x of shape [2, 4, 8, 8] is a slice; take kernels::contiguous() of it first"},
        {Aspect::DType,
         [](Device d) {
           F::conv_transpose2d(zeros({1, 4, 8, 8}, d, DType::I32), zeros({4, 3, 2, 2}, d, DType::I32));
         },
         "conv_transpose2d: x must be floating-point, got i32; cast it first"},
        {Aspect::DType,
         [](Device d) {
           F::conv_transpose2d(zeros({1, 4, 8, 8}, d), zeros({4, 3, 2, 2}, d, DType::BF16));
         },
         "conv_transpose2d: weight must be f32, got bf16; cast it first"},
        {Aspect::DType,
         [](Device d) {
           F::conv_transpose2d(zeros({1, 4, 8, 8}, d), zeros({4, 3, 2, 2}, d), zeros({3}, d, DType::F16));
         },
         "conv_transpose2d: bias must be f32, got f16; cast it first"},
        {Aspect::Device,
         [](Device d) {
           F::conv_transpose2d(zeros({1, 4, 8, 8}, d), zeros({4, 3, 2, 2}, Device::cpu()));
         },
         "conv_transpose2d: weight is on cpu, expected cuda:0; move it with to(device)"},
        transposed(
            Aspect::Argument,
            "conv_transpose2d: stride, dilation and groups must be at least 1, got [0, 1], [1, 1] and 1",
            {4, 3, 2, 2}, {.stride = {0, 1}}),
        transposed(
            Aspect::Argument,
            "conv_transpose2d: stride, dilation and groups must be at least 1, got [1, 1], [1, -2] and 1",
            {4, 3, 2, 2}, {.dilation = {1, -2}}),
        transposed(
            Aspect::Argument,
            "conv_transpose2d: stride, dilation and groups must be at least 1, got [1, 1], [1, 1] and 0",
            {4, 3, 2, 2}, {.groups = 0}),
        transposed(Aspect::Argument, "conv_transpose2d: padding must not be negative, got [0, 0, -1, 0]",
                   {4, 3, 2, 2}, {.padding = {0, 0, -1, 0}}),
        transposed(
            Aspect::Argument,
            "conv_transpose2d: output_padding must be from 0 to the stride - 1, got [0, 1] for stride [1, 1]",
            {4, 3, 2, 2}, {.output_padding = {0, 1}}),
    });

}  // namespace
}  // namespace dlcuda::testing
