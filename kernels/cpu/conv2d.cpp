#include "dlcuda/kernels/conv2d.h"

#include <optional>

#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/cpu/conv2d_planes.h"
#include "dlcuda/kernels/cpu/conv2d_product.h"
#include "dlcuda/kernels/cpu/depthwise_conv2d.h"
#include "dlcuda/kernels/cpu/onednn_conv2d.h"
#include "dlcuda/kernels/cpu/pointwise_conv2d.h"
#include "dlcuda/kernels/cpu/reference.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels::cpu {
namespace {

using dnnl::algorithm;
using dnnl::convolution_backward_data;
using dnnl::convolution_backward_weights;
using dnnl::convolution_forward;
using dnnl::memory;
using dnnl::prop_kind;

memory::desc bias_desc(const TensorView& bias, std::int64_t channels, DType dtype) {
  if (!bias.data) return memory::desc();
  return memory::desc({channels}, onednn_type(dtype), memory::format_tag::x);
}

convolution_forward::primitive_desc describe_forward(const TensorView& x, const TensorView& weight,
                                                     const TensorView& bias, const TensorView& y,
                                                     const Conv2dParams& params) {
  const OnednnGeometry g(params);
  return onednn_describe<convolution_forward>(
      prop_kind::forward_training, algorithm::convolution_direct, onednn_desc(x),
      onednn_any_layout(onednn_weight(weight, params.groups)), bias_desc(bias, y.shape[1], x.dtype),
      onednn_desc(y), g.stride, g.dilation, g.pad_begin, g.pad_end);
}

/// Bytes of scratch memory for a convolution plane by plane.
std::size_t planes_bytes(const TensorView& x, const TensorView& weight, const Conv2dParams& params) {
  return std::size_t(planes_scratch(x, weight, params, num_threads())) * sizeof(float);
}

}  // namespace

void conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                    const TensorView& y, const Conv2dParams& params) {
  if (x.dtype == DType::F64) return reference::conv2d_forward(x, weight, bias, y, params);
  if (planes_apply(x, weight, y, params)) {
    const Scratch scratch(planes_bytes(x, weight, params));
    DLCUDA_BEST_LOOP(planes_forward)
    (x, weight, bias, y, {}, params, {.kind = Activation::Identity}, static_cast<float*>(scratch.data()),
     num_threads());
    return;
  }
  if (depthwise_applies(x, weight, y, params)) {
    const Scratch scratch(depthwise_scratch(weight));
    depthwise_loops().forward(x, weight, bias, y, {params, scratch.data()}, {});
    return;
  }
  if (pointwise_applies(PointwisePass::Forward, x, weight, y, params)) {
    const Scratch scratch(pointwise_scratch(PointwisePass::Forward, x, weight));
    return amx::pointwise_forward(x, weight, bias, {}, y, {}, scratch.data());
  }
  if (!onednn_takes(x.dtype) || planes_suit(x, weight, y, params)) {
    const Tensor x32 = onednn_to_f32(x), weight32 = onednn_to_f32(weight), y32 = onednn_f32_like(y);
    const Tensor bias32 = bias.data ? onednn_to_f32(bias) : Tensor();
    conv2d_forward(x32.raw(), weight32.raw(), bias.data ? bias32.raw() : TensorView{}, y32.raw(), params);
    return onednn_from_f32(y32, y);
  }
  struct Entry {
    convolution_forward::primitive_desc desc;
    convolution_forward primitive;
  };
  thread_local OnednnCache<Entry> cache;
  Entry& conv = cache.get(onednn_conv2d_key(x, weight, bias, y, params), [&] {
    return onednn_guard("conv2d", [&] {
      const auto desc = describe_forward(x, weight, bias, y, params);
      return Entry{desc, convolution_forward(desc)};
    });
  });
  std::optional<OnednnScratch> scratch;
  std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, onednn_memory(conv.desc.src_desc(), x.data)},
      {DNNL_ARG_WEIGHTS,
       onednn_packed("conv2d", onednn_memory(onednn_weight(weight, params.groups), weight.data),
                     conv.desc.weights_desc(), scratch)},
      {DNNL_ARG_DST, onednn_memory(conv.desc.dst_desc(), y.data)}};
  if (bias.data) arguments.insert({DNNL_ARG_BIAS, onednn_memory(conv.desc.bias_desc(), bias.data)});
  onednn_run("conv2d", conv.primitive, conv.desc.scratchpad_desc(), std::move(arguments));
}

void conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                          const Conv2dParams& params) {
  if (dy.dtype == DType::F64) return reference::conv2d_backward_data(dy, weight, dx, params);
  if (planes_apply(dx, weight, dy, params)) {
    const Scratch scratch(planes_bytes(dx, weight, params));
    DLCUDA_BEST_LOOP(planes_backward_data)
    (dy, weight, dx, params, static_cast<float*>(scratch.data()), num_threads());
    return;
  }
  if (depthwise_applies(dx, weight, dy, params)) {
    const Scratch scratch(depthwise_scratch(weight));
    depthwise_loops().backward_data(dy, weight, dx, {params, scratch.data()});
    return;
  }
  if (pointwise_applies(PointwisePass::Data, dx, weight, dy, params)) {
    const Scratch scratch(pointwise_scratch(PointwisePass::Data, dx, weight));
    return amx::pointwise_backward_data(dy, weight, dx, scratch.data());
  }
  if (!onednn_takes(dy.dtype) || planes_suit(dx, weight, dy, params)) {
    const Tensor dy32 = onednn_to_f32(dy), weight32 = onednn_to_f32(weight), dx32 = onednn_f32_like(dx);
    conv2d_backward_data(dy32.raw(), weight32.raw(), dx32.raw(), params);
    return onednn_from_f32(dx32, dx);
  }
  struct Entry {
    convolution_backward_data::primitive_desc desc;
    convolution_backward_data primitive;
  };
  thread_local OnednnCache<Entry> cache;
  Entry& conv = cache.get(onednn_conv2d_key(dx, weight, {}, dy, params), [&] {
    return onednn_guard("conv2d_backward_data", [&] {
      const OnednnGeometry g(params);
      const auto desc = onednn_describe_backward<convolution_backward_data>(
          describe_forward(dx, weight, {}, dy, params), algorithm::convolution_direct, onednn_desc(dx),
          onednn_any_layout(onednn_weight(weight, params.groups)), onednn_desc(dy), g.stride, g.dilation,
          g.pad_begin, g.pad_end);
      return Entry{desc, convolution_backward_data(desc)};
    });
  });
  std::optional<OnednnScratch> scratch;
  onednn_run(
      "conv2d_backward_data", conv.primitive, conv.desc.scratchpad_desc(),
      {{DNNL_ARG_DIFF_DST, onednn_memory(conv.desc.diff_dst_desc(), dy.data)},
       {DNNL_ARG_WEIGHTS, onednn_packed("conv2d_backward_data",
                                        onednn_memory(onednn_weight(weight, params.groups), weight.data),
                                        conv.desc.weights_desc(), scratch)},
       {DNNL_ARG_DIFF_SRC, onednn_memory(conv.desc.diff_src_desc(), dx.data)}});
}

void conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                            const TensorView& db, const Conv2dParams& params) {
  if (x.dtype == DType::F64) return reference::conv2d_backward_weight(x, dy, dw, db, params);
  if (planes_apply(x, dw, dy, params)) {
    const Scratch scratch(planes_bytes(x, dw, params));
    DLCUDA_BEST_LOOP(planes_backward_weight)
    (x, dy, dw, db, params, static_cast<float*>(scratch.data()), num_threads());
    return;
  }
  if (depthwise_applies(x, dw, dy, params)) {
    const Scratch scratch(depthwise_scratch(dw, kDepthwiseChunks));
    depthwise_loops().backward_weight(x, dy, dw, {params, scratch.data()});
    if (db.data) DLCUDA_BEST_LOOP(bias_backward)(dy, db);
    return;
  }
  if (pointwise_applies(PointwisePass::Weight, x, dw, dy, params)) {
    const Scratch scratch(pointwise_scratch(PointwisePass::Weight, x, dw));
    amx::pointwise_backward_weight(x, dy, dw, scratch.data());
    if (db.data) DLCUDA_BEST_LOOP(bias_backward)(dy, db);
    return;
  }
  if (!onednn_takes(x.dtype) || planes_suit(x, dw, dy, params)) {
    const Tensor x32 = onednn_to_f32(x), dy32 = onednn_to_f32(dy), dw32 = onednn_f32_like(dw);
    const Tensor db32 = db.data ? onednn_f32_like(db) : Tensor();
    conv2d_backward_weight(x32.raw(), dy32.raw(), dw32.raw(), db.data ? db32.raw() : TensorView{}, params);
    if (db.data) onednn_from_f32(db32, db);
    return onednn_from_f32(dw32, dw);
  }
  if (product_suits(x, dy, dw, db, params)) return product_backward_weight(x, dy, dw, params);
  struct Entry {
    convolution_backward_weights::primitive_desc desc;
    convolution_backward_weights primitive;
  };
  thread_local OnednnCache<Entry> cache;
  Entry& conv = cache.get(onednn_conv2d_key(x, dw, db, dy, params), [&] {
    return onednn_guard("conv2d_backward_weight", [&] {
      const OnednnGeometry g(params);
      const auto desc = onednn_describe_backward<convolution_backward_weights>(
          describe_forward(x, dw, db, dy, params), algorithm::convolution_direct, onednn_desc(x),
          onednn_any_layout(onednn_weight(dw, params.groups)), bias_desc(db, dy.shape[1], x.dtype),
          onednn_desc(dy), g.stride, g.dilation, g.pad_begin, g.pad_end);
      return Entry{desc, convolution_backward_weights(desc)};
    });
  });
  const memory plain = onednn_memory(onednn_weight(dw, params.groups), dw.data);
  const bool direct = plain.get_desc() == conv.desc.diff_weights_desc();
  std::optional<OnednnScratch> scratch;
  if (!direct) scratch.emplace(conv.desc.diff_weights_desc());
  std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, onednn_memory(conv.desc.src_desc(), x.data)},
      {DNNL_ARG_DIFF_DST, onednn_memory(conv.desc.diff_dst_desc(), dy.data)},
      {DNNL_ARG_DIFF_WEIGHTS, direct ? plain : scratch->memory()}};
  if (db.data) arguments.insert({DNNL_ARG_DIFF_BIAS, onednn_memory(conv.desc.diff_bias_desc(), db.data)});
  onednn_run("conv2d_backward_weight", conv.primitive, conv.desc.scratchpad_desc(), std::move(arguments));
  if (!direct) onednn_reorder("conv2d_backward_weight", scratch->memory(), plain);
}

}  // namespace dlcuda::kernels::cpu
