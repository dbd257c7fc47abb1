#include "dlcuda/kernels/matmul.h"

#include <algorithm>

#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/cpu/onednn.h"
#include "dlcuda/kernels/cpu/reference.h"

namespace dlcuda::kernels::cpu {
namespace {

using dnnl::memory;

/// A matrix as it is multiplied: transposing swaps extents and strides.
TensorView oriented(TensorView view, bool transpose) {
  if (transpose) {
    std::swap(view.shape[view.rank - 1], view.shape[view.rank - 2]);
    std::swap(view.strides[view.rank - 1], view.strides[view.rank - 2]);
  }
  return view;
}

/// The bias as a row of `out`'s rank, which oneDNN repeats.
TensorView row_for_all(const TensorView& bias, const TensorView& out) {
  TensorView row = out;
  row.data = bias.data;
  for (int axis = 0; axis < row.rank; ++axis) {
    if (axis != row.rank - 1) row.shape[axis] = 1;
    row.strides[axis] = axis == row.rank - 1 ? 1 : row.shape[out.rank - 1];
  }
  return row;
}

}  // namespace

void matmul(const TensorView& a, const TensorView& b, const TensorView& bias, const TensorView& out,
            const MatmulParams& params) {
  if (a.dtype == DType::F64 || a.numel() == 0) {
    if (a.dtype == DType::F64) return reference::matmul(a, b, bias, out, params);
    // No depth: every row is the bias.
    const std::int64_t columns = out.shape[out.rank - 1];
    const std::size_t element = size_of(out.dtype), row = std::size_t(columns) * element;
    for (std::int64_t m = 0; m < out.numel() / columns; ++m) {
      auto* to = static_cast<std::byte*>(out.data) + std::size_t(m) * row;
      bias.data ? void(std::copy_n(static_cast<const std::byte*>(bias.data), row, to))
                : void(std::fill_n(to, row, std::byte{0}));
    }
    return;
  }
  if (a.dtype == DType::F16) {
    const Tensor a32 = onednn_to_f32(a), b32 = onednn_to_f32(b), out32 = onednn_f32_like(out);
    const Tensor bias32 = bias.data ? onednn_to_f32(bias) : Tensor();
    matmul(a32.raw(), b32.raw(), bias.data ? bias32.raw() : TensorView{}, out32.raw(), params);
    return onednn_from_f32(out32, out);
  }
  struct Entry {
    dnnl::matmul::primitive_desc desc;
    dnnl::matmul primitive;
  };
  thread_local OnednnCache<Entry> cache;
  const TensorView left = oriented(a, params.transpose_a), right = oriented(b, params.transpose_b);
  OnednnKey key;
  key.add(left).add(right).add(bias.data != nullptr).add(num_threads());
  Entry& product = cache.get(key, [&] {
    return onednn_guard("matmul", [&] {
      const auto bias_desc = bias.data ? onednn_desc(row_for_all(bias, out)) : memory::desc();
      const auto desc =
          onednn_describe<dnnl::matmul>(onednn_desc(left), onednn_desc(right), bias_desc, onednn_desc(out));
      return Entry{desc, dnnl::matmul(desc)};
    });
  });
  std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, onednn_memory(product.desc.src_desc(), a.data)},
      {DNNL_ARG_WEIGHTS, onednn_memory(product.desc.weights_desc(), b.data)},
      {DNNL_ARG_DST, onednn_memory(product.desc.dst_desc(), out.data)}};
  if (bias.data) arguments.insert({DNNL_ARG_BIAS, onednn_memory(product.desc.bias_desc(), bias.data)});
  onednn_run("matmul", product.primitive, product.desc.scratchpad_desc(), std::move(arguments));
}

}  // namespace dlcuda::kernels::cpu
