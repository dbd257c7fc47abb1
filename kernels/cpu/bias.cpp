#include "dlcuda/kernels/bias.h"

#include "dlcuda/kernels/cpu/channels.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// A dense tensor as (outer, channels, inner) in memory order: inner is 1 for channels-last and for (N, C).
DLCUDA_INLINE TensorView by_channel(const TensorView& x) {
  std::int64_t spatial = 1;
  for (int axis = 2; axis < x.rank; ++axis) spatial *= x.shape[axis];
  const bool channels_last = x.rank == 4 && x.strides[1] == 1 && x.strides[3] == x.shape[1] && spatial > 1;
  TensorView view = x;
  view.rank = 3;
  view.shape[0] = channels_last ? x.shape[0] * spatial : x.shape[0];
  view.shape[2] = channels_last ? 1 : spatial;
  return view;
}

}  // namespace

void bias_add(const TensorView& x, const TensorView& bias, const TensorView& y) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const T* b = bias.as<const T>();
    map_channels(
        by_channel(x), Streams<T, 1>{x.as<const T>()}, y.as<T>(),
        [=](std::int64_t c) { return static_cast<C>(b[c]); },
        [](const auto& piece, std::int64_t l, C value) { return piece(0, l) + value; });
  });
}

void bias_backward(const TensorView& dy, const TensorView& db) {
  visit_floating(dy.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    T* to = db.as<T>();
    sum_channels<C, 1>(
        by_channel(dy), Streams<T, 1>{dy.as<const T>()}, [](std::int64_t) { return C(0); },
        [](const auto& piece, std::int64_t l, C, C(&terms)[1]) { terms[0] = piece(0, l); },
        [=](std::int64_t c, const double(&sums)[1]) { to[c] = static_cast<T>(sums[0]); });
  });
}

void activation_bias_backward(const TensorView& dy, const TensorView& y, const TensorView& dx,
                              const TensorView& db, const ActivationParams& activation) {
  activation_backward(dy, y, dx, activation);
  bias_backward(dx, db);
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
