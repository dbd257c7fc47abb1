#include "dlcuda/kernels/conv2d_fused.h"

#include <bit>
#include <optional>

#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/batch_norm.h"
#include "dlcuda/kernels/conv2d_epilogue.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cpu/conv2d_planes.h"
#include "dlcuda/kernels/cpu/depthwise_conv2d.h"
#include "dlcuda/kernels/cpu/onednn_conv2d.h"
#include "dlcuda/kernels/cpu/packed_layouts.h"
#include "dlcuda/kernels/cpu/piecewise_linear.h"
#include "dlcuda/kernels/cpu/pointwise_conv2d.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {

void PackedWeight::Layouts::bind(const Tensor& weight) {
  const std::scoped_lock lock(mutex_);
  if (weight_.defined() && weight_.raw().data == weight.raw().data) return;
  weight_ = weight.detach();
  layouts_.clear();
}

dnnl::memory PackedWeight::Layouts::get(const char* op, const dnnl::memory& plain,
                                        const dnnl::memory::desc& wanted) {
  if (plain.get_desc() == wanted) return plain;
  const std::scoped_lock lock(mutex_);
  if (weight_.version() != version_) layouts_.clear();
  version_ = weight_.version();
  for (const Layout& layout : layouts_) {
    if (layout.desc == wanted) return cpu::onednn_memory(wanted, layout.bytes.raw().data);
  }
  const Tensor bytes = Tensor::empty(Shape{std::int64_t(wanted.get_size())}, DType::U8);
  const dnnl::memory packed = cpu::onednn_memory(wanted, bytes.raw().data);
  cpu::onednn_reorder(op, plain, packed);
  layouts_.push_back({wanted, bytes});
  return packed;
}

namespace cpu {
namespace {

using dnnl::algorithm;
using dnnl::convolution_forward;
using dnnl::memory;

struct Eltwise {
  algorithm kind;
  float alpha, beta;
};

/// How oneDNN calls an activation; nullopt for those that its versions do not all have, or define alike.
std::optional<Eltwise> eltwise_of(const ActivationParams& activation) {
  switch (activation.kind) {
    case Activation::Relu:
      return Eltwise{algorithm::eltwise_relu, 0, 0};
    case Activation::LeakyRelu:
      return Eltwise{algorithm::eltwise_relu, activation.slope, 0};
    case Activation::Relu6:
      return Eltwise{algorithm::eltwise_clip, 0, 6};
    case Activation::Sigmoid:
      return Eltwise{algorithm::eltwise_logistic, 0, 0};
    case Activation::Tanh:
      return Eltwise{algorithm::eltwise_tanh, 0, 0};
    case Activation::Elu:
      return Eltwise{algorithm::eltwise_elu, activation.alpha, 0};
    case Activation::Silu:
      return Eltwise{algorithm::eltwise_swish, 1, 0};
    case Activation::Gelu:
      return Eltwise{algorithm::eltwise_gelu_erf, 0, 0};
    case Activation::GeluTanh:
      return Eltwise{algorithm::eltwise_gelu_tanh, 0, 0};
    default:
      return std::nullopt;
  }
}

struct Fused {
  convolution_forward::primitive_desc desc;
  convolution_forward primitive;
};

Fused describe(const TensorView& x, const TensorView& weight, const TensorView& bias, const TensorView& y,
               const Conv2dParams& params, bool add, const std::optional<Eltwise>& eltwise) {
  dnnl::post_ops rest;
  if (add) rest.append_sum(1.0f);
  if (eltwise) onednn_append_eltwise(rest, eltwise->kind, eltwise->alpha, eltwise->beta);
  dnnl::primitive_attr attributes = onednn_attributes();
  attributes.set_post_ops(rest);
  const OnednnGeometry g(params);
  const auto bias_desc =
      bias.data ? memory::desc({y.shape[1]}, memory::data_type::f32, memory::format_tag::x) : memory::desc();
  const auto desc = onednn_describe_with<convolution_forward>(
      attributes, dnnl::prop_kind::forward_inference, algorithm::convolution_direct, onednn_desc(x),
      onednn_any_layout(onednn_weight(weight, params.groups)), bias_desc, onednn_desc(y), g.stride,
      g.dilation, g.pad_begin, g.pad_end);
  return {desc, convolution_forward(desc)};
}

}  // namespace

void conv2d_fused(const TensorView& x, const TensorView& weight, const TensorView& bias,
                  const TensorView& residual, const TensorView& y, const Conv2dParams& params,
                  const ActivationParams& activation, PackedWeight* packed) {
  if (!residual.data && planes_apply(x, weight, y, params)) {
    const Scratch scratch(std::size_t(planes_scratch(x, weight, params, num_threads())) * sizeof(float));
    DLCUDA_BEST_LOOP(planes_forward)
    (x, weight, bias, y, {}, params, activation, static_cast<float*>(scratch.data()), num_threads());
    return;
  }
  if (const auto f = piecewise_linear(activation)) {
    if (!residual.data && depthwise_applies(x, weight, y, params)) {
      const Scratch scratch(depthwise_scratch(weight));
      depthwise_loops().forward(x, weight, bias, y, {params, scratch.data()}, *f);
      return;
    }
    if (pointwise_applies(PointwisePass::Forward, x, weight, y, params)) {
      const Scratch scratch(pointwise_scratch(PointwisePass::Forward, x, weight));
      return amx::pointwise_forward(x, weight, bias, residual, y, *f, scratch.data());
    }
  }
  if (!residual.data && planes_suit(x, weight, y, params)) {
    const Tensor x32 = onednn_to_f32(x), weight32 = onednn_to_f32(weight), y32 = onednn_f32_like(y);
    conv2d_fused(x32.raw(), weight32.raw(), bias, {}, y32.raw(), params, activation, nullptr);
    return onednn_from_f32(y32, y);
  }
  // oneDNN's ReLUs turn NaN into 0, which would hide from a training that it has diverged; who packs weights
  // infers.
  const bool hides_nan = activation.kind == Activation::Relu || activation.kind == Activation::Relu6;
  const auto eltwise = hides_nan && packed == nullptr ? std::nullopt : eltwise_of(activation);
  if (!onednn_takes(x.dtype) || (!eltwise && activation.kind != Activation::Identity)) {
    conv2d_forward(x, weight, {}, y, params);
    return conv2d_epilogue(bias, residual, y, activation, DLCUDA_BEST_LOOP(batch_norm_apply),
                           DLCUDA_BEST_LOOP(activation_forward));
  }
  const bool add = residual.data != nullptr;
  OnednnKey key = onednn_conv2d_key(x, weight, bias, y, params);
  key.add(add).add(std::int64_t(activation.kind));
  for (const float value : {activation.slope, activation.alpha}) key.add(std::bit_cast<std::int32_t>(value));
  thread_local OnednnCache<Fused> cache;
  Fused& conv = cache.get(key, [&] {
    return onednn_guard("conv2d_fused", [&] { return describe(x, weight, bias, y, params, add, eltwise); });
  });
  // The primitive adds to what lies in y. To read the residual elsewhere, it would have to be a slower one.
  if (add) DLCUDA_BEST_LOOP(copy)(residual, y);
  const memory plain = onednn_memory(onednn_weight(weight, params.groups), weight.data);
  std::optional<OnednnScratch> scratch;
  const memory packed_weight = packed
                                   ? packed->layouts().get("conv2d_fused", plain, conv.desc.weights_desc())
                                   : onednn_packed("conv2d_fused", plain, conv.desc.weights_desc(), scratch);
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, onednn_memory(conv.desc.src_desc(), x.data)},
                                            {DNNL_ARG_WEIGHTS, packed_weight},
                                            {DNNL_ARG_DST, onednn_memory(conv.desc.dst_desc(), y.data)}};
  if (bias.data) arguments.insert({DNNL_ARG_BIAS, onednn_memory(conv.desc.bias_desc(), bias.data)});
  onednn_run("conv2d_fused", conv.primitive, conv.desc.scratchpad_desc(), std::move(arguments));
}

}  // namespace cpu
}  // namespace dlcuda::kernels
