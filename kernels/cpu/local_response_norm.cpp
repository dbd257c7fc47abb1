#include "dlcuda/kernels/local_response_norm.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/local_response_norm.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// body(index of channel 0 of a pixel) for all pixels.
template <typename Body>
DLCUDA_INLINE void for_pixels(const TensorView& x, const Body& body) {
  const std::int64_t channels = x.shape[1], inner = x.shape[2];
  parallel_for(x.shape[0] * inner, kGrain / (16 * (channels + 1)) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t p = begin; p < end; ++p) body(p / inner * channels * inner + p % inner);
               });
}

/// Channels of which something is kept: windows are smaller, as a rule.
constexpr std::int64_t kKept = 32;

}  // namespace

void local_response_norm_forward(const TensorView& x, const TensorView& y,
                                 const LocalResponseNormParams& params) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const functors::ResponseWindow<C> window(x.shape[1], x.shape[2], params);
    const T* from = x.as<const T>();
    T* to = y.as<T>();
    for_pixels(x, [=](std::int64_t first) {
      for (std::int64_t c = 0; c < window.channels; ++c) {
        const std::int64_t i = first + c * window.step;
        to[i] = static_cast<T>(static_cast<C>(from[i]) *
                               functors::pow(window.scale(from + first, c), -window.beta));
      }
    });
  });
}

void local_response_norm_backward(const TensorView& dy, const TensorView& x, const TensorView& dx,
                                  const LocalResponseNormParams& params) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const functors::ResponseWindow<C> window(x.shape[1], x.shape[2], params);
    const T *from = x.as<const T>(), *grad = dy.as<const T>();
    T* to = dx.as<T>();
    if (window.before + window.behind >= kKept) {
      for_pixels(x, [=](std::int64_t first) {
        for (std::int64_t c = 0; c < window.channels; ++c) {
          to[first + c * window.step] = static_cast<T>(window.gradient(grad + first, from + first, c));
        }
      });
      return;
    }
    // Each channel's share is computed once, when the first window that needs it comes along.
    for_pixels(x, [=](std::int64_t first) {
      typename functors::ResponseWindow<C>::Share kept[kKept];
      std::int64_t known = 0;
      for (std::int64_t c = 0; c < window.channels; ++c) {
        const std::int64_t end = window.end_sharing(c);
        for (; known < end; ++known) kept[known % kKept] = window.share(grad + first, from + first, known);
        C through = 0;
        for (std::int64_t j = window.first_sharing(c); j < end; ++j) through += kept[j % kKept].through;
        const std::int64_t i = first + c * window.step;
        to[i] = static_cast<T>(window.gradient_of(static_cast<C>(from[i]), kept[c % kKept].own, through));
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
