// What the convolutions share in describing themselves to oneDNN.
#pragma once

#include <optional>

#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/conv2d.h"
#include "dlcuda/kernels/cpu/onednn.h"

namespace dlcuda::kernels::cpu {

/// What oneDNN calls strides, dilations (0 is none) and paddings.
struct OnednnGeometry {
  dnnl::memory::dims stride, dilation, pad_begin, pad_end;
  explicit OnednnGeometry(const Conv2dParams& p)
      : stride(p.stride.begin(), p.stride.end()),
        dilation{p.dilation[0] - 1, p.dilation[1] - 1},
        pad_begin{p.padding[0], p.padding[1]},
        pad_end{p.padding[2], p.padding[3]} {}
};

/// Weights, in either format, as oneDNN wants to have them described: with a leading group axis if there are
/// several.
inline dnnl::memory::desc onednn_weight(const TensorView& weight, std::int64_t groups) {
  const auto type = onednn_type(weight.dtype);
  using Tag = dnnl::memory::format_tag;
  const auto* s = weight.shape;
  const bool contiguous = lies_contiguous(weight);
  if (groups == 1) {
    return dnnl::memory::desc({s[0], s[1], s[2], s[3]}, type, contiguous ? Tag::oihw : Tag::ohwi);
  }
  return dnnl::memory::desc({groups, s[0] / groups, s[1], s[2], s[3]}, type,
                            contiguous ? Tag::goihw : Tag::gohwi);
}

/// The same extents in whatever layout the primitive likes best.
inline dnnl::memory::desc onednn_any_layout(const dnnl::memory::desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::memory::desc(desc.get_dims(), desc.get_data_type(), dnnl::memory::format_tag::any);
#else
  return dnnl::memory::desc(desc.dims(), desc.data_type(), dnnl::memory::format_tag::any);
#endif
}

/// What tells a convolution's primitives apart.
inline OnednnKey onednn_conv2d_key(const TensorView& x, const TensorView& weight, const TensorView& bias,
                                   const TensorView& y, const Conv2dParams& params) {
  OnednnKey key;
  key.add(x).add(weight).add(y).add(bias.data != nullptr).add(params.groups).add(num_threads());
  for (const auto value : params.stride) key.add(value);
  for (const auto value : params.padding) key.add(value);
  for (const auto value : params.dilation) key.add(value);
  return key;
}

/// A weight in the layout that a primitive wants; `scratch` keeps the copy if one is needed.
inline dnnl::memory onednn_packed(const char* op, const dnnl::memory& plain, const dnnl::memory::desc& wanted,
                                  std::optional<OnednnScratch>& scratch) {
  if (plain.get_desc() == wanted) return plain;
  scratch.emplace(wanted);
  onednn_reorder(op, plain, scratch->memory());
  return scratch->memory();
}

/// Whether oneDNN computes convolutions of this type.
inline bool onednn_takes(DType dtype) { return dtype == DType::F32 || dtype == DType::BF16; }

}  // namespace dlcuda::kernels::cpu
