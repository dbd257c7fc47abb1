#include "dlcuda/kernels/batch_norm.h"

#include "dlcuda/kernels/cpu/channels.h"
#include "dlcuda/kernels/functors/batch_norm.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// Elements of a channel.
DLCUDA_INLINE std::int64_t count_of(const TensorView& x) { return x.shape[0] * x.shape[2]; }

/// Any activation, chosen anew for each element.
template <typename C>
struct Chosen {
  static constexpr bool kFromInput = false;
  ActivationParams params;
  C forward(C x) const {
    functors::visit_output_activation<C>(params, [&](auto f) { x = f.forward(x); });
    return x;
  }
  C backward(C dy, C y) const {
    functors::visit_output_activation<C>(params, [&](auto f) { dy = f.backward(dy, y); });
    return dy;
  }
};

/// body(f) for an activation. Loops of their own have only those that models put behind norms, in the types
/// that models compute in: each one costs half a megabyte of library.
template <typename C, typename Body>
DLCUDA_INLINE void visit_fused(const ActivationParams& params, const Body& body) {
  if constexpr (sizeof(C) == sizeof(float)) {
    switch (params.kind) {
      case Activation::Identity:
        return body(functors::Identity<C>{});
      case Activation::Relu:
        return body(functors::Relu<C>{});
      case Activation::Relu6:
        return body(functors::Relu6<C>{});
      case Activation::LeakyRelu:
        return body(functors::LeakyRelu<C>{static_cast<C>(params.slope)});
      default:
        break;
    }
  }
  body(Chosen<C>{params});
}

/// What the activation gave. Identity does not look at it.
template <typename T>
const T* output_of(const BatchNormBackwardViews& v) {
  return v.y.data ? v.y.as<const T>() : v.dy.as<const T>();
}

/// g = dy + more, through the activation.
void write_through(const BatchNormBackwardViews& v, const TensorView& g, const ActivationParams& activation) {
  visit_floating(v.x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    visit_fused<C>(activation, [&](auto f) {
      const T *grad = v.dy.as<const T>(), *more = v.more.as<const T>(), *out = output_of<T>(v);
      T* to = g.as<T>();
      parallel_for(v.x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
        if (more) {
          for (std::int64_t i = begin; i < end; ++i) {
            const C sum = static_cast<C>(grad[i]) + static_cast<C>(more[i]);
            to[i] = static_cast<T>(f.backward(sum, static_cast<C>(out[i])));
          }
        } else {
          for (std::int64_t i = begin; i < end; ++i) {
            to[i] = static_cast<T>(f.backward(static_cast<C>(grad[i]), static_cast<C>(out[i])));
          }
        }
      });
    });
  });
}

}  // namespace

void batch_norm_statistics(const TensorView& x, const TensorView& mean, const TensorView& inverse_std,
                           const TensorView& running_mean, const TensorView& running_var,
                           const TensorView& batches, const BatchNormParams& params) {
  if (batches.data) ++*batches.as<std::int64_t>();
  if (x.numel() == 0) {  // nothing to normalise, and nothing is learnt from it
    batch_norm_running(running_mean, running_var, mean, inverse_std, params.epsilon);
    return;
  }
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    C *means = mean.as<C>(), *stds = inverse_std.as<C>();
    C *slow_mean = running_mean.as<C>(), *slow_var = running_var.as<C>();
    const C momentum = static_cast<C>(params.momentum);
    channel_moments<T>(x, [=](std::int64_t c, const functors::Moments<double>& moments) {
      means[c] = static_cast<C>(moments.mean);
      stds[c] = static_cast<C>(moments.inverse_std(params.epsilon));
      if (!slow_mean) return;
      functors::move_towards(slow_mean[c], means[c], momentum);
      functors::move_towards(slow_var[c], static_cast<C>(moments.unbiased_variance()), momentum);
    });
  });
}

void channel_totals(const TensorView& x, const TensorView& sum, const TensorView& squares) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const T* from = x.as<const T>();
    C *sums_to = sum.as<C>(), *squares_to = squares.as<C>();
    sum_channels<C, 2>(
        x, [](std::int64_t c) { return c; },
        [=](std::int64_t i, std::int64_t, C(&terms)[2]) {
          terms[0] = static_cast<C>(from[i]);
          terms[1] = terms[0] * terms[0];
        },
        [=](std::int64_t c, const double(&sums)[2]) {
          sums_to[c] = static_cast<C>(sums[0]);
          squares_to[c] = static_cast<C>(sums[1]);
        });
  });
}

void batch_norm_from_totals(const TotalsViews& views, const BatchNormParams& params) {
  visit_floating(views.scale.data ? views.scale.dtype : views.sum.dtype, [&]<typename T>() {
    const functors::NormFromTotals<T, compute_t<T>> channel(views, params);
    for (std::int64_t c = 0; c < views.sum.shape[0]; ++c) channel(c);
  });
}

void batch_norm_running(const TensorView& running_mean, const TensorView& running_var, const TensorView& mean,
                        const TensorView& inverse_std, double epsilon) {
  visit_floating(mean.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    for (std::int64_t c = 0; c < mean.shape[0]; ++c) {
      mean.as<C>()[c] = running_mean.data ? running_mean.as<const C>()[c] : C(0);
      const C variance = running_var.data ? running_var.as<const C>()[c] : C(1);
      inverse_std.as<C>()[c] = C(1) / functors::sqrt(variance + static_cast<C>(epsilon));
    }
  });
}

void batch_norm_apply(const TensorView& x, const TensorView& mean, const TensorView& inverse_std,
                      const TensorView& weight, const TensorView& bias, const TensorView& residual,
                      const TensorView& y, const ActivationParams& activation) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    visit_fused<C>(activation, [&](auto f) {
      const T *from = x.as<const T>(), *beside = residual.as<const T>();
      T* to = y.as<T>();
      const C *means = mean.as<const C>(), *stds = inverse_std.as<const C>();
      const C *weights = weight.as<const C>(), *biases = bias.as<const C>();
      const auto scale = [=](std::int64_t c) {
        return functors::ChannelScale<C>(means ? means[c] : C(0), stds ? stds[c] : C(1),
                                         weights ? weights[c] : C(1), biases ? biases[c] : C(0));
      };
      if (beside) {
        for_channels(x, scale, [=](std::int64_t i, const auto& channel) {
          to[i] = static_cast<T>(f.forward(channel(static_cast<C>(from[i])) + static_cast<C>(beside[i])));
        });
      } else {
        for_channels(x, scale, [=](std::int64_t i, const auto& channel) {
          to[i] = static_cast<T>(f.forward(channel(static_cast<C>(from[i]))));
        });
      }
    });
  });
}

void batch_norm_backward_parameters(const BatchNormBackwardViews& v, const TensorView& g,
                                    const TensorView& dweight, const TensorView& dbias,
                                    const ActivationParams& activation) {
  if (g.data) {
    write_through(v, g, activation);
    BatchNormBackwardViews rest = v;
    rest.dy = g;
    rest.more = rest.y = {};
    return batch_norm_backward_parameters(rest, {}, dweight, dbias, {.kind = Activation::Identity});
  }
  visit_floating(v.x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    visit_fused<C>(activation, [&](auto f) {
      const T *from = v.x.as<const T>(), *grad = v.dy.as<const T>(), *out = output_of<T>(v);
      const C *means = v.mean.as<const C>(), *stds = v.inverse_std.as<const C>();
      C *to_weight = dweight.as<C>(), *to_bias = dbias.as<C>();
      sum_channels<C, 2>(
          v.x, [=](std::int64_t c) { return means[c]; },
          [=](std::int64_t i, C channel_mean, C(&terms)[2]) {
            terms[0] = f.backward(static_cast<C>(grad[i]), static_cast<C>(out[i]));
            terms[1] = terms[0] * (static_cast<C>(from[i]) - channel_mean);
          },
          [=](std::int64_t c, const double(&sums)[2]) {
            to_bias[c] = static_cast<C>(sums[0]);
            to_weight[c] = static_cast<C>(sums[1] * static_cast<double>(stds[c]));
          });
    });
  });
}

void batch_norm_backward_data(const BatchNormBackwardViews& v, const TensorView& dweight,
                              const TensorView& dbias, const TensorView& dx, bool training,
                              const ActivationParams& activation) {
  visit_floating(v.x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    visit_fused<C>(activation, [&](auto f) {
      const T *from = v.x.as<const T>(), *grad = v.dy.as<const T>(), *out = output_of<T>(v);
      T* to = dx.as<T>();
      const C *means = v.mean.as<const C>(), *stds = v.inverse_std.as<const C>();
      const C *weights = v.weight.as<const C>(), *by_weight = dweight.as<const C>(),
              *by_bias = dbias.as<const C>();
      const C count = static_cast<C>(count_of(v.x));
      const auto gradient = [=](std::int64_t c) {
        return functors::ChannelGradient<C>(means[c], stds[c], weights ? weights[c] : C(1), by_weight[c],
                                            by_bias[c], count, training);
      };
      for_channels(v.x, gradient, [=](std::int64_t i, const auto& channel) {
        const C g = f.backward(static_cast<C>(grad[i]), static_cast<C>(out[i]));
        to[i] = static_cast<T>(channel(g, static_cast<C>(from[i])));
      });
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
