#include "dlcuda/kernels/group_norm.h"

#include "dlcuda/kernels/cpu/channels.h"
#include "dlcuda/kernels/functors/group_norm.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// The tensor as channels.h takes it.
DLCUDA_INLINE TensorView by_channel(const GroupNormLayout& layout) {
  TensorView view;
  view.rank = 3;
  view.shape[0] = layout.channels_last ? layout.samples * layout.inner : layout.samples;
  view.shape[1] = layout.channels;
  view.shape[2] = layout.channels_last ? 1 : layout.inner;
  return view;
}

/// body(index, channel) for the elements of a row, in the order in which GroupRows counts them, without its
/// divisions.
template <typename Body>
DLCUDA_INLINE void for_elements(const functors::GroupRows& rows, std::int64_t row, const Body& body) {
  const std::int64_t first = row % rows.groups * rows.width;
  if (rows.channels_last) {
    const std::int64_t pixels = row / rows.groups * rows.inner;
    for (std::int64_t p = pixels; p < pixels + rows.inner; ++p) {
      const std::int64_t pixel = p * rows.channels;
      for (std::int64_t c = first; c < first + rows.width; ++c) body(pixel + c, c);
    }
    return;
  }
  for (std::int64_t c = 0; c < rows.width; ++c) {
    const std::int64_t plane = (row * rows.width + c) * rows.inner;
    for (std::int64_t i = plane; i < plane + rows.inner; ++i) body(i, first + c);
  }
}

}  // namespace

void group_norm_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                        const TensorView& y, const TensorView& mean, const TensorView& inverse_std,
                        const GroupNormLayout& layout, double epsilon) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const functors::GroupRows rows(layout);
    const T* from = x.as<const T>();
    T* to = y.as<T>();
    const C *weights = weight.as<const C>(), *biases = bias.as<const C>();
    C *means = mean.as<C>(), *stds = inverse_std.as<C>();
    const std::int64_t length = rows.length();
    parallel_for(
        layout.samples * layout.groups, kGrain / (length + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row) {
            double sum = 0, squares = 0;
            for_elements(rows, row, [&](std::int64_t i, std::int64_t) {
              sum += static_cast<double>(static_cast<C>(from[i]));
            });
            const double average = sum / static_cast<double>(length);
            for_elements(rows, row, [&](std::int64_t i, std::int64_t) {
              const double d = static_cast<double>(static_cast<C>(from[i])) - average;
              squares += d * d;
            });
            const double std = 1 / functors::sqrt(squares / static_cast<double>(length) + epsilon);
            const C center = static_cast<C>(average), factor = static_cast<C>(std);
            means[row] = center;
            stds[row] = factor;
            for_elements(rows, row, [&](std::int64_t i, std::int64_t c) {
              const C normalised = (static_cast<C>(from[i]) - center) * factor;
              to[i] =
                  static_cast<T>(normalised * (weights ? weights[c] : C(1)) + (biases ? biases[c] : C(0)));
            });
          }
        });
  });
}

void group_norm_backward_data(const TensorView& dy, const TensorView& x, const TensorView& weight,
                              const TensorView& mean, const TensorView& inverse_std, const TensorView& dx,
                              const GroupNormLayout& layout) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const functors::GroupRows rows(layout);
    const T *from = x.as<const T>(), *grad = dy.as<const T>();
    T* to = dx.as<T>();
    const C *weights = weight.as<const C>(), *means = mean.as<const C>(), *stds = inverse_std.as<const C>();
    const std::int64_t length = rows.length();
    parallel_for(
        layout.samples * layout.groups, kGrain / (length + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row) {
            const C center = means[row], factor = stds[row];
            const auto gradient = [&](std::int64_t i, std::int64_t c) {
              return static_cast<C>(grad[i]) * (weights ? weights[c] : C(1));
            };
            const auto normalised = [&](std::int64_t i) {
              return (static_cast<C>(from[i]) - center) * factor;
            };
            double sum_g = 0, sum_gx = 0;
            for_elements(rows, row, [&](std::int64_t i, std::int64_t c) {
              const C g = gradient(i, c);
              sum_g += static_cast<double>(g);
              sum_gx += static_cast<double>(g * normalised(i));
            });
            const C mean_g = static_cast<C>(sum_g / static_cast<double>(length));
            const C mean_gx = static_cast<C>(sum_gx / static_cast<double>(length));
            for_elements(rows, row, [&](std::int64_t i, std::int64_t c) {
              to[i] = static_cast<T>(
                  functors::normalised_gradient(gradient(i, c), normalised(i), mean_g, mean_gx, factor));
            });
          }
        });
  });
}

void group_norm_backward_parameters(const TensorView& dy, const TensorView& x, const TensorView& mean,
                                    const TensorView& inverse_std, const TensorView& dweight,
                                    const TensorView& dbias, const GroupNormLayout& layout) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const functors::GroupRows rows(layout);
    const T *from = x.as<const T>(), *grad = dy.as<const T>();
    const C *means = mean.as<const C>(), *stds = inverse_std.as<const C>();
    C *to_weight = dweight.as<C>(), *to_bias = dbias.as<C>();
    sum_channels<C, 2>(
        by_channel(layout), Indices{}, [](std::int64_t c) { return c; },
        [=](std::int64_t first, std::int64_t l, std::int64_t c, C(&terms)[2]) {
          const std::int64_t i = first + l, row = rows.row_of(i, c);
          terms[0] = static_cast<C>(grad[i]);
          terms[1] = terms[0] * (static_cast<C>(from[i]) - means[row]) * stds[row];
        },
        [=](std::int64_t c, const double(&sums)[2]) {
          to_bias[c] = static_cast<C>(sums[0]);
          to_weight[c] = static_cast<C>(sums[1]);
        });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
