#include "dlcuda/layers/functional/layout.h"

#include <numeric>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/indexing.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

Tensor flatten(const Tensor& x) {
  DLCUDA_CHECK(x.rank() >= 1, ShapeError, "flatten: expected a leading batch axis, got a scalar");
  const std::int64_t features = Shape(x.shape().extents().subspan(1)).numel();
  return contiguous(x).view(Shape{x.size(0), features});
}

Tensor contiguous(const Tensor& x) { return to_format(x, MemoryFormat::Contiguous); }

Tensor to_format(const Tensor& x, MemoryFormat format) {
  if (x.format() == format && x.is_dense()) return x;
  // Where both formats lie alike in memory (one channel, one pixel), only the name changes.
  if (format == MemoryFormat::Contiguous ? x.is_contiguous() : x.is_channels_last()) {
    return x.with_format(format);
  }
  Tensor y = kernels::to_format(x.detach(), format);
  if (!any_requires_grad({x})) return y;
  return record("to_format", std::move(y), {x}, [before = x.format()](const BackwardContext& context) {
    return std::vector{as_format(context.grad, before)};
  });
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = kernels::cast(x, dtype);
  if (!is_floating_point(dtype)) return y;
  return record("cast", std::move(y), {x}, [before = x.dtype()](const BackwardContext& context) {
    return std::vector{kernels::cast(context.grad, before)};
  });
}

Tensor widened(const Tensor& x) {
  return x.dtype() == DType::F16 || x.dtype() == DType::BF16 ? cast(x, DType::F32) : x;
}

namespace {

/// The same function with the other one as its gradient.
template <typename Forward, typename Backward>
Tensor moved(const char* name, const Tensor& x, const Forward& forward, const Backward& backward) {
  Tensor y = forward(x);
  if (!any_requires_grad({x})) return y;
  return record(name, std::move(y), {x}, [backward, format = x.format()](const BackwardContext& context) {
    return std::vector{as_format(backward(context.grad), format)};
  });
}

std::vector<AxisPadding> padding_of(const Tensor& x) {
  return std::vector<AxisPadding>(static_cast<std::size_t>(x.rank()));
}

}  // namespace

Tensor concat(std::span<const Tensor> tensors, int axis) {
  if (tensors.size() > autograd::kMaxInputs && any_requires_grad(tensors)) {
    std::vector<Tensor> parts;
    for (std::size_t first = 0; first < tensors.size(); first += autograd::kMaxInputs) {
      parts.push_back(concat(
          tensors.subspan(first, std::min<std::size_t>(autograd::kMaxInputs, tensors.size() - first)), axis));
    }
    return concat(parts, axis);
  }
  Tensor y = kernels::concat(tensors, axis);
  if (!any_requires_grad(tensors)) return y;
  std::vector<std::pair<std::int64_t, MemoryFormat>> parts;
  for (const Tensor& x : tensors) parts.emplace_back(x.size(axis), x.format());
  return record("concat", std::move(y), tensors,
                [parts = std::move(parts), axis](const BackwardContext& context) {
                  std::vector<Tensor> gradients;
                  std::int64_t begin = 0;
                  for (const auto& [length, format] : parts) {
                    Tensor piece;
                    if (context.needs(static_cast<int>(gradients.size()))) {
                      piece = as_format(kernels::narrow(context.grad, axis, begin, length), format);
                    }
                    gradients.push_back(std::move(piece));
                    begin += length;
                  }
                  return gradients;
                });
}

Tensor narrow(const Tensor& x, int axis, std::int64_t begin, std::int64_t length) {
  Tensor y = kernels::narrow(x, axis, begin, length);
  if (!any_requires_grad({x})) return y;
  std::vector<AxisPadding> padding = padding_of(x);
  const int along = axis < 0 ? axis + x.rank() : axis;
  padding[static_cast<std::size_t>(along)] = {begin, x.size(along) - begin - length};
  return record("narrow", std::move(y), {x},
                [padding = std::move(padding), format = x.format()](const BackwardContext& context) {
                  return std::vector{as_format(kernels::pad(context.grad, padding), format)};
                });
}

std::vector<Tensor> split(const Tensor& x, std::span<const std::int64_t> lengths, int axis) {
  const std::int64_t total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  DLCUDA_CHECK(total == x.size(axis), ShapeError,
               "split: the lengths add up to {}, but axis {} of shape {} has {}", total, axis,
               to_string(x.shape()), x.size(axis));
  std::vector<Tensor> pieces;
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    pieces.push_back(narrow(x, axis, begin, length));
    begin += length;
  }
  return pieces;
}

Tensor pad(const Tensor& x, std::span<const AxisPadding> padding, double value) {
  const auto opposite = [given = std::vector(padding.begin(), padding.end())](const Tensor& dy) {
    std::vector<AxisPadding> back = given;
    for (AxisPadding& p : back) p = {-p.before, -p.after};
    return kernels::pad(dy, back);
  };
  return moved(
      "pad", x, [&](const Tensor& in) { return kernels::pad(in, padding, value); }, opposite);
}

Tensor pad_reflect(const Tensor& x, std::array<std::int64_t, 4> padding) {
  return moved(
      "pad_reflect", x, [=](const Tensor& in) { return kernels::pad_reflect(in, padding); },
      [padding, shape = x.shape()](const Tensor& dy) {
        return kernels::pad_reflect_backward(dy, shape, padding);
      });
}

Tensor flip(const Tensor& x, std::span<const int> axes) {
  const std::vector<int> kept(axes.begin(), axes.end());
  const auto turn = [kept](const Tensor& in) { return kernels::flip(in, kept); };
  return moved("flip", x, turn, turn);
}

Tensor permute(const Tensor& x, std::span<const int> order) {
  Tensor y = kernels::permute(x, order);
  if (!any_requires_grad({x})) return y;
  std::vector<int> inverse(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    inverse[static_cast<std::size_t>(order[i] < 0 ? order[i] + x.rank() : order[i])] = static_cast<int>(i);
  }
  return record("permute", std::move(y), {x},
                [inverse = std::move(inverse), format = x.format()](const BackwardContext& context) {
                  return std::vector{as_format(kernels::permute(context.grad, inverse), format)};
                });
}

Tensor transpose(const Tensor& x) {
  DLCUDA_CHECK(x.rank() >= 2, ShapeError, "transpose: x must have at least 2 axes, got shape {}",
               to_string(x.shape()));
  std::vector<int> order(static_cast<std::size_t>(x.rank()));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return permute(x, order);
}

Tensor resize(const Tensor& x, std::array<std::int64_t, 2> size, Resample mode) {
  return moved(
      "resize", x, [=](const Tensor& in) { return kernels::resize(in, size, mode); },
      [mode, shape = x.shape()](const Tensor& dy) { return kernels::resize_backward(dy, shape, mode); });
}

Tensor pixel_shuffle(const Tensor& x, std::int64_t factor) {
  return moved(
      "pixel_shuffle", x, [=](const Tensor& in) { return kernels::pixel_shuffle(in, factor); },
      [factor](const Tensor& dy) { return kernels::pixel_unshuffle(dy, factor); });
}
Tensor pixel_unshuffle(const Tensor& x, std::int64_t factor) {
  return moved(
      "pixel_unshuffle", x, [=](const Tensor& in) { return kernels::pixel_unshuffle(in, factor); },
      [factor](const Tensor& dy) { return kernels::pixel_shuffle(dy, factor); });
}
Tensor space_to_depth(const Tensor& x, std::int64_t factor) {
  return moved(
      "space_to_depth", x, [=](const Tensor& in) { return kernels::space_to_depth(in, factor); },
      [factor](const Tensor& dy) { return kernels::depth_to_space(dy, factor); });
}
Tensor depth_to_space(const Tensor& x, std::int64_t factor) {
  return moved(
      "depth_to_space", x, [=](const Tensor& in) { return kernels::depth_to_space(in, factor); },
      [factor](const Tensor& dy) { return kernels::space_to_depth(dy, factor); });
}

Tensor reorg(const Tensor& x, std::int64_t factor) {
  DLCUDA_CHECK(x.rank() == 4, ShapeError, "reorg: x must have 4 axes, got shape {}", to_string(x.shape()));
  constexpr std::int64_t kLargest = std::int64_t{1} << 15;
  DLCUDA_CHECK(factor >= 1 && factor <= kLargest, ArgumentError,
               "reorg: factor must be between 1 and {}, got {}", kLargest, factor);
  const std::int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3), area = factor * factor;
  DLCUDA_CHECK(c % area == 0 && h % factor == 0 && w % factor == 0, ShapeError,
               "reorg: x must have channels in multiples of {} (the factor squared), height and width in "
               "multiples of {}, got shape {}",
               area, factor, to_string(x.shape()));
  const Shape taken_for{n, c / area, Shape{h, factor}.numel(), Shape{w, factor}.numel()};
  const Shape shape{n, Shape{c, area}.numel(), h / factor, w / factor};
  return to_format(space_to_depth(contiguous(x).view(taken_for), factor).view(shape), x.format());
}

Tensor gather(const Tensor& x, int axis, const Tensor& index) {
  Tensor y = kernels::gather(x, axis, index);
  if (!any_requires_grad({x})) return y;
  return record("gather", std::move(y), {x},
                [saved_index = Saved(index), shape = x.shape(), axis](const BackwardContext& context) {
                  const Tensor dy = as_format(context.grad, MemoryFormat::Contiguous);
                  return std::vector{kernels::gather_backward(dy, shape, axis, saved_index.get())};
                });
}

namespace {

Tensor select(const char* name, const Tensor& x, int axis, const Tensor& index, std::int64_t skip) {
  Tensor y = kernels::index_select(x, axis, index);
  if (!any_requires_grad({x})) return y;
  return record(
      name, std::move(y), {x},
      [saved_index = Saved(index), shape = x.shape(), format = x.format(), axis,
       skip](const BackwardContext& context) {
        const Tensor dy = as_format(context.grad, format);
        return std::vector{kernels::index_select_backward(dy, shape, axis, saved_index.get(), skip)};
      });
}

}  // namespace

Tensor index_select(const Tensor& x, int axis, const Tensor& index) {
  return select("index_select", x, axis, index, -1);
}

Tensor embedding(const Tensor& table, const Tensor& index, std::int64_t padding) {
  DLCUDA_CHECK(table.rank() == 2, ShapeError, "embedding: table must be (V, D), got shape {}",
               to_string(table.shape()));
  DLCUDA_CHECK(padding < table.size(0), ArgumentError,
               "embedding: padding must be a row of the table {} (or negative: none), got {}",
               to_string(table.shape()), padding);
  DLCUDA_CHECK(index.is_contiguous(), ShapeError,
               "embedding: index of shape {} must be contiguous; take kernels::contiguous() of it first",
               to_string(index.shape()));
  std::vector<std::int64_t> extents(index.shape().extents().begin(), index.shape().extents().end());
  extents.push_back(table.size(1));
  return select("embedding", table, 0, index.view(Shape{index.numel()}), padding)
      .view(Shape(std::span<const std::int64_t>(extents)));
}

}  // namespace dlcuda::functional
