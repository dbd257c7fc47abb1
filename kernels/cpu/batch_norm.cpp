#include "dlcuda/kernels/batch_norm.h"

#include "dlcuda/kernels/cpu/channels.h"
#include "dlcuda/kernels/functors/batch_norm.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// Elements of a channel.
DLCUDA_INLINE std::int64_t count_of(const TensorView& x) { return x.shape[0] * x.shape[2]; }

/// body(f). f16 is for GPUs: here it has no loops of its own for any activation.
template <typename T, typename Body>
DLCUDA_INLINE void visit_activation_of(const ActivationParams& params, const Body& body) {
  if constexpr (std::is_same_v<T, Half>) {
    body(functors::ChosenActivation<compute_t<T>>{params});
  } else {
    functors::visit_fused_activation<compute_t<T>>(params, body);
  }
}

/// What the activation gave. Identity does not look at it, but a pointer must be there.
template <typename T>
const T* output_of(const BatchNormBackwardViews& v) {
  return v.y.data ? v.y.as<const T>() : v.dy.as<const T>();
}

/// dy, x and, where the activation looks at it, y.
template <typename T, typename F>
DLCUDA_INLINE auto gradient_streams(const BatchNormBackwardViews& v) {
  if constexpr (std::is_same_v<F, functors::Identity<compute_t<T>>>) {
    return Streams<T, 2>{v.dy.as<const T>(), v.x.as<const T>()};
  } else {
    return Streams<T, 3>{v.dy.as<const T>(), v.x.as<const T>(), output_of<T>(v)};
  }
}

/// dy through the activation, from a piece of those.
template <typename F, typename Piece>
DLCUDA_INLINE auto through(const F& f, const Piece& piece, std::int64_t l) {
  if constexpr (Piece::kTensors == 2) {
    return piece(0, l);
  } else {
    return f.backward(piece(0, l), piece(2, l));
  }
}

/// g = dy + more, through the activation.
void write_through(const BatchNormBackwardViews& v, const TensorView& g, const ActivationParams& activation) {
  visit_floating(v.x.dtype, [&]<typename T>() {
    visit_activation_of<T>(activation, [&](auto f) {
      const T *grad = v.dy.as<const T>(), *more = v.more.as<const T>(), *out = output_of<T>(v);
      if (more) {
        map_elements(v.x.numel(), Streams<T, 3>{grad, more, out}, g.as<T>(),
                     [=](const auto& piece, std::int64_t l) {
                       return f.backward(piece(0, l) + piece(1, l), piece(2, l));
                     });
      } else {
        map_elements(v.x.numel(), Streams<T, 2>{grad, out}, g.as<T>(),
                     [=](const auto& piece, std::int64_t l) { return f.backward(piece(0, l), piece(1, l)); });
      }
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
    C *sums_to = sum.as<C>(), *squares_to = squares.as<C>();
    sum_channels<C, 2>(
        x, Streams<T, 1>{x.as<const T>()}, [](std::int64_t) { return C(0); },
        [](const auto& piece, std::int64_t l, C, C(&terms)[2]) {
          terms[0] = piece(0, l);
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
    visit_activation_of<T>(activation, [&](auto f) {
      const T *from = x.as<const T>(), *beside = residual.as<const T>();
      T* to = y.as<T>();
      const C *means = mean.as<const C>(), *stds = inverse_std.as<const C>();
      const C *weights = weight.as<const C>(), *biases = bias.as<const C>();
      const auto scale = [=](std::int64_t c) {
        return functors::ChannelScale<C>(means ? means[c] : C(0), stds ? stds[c] : C(1),
                                         weights ? weights[c] : C(1), biases ? biases[c] : C(0));
      };
      if (beside) {
        map_channels(x, Streams<T, 2>{from, beside}, to, scale,
                     [=](const auto& piece, std::int64_t l, const auto& channel) {
                       return f.forward(channel(piece(0, l)) + piece(1, l));
                     });
      } else {
        map_channels(x, Streams<T, 1>{from}, to, scale,
                     [=](const auto& piece, std::int64_t l, const auto& channel) {
                       return f.forward(channel(piece(0, l)));
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
    visit_activation_of<T>(activation, [&](auto f) {
      const C *means = v.mean.as<const C>(), *stds = v.inverse_std.as<const C>();
      C *to_weight = dweight.as<C>(), *to_bias = dbias.as<C>();
      sum_channels<C, 2>(
          v.x, gradient_streams<T, decltype(f)>(v), [=](std::int64_t c) { return means[c]; },
          [=](const auto& piece, std::int64_t l, C channel_mean, C(&terms)[2]) {
            terms[0] = through(f, piece, l);
            terms[1] = terms[0] * (piece(1, l) - channel_mean);
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
    visit_activation_of<T>(activation, [&](auto f) {
      const C *means = v.mean.as<const C>(), *stds = v.inverse_std.as<const C>();
      const C *weights = v.weight.as<const C>(), *by_weight = dweight.as<const C>(),
              *by_bias = dbias.as<const C>();
      const C count = static_cast<C>(count_of(v.x));
      const auto gradient = [=](std::int64_t c) {
        return functors::ChannelGradient<C>(means[c], stds[c], weights ? weights[c] : C(1), by_weight[c],
                                            by_bias[c], count, training);
      };
      map_channels(v.x, gradient_streams<T, decltype(f)>(v), dx.as<T>(), gradient,
                   [=](const auto& piece, std::int64_t l, const auto& channel) {
                     return channel(through(f, piece, l), piece(1, l));
                   });
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
