#include "dlcuda/core/shape.h"

#include <algorithm>

#include "dlcuda/core/check.h"

namespace dlcuda {

Shape::Shape(std::span<const std::int64_t> extents) : rank_(int(extents.size())) {
  DLCUDA_CHECK(extents.size() <= std::size_t(kMaxRank), ShapeError, "a shape has at most {} axes, got {}",
               kMaxRank, extents.size());
  std::copy(extents.begin(), extents.end(), extents_.begin());
  // Strides are products in which an empty axis counts as one; they must fit as well.
  std::int64_t span = 1;
  for (const auto extent : extents) {
    DLCUDA_CHECK(extent >= 0, ShapeError, "a shape has no negative extents, got {}", extent);
    DLCUDA_CHECK(!__builtin_mul_overflow(span, std::max<std::int64_t>(extent, 1), &span), ShapeError,
                 "the shape [{}] has more than 2^63 - 1 elements", fmt::join(extents, ", "));
    numel_ *= extent;
  }
}

std::int64_t Shape::operator[](int axis) const {
  const int from_front = axis < 0 ? axis + rank_ : axis;
  DLCUDA_CHECK(from_front >= 0 && from_front < rank_, ShapeError, "axis {} is out of range for shape {}",
               axis, to_string(*this));
  return extents_[from_front];
}

bool Shape::operator==(const Shape& other) const noexcept {
  return rank_ == other.rank_ &&
         std::equal(extents_.begin(), extents_.begin() + rank_, other.extents_.begin());
}

Strides dense_strides(const Shape& shape, MemoryFormat format) {
  Strides strides{};
  std::int64_t step = 1;
  const auto place = [&](int axis) {
    strides[axis] = step;
    step *= std::max<std::int64_t>(shape[axis], 1);
  };
  if (format == MemoryFormat::ChannelsLast) {
    DLCUDA_CHECK(shape.rank() == 4, ShapeError, "channels-last needs 4 axes (N, C, H, W), got shape {}",
                 to_string(shape));
    for (const int axis : {1, 3, 2, 0}) place(axis);
  } else {
    for (int axis = shape.rank() - 1; axis >= 0; --axis) place(axis);
  }
  return strides;
}

std::size_t checked_bytes(const Shape& shape, std::size_t element_size) {
  std::size_t bytes = 0;
  DLCUDA_CHECK(!__builtin_mul_overflow(std::size_t(shape.numel()), element_size, &bytes), ShapeError,
               "shape {} with {} bytes an element does not fit into memory", to_string(shape), element_size);
  return bytes;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape.extents(), ", ")); }

std::string to_string(MemoryFormat format) {
  return format == MemoryFormat::ChannelsLast ? "channels-last" : "contiguous";
}

}  // namespace dlcuda
