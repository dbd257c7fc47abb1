// One loop nest serves both memory formats: a plane of channels-last is a set of pixels that are C elements
// apart. The innermost loop runs over what lies together, channels or nothing.
#include "dlcuda/kernels/pool2d.h"

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

/// Rows or columns begin..end-1 of a window, cut to the input.
struct Window {
  std::int64_t begin, end;
};

/// call(plane, oh, ow, rows, columns) for every window of the planes begin..end-1.
template <typename Call>
DLCUDA_INLINE void for_each_window(std::int64_t begin, std::int64_t end, const PoolGeometry& pool,
                                   const Call& call) {
  const Axis h(pool.h), w(pool.w);
  for (std::int64_t plane = begin; plane < end; ++plane) {
    for (std::int64_t oh = 0; oh < h.out; ++oh) {
      const Window rows{h.begin(oh), h.end(oh)};
      for (std::int64_t ow = 0; ow < w.out; ++ow) call(plane, oh, ow, rows, Window{w.begin(ow), w.end(ow)});
    }
  }
}

DLCUDA_INLINE std::int64_t plane_grain(const Planes& p) {
  return kGrain / (p.height * p.width * p.lanes + 1) + 1;
}

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

}  // namespace

void avg_pool2d_forward(const TensorView& x, const TensorView& y, const PoolGeometry& pool) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const Planes in = planes_of(x), out{in.count, y.shape[2], y.shape[3], in.lanes};
    const T* __restrict from = x.as<const T>();
    T* __restrict to = y.as<T>();
    const std::int64_t row = in.width * in.lanes;
    parallel_for(in.count, plane_grain(in), [=, &pool](std::int64_t begin, std::int64_t end) {
      if (is_two_by_two(pool)) {
        with_lanes(in.lanes, [&](auto lanes) {
          for (std::int64_t i = begin * out.height; i < end * out.height; ++i) {
            const T* top = from + (i / out.height * in.height + 2 * (i % out.height)) * row;
            average_rows(top, top + row, to + i * out.width * in.lanes, out.width, lanes);
          }
        });
        return;
      }
      for_each_window(begin, end, pool,
                      [&](std::int64_t plane, std::int64_t oh, std::int64_t ow, Window rows, Window columns) {
                        const C factor = C(1) / functors::pool_divisor<C>(Axis(pool.h), Axis(pool.w), oh, ow,
                                                                          pool.count_include_pad);
                        for (std::int64_t c = 0; c < in.lanes; ++c) {
                          C sum = 0;
                          for (std::int64_t h = rows.begin; h < rows.end; ++h) {
                            for (std::int64_t w = columns.begin; w < columns.end; ++w) {
                              sum += static_cast<C>(from[(plane * in.height + h) * row + w * in.lanes + c]);
                            }
                          }
                          to[((plane * out.height + oh) * out.width + ow) * in.lanes + c] =
                              static_cast<T>(sum * factor);
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
    const std::int64_t row = in.width * in.lanes;
    parallel_for(in.count, plane_grain(in), [=, &pool](std::int64_t begin, std::int64_t end) {
      if (is_two_by_two(pool)) {
        with_lanes(in.lanes, [&](auto lanes) {
          for (std::int64_t i = begin * in.height; i < end * in.height; ++i) {
            const std::int64_t oh = i % in.height / 2;
            const T* source = from + (i / in.height * out.height + oh) * out.width * in.lanes;
            share_row(source, to + i * row, oh < out.height ? out.width : 0, row, lanes);
          }
        });
        return;
      }
      const Axis down(pool.h), across(pool.w);
      // Each input gathers from the windows that cover it, in one order: no zeroing, no 16-bit sums of sums.
      for (std::int64_t i = begin * in.height * in.width; i < end * in.height * in.width; ++i) {
        const std::int64_t plane = i / (in.height * in.width), h = i / in.width % in.height, w = i % in.width;
        for (std::int64_t c = 0; c < in.lanes; ++c) {
          C sum = 0;
          for (std::int64_t oh = down.first_window(h); oh < down.end_window(h); ++oh) {
            for (std::int64_t ow = across.first_window(w); ow < across.end_window(w); ++ow) {
              sum += static_cast<C>(from[((plane * out.height + oh) * out.width + ow) * in.lanes + c]) /
                     functors::pool_divisor<C>(down, across, oh, ow, pool.count_include_pad);
            }
          }
          to[i * in.lanes + c] = static_cast<T>(sum);
        }
      }
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
    parallel_for(in.count, plane_grain(in), [=, &pool](std::int64_t begin, std::int64_t end) {
      for_each_window(begin, end, pool,
                      [&](std::int64_t plane, std::int64_t oh, std::int64_t ow, Window rows, Window columns) {
                        const T* base = from + plane * in.height * in.width * in.lanes;
                        for (std::int64_t c = 0; c < in.lanes; ++c) {
                          std::int64_t best = rows.begin * in.width + columns.begin;
                          C largest = static_cast<C>(base[best * in.lanes + c]);
                          for (std::int64_t h = rows.begin; h < rows.end; ++h) {
                            for (std::int64_t w = columns.begin; w < columns.end; ++w) {
                              const C value = static_cast<C>(base[(h * in.width + w) * in.lanes + c]);
                              if (value > largest || value != value) {
                                largest = value;
                                best = h * in.width + w;
                              }
                            }
                          }
                          const std::int64_t at = ((plane * out.height + oh) * out.width + ow) * in.lanes + c;
                          to[at] = static_cast<T>(largest);
                          index[at] = static_cast<std::int32_t>(best);
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
    // A plane belongs to one thread, so adding is safe, and in one order.
    parallel_for(in.count, plane_grain(in), [=, &pool](std::int64_t begin, std::int64_t end) {
      const std::int64_t in_plane = in.height * in.width * in.lanes;
      for (std::int64_t i = begin * in_plane; i < end * in_plane; ++i) to[i] = static_cast<T>(C(0));
      for_each_window(begin, end, pool,
                      [&](std::int64_t plane, std::int64_t oh, std::int64_t ow, Window, Window) {
                        for (std::int64_t c = 0; c < in.lanes; ++c) {
                          const std::int64_t at = ((plane * out.height + oh) * out.width + ow) * in.lanes + c;
                          T& target = to[plane * in_plane + index[at] * in.lanes + c];
                          target = static_cast<T>(static_cast<C>(target) + static_cast<C>(from[at]));
                        }
                      });
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
