// dw = dy^T v, with a row of dy (outputs) and of v (window) for each position that the window takes: v holds
// what it sees of x there. On AMX, oneDNN 2.6's convolution takes up to ten times as long for bf16 where
// there are few positions: it turns both tensors over, and starts anew for each block of the weight.
#include "dlcuda/kernels/cpu/conv2d_product.h"

#include <cstring>

#include "dlcuda/kernels/cpu/onednn_conv2d.h"
#include "dlcuda/kernels/cpu/pointwise_conv2d.h"
#include "dlcuda/kernels/matmul.h"

namespace dlcuda::kernels::cpu {
namespace {

/// With fewer, oneDNN's convolution is quicker.
constexpr std::int64_t kLeastInputs = 33, kLeastWeights = 1 << 16;
/// With more positions, v is larger than the caches.
constexpr std::int64_t kMostPositions = 512;

std::int64_t positions_of(const TensorView& dy) { return dy.shape[0] * dy.shape[2] * dy.shape[3]; }

TensorView matrix(void* data, std::int64_t rows, std::int64_t columns) {
  TensorView view;
  view.data = data;
  view.dtype = DType::BF16;
  view.rank = 2;
  view.shape[0] = rows;
  view.shape[1] = view.strides[0] = columns;
  view.strides[1] = 1;
  return view;
}

/// v, its columns ordered as (height, width, channel). Padding is zero.
void gather_windows(const TensorView& x, const TensorView& dy, const TensorView& dw,
                    const Conv2dParams& params, BFloat16* v) {
  const std::int64_t channels = x.shape[1], height = x.shape[2], width = x.shape[3];
  const std::int64_t count = positions_of(dy), taps = dw.shape[2] * dw.shape[3];
  const std::size_t pixel = static_cast<std::size_t>(channels) * sizeof(BFloat16);
#pragma omp parallel for num_threads(num_threads())
  for (std::int64_t i = 0; i < count * taps; ++i) {
    const std::int64_t tap = i % taps, position = i / taps;
    const std::int64_t column = position % dy.shape[3], line = position / dy.shape[3];
    const std::int64_t h =
        line % dy.shape[2] * params.stride[0] - params.padding[0] + tap / dw.shape[3] * params.dilation[0];
    const std::int64_t w =
        column * params.stride[1] - params.padding[1] + tap % dw.shape[3] * params.dilation[1];
    if (h < 0 || h >= height || w < 0 || w >= width) {
      std::memset(v + i * channels, 0, pixel);
    } else {
      const std::int64_t from = (line / dy.shape[2] * height + h) * width + w;
      std::memcpy(v + i * channels, x.as<const BFloat16>() + from * channels, pixel);
    }
  }
}

}  // namespace

bool product_suits(const TensorView& x, const TensorView& dy, const TensorView& dw, const TensorView& db,
                   const Conv2dParams& params) {
  if (x.dtype != DType::BF16 || db.data || params.groups != 1 || x.shape[1] < kLeastInputs ||
      !lies_channels_last(x) || !lies_channels_last(dy) || x.numel() == 0 || dy.numel() == 0) {
    return false;
  }
  return is_pointwise(dw, params) || (positions_of(dy) <= kMostPositions && dw.numel() >= kLeastWeights);
}

void product_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                             const Conv2dParams& params) {
  const std::int64_t positions = positions_of(dy), window = dw.numel() / dw.shape[0];
  const TensorView slopes = matrix(dy.data, positions, dy.shape[1]);
  const auto multiply = [&](void* v, void* to) {
    matmul(slopes, matrix(v, positions, window), {}, matrix(to, dw.shape[0], window), {.transpose_a = true});
  };
  if (is_pointwise(dw, params)) return multiply(x.data, dw.data);  // v is x

  const Scratch v(static_cast<std::size_t>(positions * window) * sizeof(BFloat16));
  gather_windows(x, dy, dw, params, static_cast<BFloat16*>(v.data()));
  using Tag = dnnl::memory::format_tag;
  const auto* s = dw.shape;
  const dnnl::memory::desc last({s[0], s[1], s[2], s[3]}, onednn_type(dw.dtype), Tag::ohwi);
  const dnnl::memory wanted = onednn_memory(onednn_weight(dw, 1), dw.data);
  if (wanted.get_desc() == last) return multiply(v.data(), dw.data);
  const OnednnScratch product(last);
  multiply(v.data(), product.memory().get_data_handle());
  onednn_reorder("conv2d_backward_weight", product.memory(), wanted);
}

}  // namespace dlcuda::kernels::cpu
