// Shapes, strides and memory formats; every product is checked for overflow.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

inline constexpr int kMaxRank = 8;

/// Logical order is always N, C, H, W; the format says how the elements lie in memory.
enum class MemoryFormat : std::uint8_t { Contiguous, ChannelsLast };

/// Up to eight extents. A Shape without axes is a scalar's. Extents are never negative.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  /// Throws ShapeError for more than kMaxRank axes, a negative extent, or a product beyond 2^63 - 1 (of
  /// the extents that are not 0).
  explicit Shape(std::span<const std::int64_t> extents);

  int rank() const noexcept { return rank_; }
  /// Elements; 1 for a scalar.
  std::int64_t numel() const noexcept { return numel_; }
  /// The extent of an axis; negative axes count from the end. Throws ShapeError.
  std::int64_t operator[](int axis) const;
  std::span<const std::int64_t> extents() const noexcept { return {extents_.data(), std::size_t(rank_)}; }
  bool operator==(const Shape& other) const noexcept;

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  std::int64_t numel_ = 1;
  int rank_ = 0;
};

using Strides = std::array<std::int64_t, kMaxRank>;

/// Strides, in elements, of a dense tensor. ChannelsLast needs four axes (ShapeError).
Strides dense_strides(const Shape& shape, MemoryFormat format);

/// numel * element size; throws ShapeError when the product overflows.
std::size_t checked_bytes(const Shape& shape, std::size_t element_size);

/// "[64, 1, 32, 32]"
std::string to_string(const Shape& shape);
std::string to_string(MemoryFormat format);

}  // namespace dlcuda
