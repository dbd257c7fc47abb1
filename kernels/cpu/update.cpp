#include "dlcuda/kernels/update.h"

#include <cmath>

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/update.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// make.template operator()<T>() gives the functor; update(functor, parameter, gradient, state1, state2) one
/// element.
template <typename Make, typename Update>
DLCUDA_INLINE void update_all(std::span<const UpdateTensors> tensors, const Make& make,
                              const Update& update) {
  for (const UpdateTensors& t : tensors) {
    const auto run = [&]<typename T>() {
      const auto f = make.template operator()<T>();
      T* __restrict parameter = t.parameter.as<T>();
      const T* __restrict gradient = t.gradient.as<const T>();
      T* __restrict state1 = t.state1.as<T>();
      T* __restrict state2 = t.state2.as<T>();
      parallel_for(t.parameter.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) update(f, parameter, gradient, state1, state2, i);
      });
    };
    t.parameter.dtype == DType::F64 ? run.template operator()<double>() : run.template operator()<float>();
  }
}

}  // namespace

void sgd_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const SgdParams& params) {
  const auto make = [&]<typename T>() {
    return functors::SgdUpdate<T>{T(*lr.as<const float>()), T(params.momentum), T(params.weight_decay),
                                  params.nesterov};
  };
  if (params.momentum != 0) {
    update_all(tensors, make,
               [](auto f, auto* parameter, auto* gradient, auto* velocity, auto*, std::int64_t i) {
                 f(parameter[i], gradient[i], velocity[i]);
               });
  } else {
    update_all(tensors, make, [](auto f, auto* parameter, auto* gradient, auto*, auto*, std::int64_t i) {
      auto unused = parameter[i];
      f(parameter[i], gradient[i], unused);
    });
  }
}

void adam_update(std::span<const UpdateTensors> tensors, const TensorView& lr, const TensorView& step,
                 const AdamParams& params) {
  const auto count = static_cast<double>(*step.as<const std::int64_t>());
  const auto make = [&]<typename T>() {
    return functors::AdamUpdate<T>{T(*lr.as<const float>()),
                                   T(params.beta1),
                                   T(params.beta2),
                                   T(params.epsilon),
                                   T(params.weight_decay),
                                   T(1 - ::pow(params.beta1, count)),
                                   T(1 - ::pow(params.beta2, count))};
  };
  update_all(tensors, make,
             [](auto f, auto* parameter, auto* gradient, auto* first, auto* second, std::int64_t i) {
               f(parameter[i], gradient[i], first[i], second[i]);
             });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
