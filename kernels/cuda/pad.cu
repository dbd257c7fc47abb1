// Padding and cropping: y[p] = x[p - before] where that is inside x, else a value.
//
// y is dense and any dtype; a thread makes an element of it, or as many neighbours as 16 bytes hold where
// they lie together in x as well. Every element is written once, in the order of memory. Only element sizes
// are known to the kernel; the launcher converts the value. y is overwritten and must not overlap x.
#include "dlcuda/kernels/pad.h"

#include <bit>
#include <type_traits>

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/convert.h"

namespace dlcuda::kernels::cuda {
namespace {

template <typename T, typename Index>
__global__ void pad_kernel(const T* x, T* y, PadAxes axes, T value) {
  const auto threads = static_cast<Index>(global_threads()), count = static_cast<Index>(axes.count);
  for (auto i = static_cast<Index>(global_thread()); i < count; i += threads) {
    std::int64_t from = 0;
    bool inside = true;
    Index rest = i;
#pragma unroll
    for (int axis = kMaxRank - 1; axis >= 0; --axis) {
      if (axis >= axes.rank) continue;
      const auto extent = static_cast<Index>(axes.extent[axis]);
      const std::int64_t place = static_cast<std::int64_t>(rest % extent) - axes.before[axis];
      rest /= extent;
      inside = inside && place >= 0 && place < axes.kept[axis];
      from += place * axes.stride[axis];
    }
    y[i] = inside ? x[from] : value;
  }
}

/// How many neighbours, 1 to 16 bytes of them, can be moved as one element.
template <typename T>
int neighbours(const TensorView& kept, const TensorView& y, const PadAxes& axes) {
  const int inner = axes.rank - 1;
  if (inner < 0 || (axes.kept[inner] > 1 && axes.stride[inner] != 1)) return 1;
  for (int together = 16 / sizeof(T); together > 1; together /= 2) {
    bool fits = is_aligned(kept.data, together * sizeof(T)) && is_aligned(y.data, together * sizeof(T));
    for (const std::int64_t length : {axes.extent[inner], axes.before[inner], axes.kept[inner]}) {
      fits = fits && length % together == 0;
    }
    for (int axis = 0; axis < inner; ++axis) fits = fits && axes.stride[axis] % together == 0;
    if (fits) return together;
  }
  return 1;
}

/// The axes whose elements are `together` neighbours.
PadAxes widened(PadAxes axes, int together) {
  if (together == 1) return axes;
  const int inner = axes.rank - 1;
  axes.count /= together;
  axes.extent[inner] /= together;
  axes.before[inner] /= together;
  axes.kept[inner] /= together;
  for (int axis = 0; axis < inner; ++axis) axes.stride[axis] /= together;
  return axes;
}

/// x and y as packs of kPack elements of type T, an unsigned integer.
template <int kPack, typename T>
void launch_pad(const TensorView& kept, const TensorView& y, const PadAxes& narrow, T value) {
  using Elements = Pack<T, kPack>;
  const PadAxes axes = widened(narrow, kPack);
  Elements values;
  for (T& element : values.value) element = value;
  visit_index(axes.count, [&]<typename Index>() {
    launch("pad", pad_kernel<Elements, Index>, grid_for(axes.count, kBlock), kBlock, 0, this_stream(),
           kept.as<const Elements>(), y.as<Elements>(), axes, values);
  });
}

template <typename T>
void pad_elements(const TensorView& kept, const TensorView& y, const PadAxes& axes, T value) {
  switch (neighbours<T>(kept, y, axes) * sizeof(T)) {
    case 16:
      return launch_pad<16 / sizeof(T)>(kept, y, axes, value);
    case 8:
      return launch_pad<8 / sizeof(T)>(kept, y, axes, value);
    default:
      // Between those and one element stand few tensors: pictures have channels in eights, or rows of any
      // length.
      return launch_pad<1>(kept, y, axes, value);
  }
}

/// An integer that takes as many bytes.
template <std::size_t kBytes>
using UnsignedOf =
    std::conditional_t<kBytes == 1, std::uint8_t,
                       std::conditional_t<kBytes == 2, std::uint16_t,
                                          std::conditional_t<kBytes == 4, std::uint32_t, std::uint64_t>>>;

}  // namespace

void pad(const TensorView& kept, const TensorView& y, const PadAxes& axes, double value) {
  visit_any(y.dtype, [&]<typename T>() {
    pad_elements(kept, y, axes, std::bit_cast<UnsignedOf<sizeof(T)>>(functors::convert<T>(value)));
  });
}

}  // namespace dlcuda::kernels::cuda
