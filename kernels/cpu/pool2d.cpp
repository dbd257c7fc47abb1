// One loop nest serves both memory formats: a plane of channels-last is a set of pixels that are C elements
// apart. The innermost loop runs over what lies together, channels or nothing.
#include "dlcuda/kernels/pool2d.h"

#include <bit>
#include <type_traits>

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/pool2d.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// The tensor as (planes, H, W, lanes): lanes are C and planes N in channels-last, 1 and N * C otherwise.
struct Planes {
  std::int64_t count, height, width, lanes;
};

DLCUDA_INLINE Planes planes_of(const TensorView& x) {
  const bool channels_last = x.strides[1] == 1 && x.strides[3] == x.shape[1];
  return {channels_last ? x.shape[0] : x.shape[0] * x.shape[1], x.shape[2], x.shape[3],
          channels_last ? x.shape[1] : 1};
}

using Axis = functors::PoolAxis<std::int64_t>;

/// What lies next to each other in channels-last and is worked on together: a few vector registers.
constexpr std::int64_t kLaneTile = 64;
/// Lanes that one thread adds to: two cache lines.
constexpr std::int64_t kScatterLanes = 32;

/// call(first, width) for lanes first to first + width - 1, all lanes in turn.
template <typename Lanes, typename Call>
DLCUDA_INLINE void for_lane_tiles(Lanes lanes, const Call& call) {
  const std::int64_t all = lanes;
  for (std::int64_t first = 0; first < all; first += kLaneTile) {
    call(first, all - first < kLaneTile ? all - first : kLaneTile);
  }
}

/// call(plane, row) for every row of all planes, shared among threads; `work`: elements that one row reads.
template <typename Call>
DLCUDA_INLINE void for_rows(std::int64_t planes, std::int64_t rows, std::int64_t work, const Call& call) {
  parallel_for(planes * rows, kGrain / (work + 1) + 1, [=, &call](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) call(i / rows, i % rows);
  });
}

/// The windows first..end-1 that contain an element, for elements that are asked for in rising order.
struct Covering {
  const Axis& axis;
  std::int64_t first, end;
  DLCUDA_INLINE Covering(const Axis& of, std::int64_t element)
      : axis(of), first(of.first_window(element)), end(of.end_window(element)) {}
  DLCUDA_INLINE void advance(std::int64_t element) {
    while (first < axis.out && axis.end(first) <= element) ++first;
    while (end < axis.out && axis.begin(end) <= element) ++end;
  }
};

/// 2 x 2 windows side by side, the pooling of most networks: no borders, no divisions.
DLCUDA_INLINE bool is_two_by_two(const PoolGeometry& pool) {
  const auto fits = [](const PoolWindows& w) {
    return !w.adaptive && w.kernel == 2 && w.stride == 2 && w.padding == 0 && 2 * w.out <= w.in;
  };
  return fits(pool.h) && fits(pool.w);
}

/// One lane, known to the compiler: rows of contiguous planes become vector code.
struct OneLane {
  DLCUDA_INLINE operator std::int64_t() const { return 1; }
};

/// call(lanes) with the number of lanes, as a constant where it is 1.
template <typename Call>
DLCUDA_INLINE void with_lanes(std::int64_t lanes, const Call& call) {
  lanes == 1 ? call(OneLane{}) : call(lanes);
}

/// to[ow] = the mean of the 2 x 2 window at column 2 ow of two rows.
template <typename T, typename Lanes>
DLCUDA_INLINE void average_rows(const T* __restrict top, const T* __restrict bottom, T* __restrict to,
                                std::int64_t out_width, Lanes lanes) {
  using C = compute_t<T>;
  if constexpr (sizeof(T) == 2 && std::is_same_v<Lanes, OneLane>) {
    // Neighbours of 16 bits are vector code once they are f32.
    constexpr std::int64_t kPiece = 64;
    for (std::int64_t first = 0; first < out_width; first += kPiece) {
      const std::int64_t count = out_width - first < kPiece ? out_width - first : kPiece;
      C above[2 * kPiece], below[2 * kPiece];
      for (std::int64_t i = 0; i < 2 * count; ++i) above[i] = static_cast<C>(top[2 * first + i]);
      for (std::int64_t i = 0; i < 2 * count; ++i) below[i] = static_cast<C>(bottom[2 * first + i]);
      C mean[kPiece];
      average_rows(above, below, mean, count, lanes);
      for (std::int64_t i = 0; i < count; ++i) to[first + i] = static_cast<T>(mean[i]);
    }
    return;
  }
  for (std::int64_t ow = 0; ow < out_width; ++ow) {
    for (std::int64_t c = 0; c < lanes; ++c) {
      const std::int64_t left = 2 * ow * lanes + c, right = left + lanes;
      const C sum = (static_cast<C>(top[left]) + static_cast<C>(top[right])) +
                    (static_cast<C>(bottom[left]) + static_cast<C>(bottom[right]));
      to[ow * lanes + c] = static_cast<T>(sum * C(0.25));
    }
  }
}

/// A quarter of from[ow] to both columns 2 ow and 2 ow + 1; what no window covers becomes 0.
template <typename T, typename Lanes>
DLCUDA_INLINE void share_row(const T* __restrict from, T* __restrict to, std::int64_t out_width,
                             std::int64_t row, Lanes lanes) {
  using C = compute_t<T>;
  for (std::int64_t ow = 0; ow < out_width; ++ow) {
    for (std::int64_t c = 0; c < lanes; ++c) {
      const T share = static_cast<T>(static_cast<C>(from[ow * lanes + c]) * C(0.25));
      to[2 * ow * lanes + c] = share;
      to[(2 * ow + 1) * lanes + c] = share;
    }
  }
  for (std::int64_t k = 2 * out_width * lanes; k < row; ++k) to[k] = static_cast<T>(C(0));
}

/// to[ow] = the largest of the 2 x 2 window at column 2 ow of two rows, index[ow] its place in the plane.
/// `place`: that of the first row's first column.
template <typename T, typename Lanes>
DLCUDA_INLINE void largest_of_rows(const T* __restrict top, const T* __restrict bottom, T* __restrict to,
                                   std::int32_t* __restrict index, std::int64_t out_width, std::int32_t place,
                                   std::int32_t width, Lanes lanes) {
  using C = compute_t<T>;
  for (std::int64_t ow = 0; ow < out_width; ++ow) {
    const auto first = static_cast<std::int32_t>(place + 2 * ow);
    for (std::int64_t c = 0; c < lanes; ++c) {
      const std::int64_t left = 2 * ow * lanes + c, right = left + lanes;
      C largest = static_cast<C>(top[left]);
      std::int32_t best = first;
      const auto take = [&](C value, std::int32_t at) {
        const bool larger = value > largest || value != value;  // NaN is the largest
        largest = larger ? value : largest;
        best = larger ? at : best;
      };
      take(static_cast<C>(top[right]), first + 1);
      take(static_cast<C>(bottom[left]), first + width);
      take(static_cast<C>(bottom[right]), first + width + 1);
      to[ow * lanes + c] = static_cast<T>(largest);
      index[ow * lanes + c] = best;
    }
  }
}

/// Of bits, so that it stays vector code for types of 16 bits.
template <typename T>
DLCUDA_INLINE T value_or_zero(T value, bool keep) {
  using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
  return std::bit_cast<T>(static_cast<Bits>(std::bit_cast<Bits>(value) & static_cast<Bits>(-Bits(keep))));
}

/// The gradients of a row's windows to those of its columns 2 ow and 2 ow + 1 that were the largest; `place`:
/// that of the row's first column. What no window covers becomes 0.
template <typename T>
DLCUDA_INLINE void give_to_largest(const T* __restrict from, const std::int32_t* __restrict chosen,
                                   T* __restrict to, std::int64_t out_width, std::int32_t place,
                                   std::int64_t row, std::int64_t lanes) {
  using C = compute_t<T>;
  for (std::int64_t ow = 0; ow < out_width; ++ow) {
    const auto first = static_cast<std::int32_t>(place + 2 * ow);
    for (std::int64_t c = 0; c < lanes; ++c) {
      const std::int64_t i = ow * lanes + c, left = 2 * ow * lanes + c;
      const T gradient = static_cast<T>(C(0) + static_cast<C>(from[i]));
      to[left] = value_or_zero(gradient, chosen[i] == first);
      to[left + lanes] = value_or_zero(gradient, chosen[i] == first + 1);
    }
  }
  for (std::int64_t k = 2 * out_width * lanes; k < row; ++k) to[k] = static_cast<T>(C(0));
}

}  // namespace

void avg_pool2d_forward(const TensorView& x, const TensorView& y, const PoolGeometry& pool) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const Planes in = planes_of(x), out{in.count, y.shape[2], y.shape[3], in.lanes};
    const T* __restrict from = x.as<const T>();
    T* __restrict to = y.as<T>();
    const std::int64_t row = in.width * in.lanes, out_row = out.width * in.lanes;
    const bool two_by_two = is_two_by_two(pool);
    const Axis down(pool.h), across(pool.w);
    with_lanes(in.lanes, [&](auto lanes) {
      for_rows(in.count, out.height, pool.h.kernel * row, [&](std::int64_t plane, std::int64_t oh) {
        T* __restrict target = to + (plane * out.height + oh) * out_row;
        if (two_by_two) {
          const T* top = from + (plane * in.height + 2 * oh) * row;
          average_rows(top, top + row, target, out.width, lanes);
          return;
        }
        const T* base = from + plane * in.height * row;
        for (std::int64_t ow = 0; ow < out.width; ++ow) {
          const C factor = C(1) / functors::pool_divisor<C>(down, across, oh, ow, pool.count_include_pad);
          for_lane_tiles(lanes, [&](std::int64_t first, std::int64_t width) {
            C sum[kLaneTile] = {};
            for (std::int64_t h = down.begin(oh); h < down.end(oh); ++h) {
              for (std::int64_t w = across.begin(ow); w < across.end(ow); ++w) {
                const T* __restrict pixel = base + h * row + w * lanes + first;
                for (std::int64_t c = 0; c < width; ++c) sum[c] += static_cast<C>(pixel[c]);
              }
            }
            T* __restrict mean = target + ow * lanes + first;
            for (std::int64_t c = 0; c < width; ++c) mean[c] = static_cast<T>(sum[c] * factor);
          });
        }
      });
    });
  });
}

void avg_pool2d_backward(const TensorView& dy, const TensorView& dx, const PoolGeometry& pool) {
  visit_floating(dy.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const Planes in = planes_of(dx), out{in.count, dy.shape[2], dy.shape[3], in.lanes};
    const T* __restrict from = dy.as<const T>();
    T* __restrict to = dx.as<T>();
    const std::int64_t row = in.width * in.lanes, out_row = out.width * in.lanes;
    const bool two_by_two = is_two_by_two(pool);
    const Axis down(pool.h), across(pool.w);
    const bool global = out.height == 1 && out.width == 1 && down.begin(0) == 0 && across.begin(0) == 0 &&
                        down.end(0) == in.height && across.end(0) == in.width;
    with_lanes(in.lanes, [&](auto lanes) {
      for_rows(in.count, in.height, row, [&](std::int64_t plane, std::int64_t h) {
        const T* base = from + plane * out.height * out_row;
        T* __restrict target = to + (plane * in.height + h) * row;
        if (two_by_two) {
          share_row(base + h / 2 * out_row, target, h / 2 < out.height ? out.width : 0, row, lanes);
          return;
        }
        if (global) {  // one quotient for all pixels
          for_lane_tiles(lanes, [&](std::int64_t first, std::int64_t width) {
            const C divisor =
                functors::pool_divisor<C, std::int64_t>(down, across, 0, 0, pool.count_include_pad);
            T share[kLaneTile];
            for (std::int64_t c = 0; c < width; ++c) {
              share[c] = static_cast<T>(C(0) + static_cast<C>(base[first + c]) / divisor);
            }
            for (std::int64_t w = 0; w < in.width; ++w) {
              T* __restrict pixel = target + w * lanes + first;
              for (std::int64_t c = 0; c < width; ++c) pixel[c] = share[c];
            }
          });
          return;
        }
        // Each input gathers from the windows that cover it, in one order: no zeroing, no 16-bit sums of
        // sums.
        const Covering rows(down, h);
        Covering columns(across, 0);
        for (std::int64_t w = 0; w < in.width; ++w) {
          columns.advance(w);
          for_lane_tiles(lanes, [&](std::int64_t first, std::int64_t width) {
            C sum[kLaneTile] = {};
            for (std::int64_t oh = rows.first; oh < rows.end; ++oh) {
              for (std::int64_t ow = columns.first; ow < columns.end; ++ow) {
                const C divisor = functors::pool_divisor<C>(down, across, oh, ow, pool.count_include_pad);
                const T* __restrict window = base + oh * out_row + ow * lanes + first;
                for (std::int64_t c = 0; c < width; ++c) sum[c] += static_cast<C>(window[c]) / divisor;
              }
            }
            T* __restrict pixel = target + w * lanes + first;
            for (std::int64_t c = 0; c < width; ++c) pixel[c] = static_cast<T>(sum[c]);
          });
        }
      });
    });
  });
}

void max_pool2d_forward(const TensorView& x, const TensorView& y, const TensorView& indices,
                        const PoolGeometry& pool) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const Planes in = planes_of(x), out{in.count, y.shape[2], y.shape[3], in.lanes};
    const T* __restrict from = x.as<const T>();
    T* __restrict to = y.as<T>();
    std::int32_t* __restrict index = indices.as<std::int32_t>();
    const std::int64_t row = in.width * in.lanes;
    const bool two_by_two = is_two_by_two(pool);
    const Axis down(pool.h), across(pool.w);
    with_lanes(in.lanes, [&](auto lanes) {
      for_rows(in.count, out.height, pool.h.kernel * row, [&](std::int64_t plane, std::int64_t oh) {
        const T* base = from + plane * in.height * row;
        if (two_by_two) {
          const T* upper = base + 2 * oh * row;
          const std::int64_t target = (plane * out.height + oh) * out.width * in.lanes;
          largest_of_rows(upper, upper + row, to + target, index + target, out.width,
                          static_cast<std::int32_t>(2 * oh * in.width), static_cast<std::int32_t>(in.width),
                          lanes);
          return;
        }
        const std::int64_t top = down.begin(oh), bottom = down.end(oh);
        for (std::int64_t ow = 0; ow < out.width; ++ow) {
          const std::int64_t left = across.begin(ow), right = across.end(ow);
          const std::int64_t target = ((plane * out.height + oh) * out.width + ow) * lanes;
          for_lane_tiles(lanes, [&](std::int64_t first, std::int64_t width) {
            C largest[kLaneTile];
            std::int32_t best[kLaneTile];
            const auto start = static_cast<std::int32_t>(top * in.width + left);
            const T* __restrict corner = base + top * row + left * lanes + first;
            for (std::int64_t c = 0; c < width; ++c) {
              largest[c] = static_cast<C>(corner[c]);
              best[c] = start;
            }
            for (std::int64_t h = top; h < bottom; ++h) {
              for (std::int64_t w = left; w < right; ++w) {
                const T* __restrict pixel = base + h * row + w * lanes + first;
                const auto place = static_cast<std::int32_t>(h * in.width + w);
                for (std::int64_t c = 0; c < width; ++c) {
                  const C value = static_cast<C>(pixel[c]);
                  const bool larger = value > largest[c] || value != value;  // NaN is the largest
                  largest[c] = larger ? value : largest[c];
                  best[c] = larger ? place : best[c];
                }
              }
            }
            for (std::int64_t c = 0; c < width; ++c) to[target + first + c] = static_cast<T>(largest[c]);
            for (std::int64_t c = 0; c < width; ++c) index[target + first + c] = best[c];
          });
        }
      });
    });
  });
}

void max_pool2d_backward(const TensorView& dy, const TensorView& indices, const TensorView& dx,
                         const PoolGeometry& pool) {
  visit_floating(dy.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const Planes in = planes_of(dx), out{in.count, dy.shape[2], dy.shape[3], in.lanes};
    const T* __restrict from = dy.as<const T>();
    const std::int32_t* __restrict index = indices.as<const std::int32_t>();
    T* __restrict to = dx.as<T>();
    const std::int64_t runs = (in.lanes + kScatterLanes - 1) / kScatterLanes;
    const std::int64_t in_plane = in.height * in.width, out_plane = out.height * out.width;
    const std::int64_t row = in.width * in.lanes, out_row = out.width * in.lanes;
    // Where no window shares an element with another one, vectors of lanes are written once each.
    if (is_two_by_two(pool) && in.lanes > 1) {
      for_rows(in.count, in.height, row, [&](std::int64_t plane, std::int64_t h) {
        const std::int64_t window = (plane * out.height + h / 2) * out_row;
        give_to_largest(from + window, index + window, to + (plane * in.height + h) * row,
                        h / 2 < out.height ? out.width : 0, static_cast<std::int32_t>(h * in.width), row,
                        in.lanes);
      });
      return;
    }
    // A run of lanes of a plane belongs to one thread, so adding is safe, and in one order.
    with_lanes(in.lanes, [&](auto lanes) {
      parallel_for(
          in.count * runs, kGrain / (in_plane * kScatterLanes + 1) + 1,
          [=](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) {
              const std::int64_t plane = i / runs, first = i % runs * kScatterLanes;
              const std::int64_t width = lanes - first < kScatterLanes ? lanes - first : kScatterLanes;
              T* __restrict target = to + plane * in_plane * lanes + first;
              for (std::int64_t pixel = 0; pixel < in_plane; ++pixel) {
                for (std::int64_t c = 0; c < width; ++c) target[pixel * lanes + c] = static_cast<T>(C(0));
              }
              for (std::int64_t window = plane * out_plane; window < (plane + 1) * out_plane; ++window) {
                const T* __restrict gradient = from + window * lanes + first;
                const std::int32_t* __restrict chosen = index + window * lanes + first;
                for (std::int64_t c = 0; c < width; ++c) {
                  T& sum = target[chosen[c] * std::int64_t(lanes) + c];
                  sum = static_cast<T>(static_cast<C>(sum) + static_cast<C>(gradient[c]));
                }
              }
            }
          });
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
