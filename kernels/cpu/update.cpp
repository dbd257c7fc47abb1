#include "dlcuda/kernels/update.h"

#include <cmath>

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/update.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// One tensor. T: what is computed in; G: of the gradient and the copy.
template <int kStates, typename T, typename G, typename Update>
DLCUDA_INLINE void update_tensor(const UpdateTensors& t, float unscale, const Update& update) {
  T* __restrict parameter = t.parameter.as<T>();
  const G* __restrict gradient = t.gradient.as<const G>();
  T* __restrict state1 = t.state1.as<T>();
  T* __restrict state2 = t.state2.as<T>();
  G* __restrict copy = t.copy.as<G>();
  const T factor = static_cast<T>(unscale);
  const auto one = [=](std::int64_t i) {
    const T slope = static_cast<T>(gradient[i]) * factor;
    if constexpr (kStates == 2) {
      update(parameter[i], slope, state1[i], state2[i]);
    } else if constexpr (kStates == 1) {
      T unused = 0;
      update(parameter[i], slope, state1[i], unused);
    } else {
      T unused = 0;
      update(parameter[i], slope, unused, unused);
    }
  };
  parallel_for(t.parameter.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    // That no two of up to five tensors overlap is more than the compiler finds out by itself.
    if (copy == nullptr) {
#pragma GCC ivdep
      for (std::int64_t i = begin; i < end; ++i) one(i);
      return;
    }
    // In pieces that stay in the L1: one loop over numbers of both sizes is slower than two.
    constexpr std::int64_t kPiece = 1024;
    for (std::int64_t first = begin; first < end; first += kPiece) {
      const std::int64_t last = first + kPiece < end ? first + kPiece : end;
#pragma GCC ivdep
      for (std::int64_t i = first; i < last; ++i) one(i);
#pragma GCC ivdep
      for (std::int64_t i = first; i < last; ++i) copy[i] = static_cast<G>(parameter[i]);
    }
  });
}

/// make.template operator()<T>() gives the update of one element.
template <int kStates, typename Make>
DLCUDA_INLINE void update_all(std::span<const UpdateTensors> tensors, float unscale, const Make& make) {
  if (unscale == 0.0f) return;
  for (const UpdateTensors& t : tensors) {
    visit_floating(t.gradient.dtype, [&]<typename G>() {
      using T = compute_t<G>;
      update_tensor<kStates, T, G>(t, unscale, make.template operator()<T>());
    });
  }
}

/// Of gradients without a loss scale: 1.
float factor_of(const TensorView& unscale) {
  return unscale.data != nullptr ? *unscale.as<const float>() : 1.0f;
}

/// SGD's functor has one state.
template <typename T>
struct Sgd {
  functors::SgdUpdate<T> update;
  void operator()(T& parameter, T gradient, T& velocity, T&) const { update(parameter, gradient, velocity); }
};

}  // namespace

void sgd_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const TensorView& unscale,
                const SgdParams& params) {
  const auto make = [&]<typename T>() {
    return Sgd<T>{{T(*lr.as<const float>()), T(params.momentum), T(params.weight_decay), params.nesterov}};
  };
  const float factor = factor_of(unscale);
  params.momentum != 0 ? update_all<1>(tensors, factor, make) : update_all<0>(tensors, factor, make);
}

void rmsprop_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const TensorView& unscale,
                    const RmsPropParams& params) {
  const auto make = [&]<typename T>() {
    return functors::RmsPropUpdate<T>{T(*lr.as<const float>()), T(params.alpha), T(params.epsilon),
                                      T(params.momentum), T(params.weight_decay)};
  };
  const float factor = factor_of(unscale);
  params.momentum != 0 ? update_all<2>(tensors, factor, make) : update_all<1>(tensors, factor, make);
}

void adam_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const TensorView& step,
                 const TensorView& unscale, const AdamParams& params) {
  const float factor = factor_of(unscale);
  if (factor == 0.0f) return;
  const auto count = static_cast<double>(++*step.as<std::int64_t>());
  update_all<2>(tensors, factor, [&]<typename T>() {
    return functors::AdamUpdate<T>(T(*lr.as<const float>()), params, count);
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
