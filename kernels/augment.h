// From stored 8-bit pictures to a model's input in one pass: moved, mirrored, padded, normalised, in the
// dtype and memory format that the model takes.
#pragma once

#include <cstdint>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// Where the pixels of a picture come from. Pixel (i, j) with top <= i < bottom and left <= j < right is the
/// stored one at row i + row and column j + column, or column - j where it is mirrored; all others, and those
/// that would come from outside the stored picture, are `fill`. A tensor of placements has a row for each.
struct Placement {
  std::int32_t row = 0, column = 0;
  std::int32_t top = 0, bottom = 0, left = 0, right = 0;
  std::int32_t mirrored = 0;  ///< 0 or 1
  std::int32_t fill = 0;      ///< 0 to 255
  bool operator==(const Placement&) const = default;
};
inline constexpr std::int64_t kPlacementFields = 8;
static_assert(sizeof(Placement) == kPlacementFields * sizeof(std::int32_t));

struct AugmentParams {
  std::int64_t height = 0, width = 0;  ///< of the result
  DType dtype = DType::F32;            ///< f32, f16 or bf16
  MemoryFormat format = MemoryFormat::Contiguous;
};

/// y[n, c, i, j] = levels[c, pixel], rounded to the dtype, where `pixel` is what placement n has at (i, j) in
/// x[n, c]. x: u8 (N, C, H, W) in either memory format; placements: i32 (N, kPlacementFields); levels: f32
/// (C, 256), the value that each grey level has in the model's input. All devices give the same bits.
Tensor augment(const Tensor& x, const Tensor& placements, const Tensor& levels, const AugmentParams& params);

DLCUDA_LOOP_BACKENDS(void augment(const TensorView& x, const TensorView& placements, const TensorView& levels,
                                  const TensorView& y);)

}  // namespace kernels
}  // namespace dlcuda
