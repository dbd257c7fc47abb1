#include "dlcuda/kernels/cpu/reference.h"

#include <algorithm>

namespace dlcuda::kernels::cpu::reference {
namespace {

double& at(const TensorView& t, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t l) {
  return t.as<double>()[i * t.strides[0] + j * t.strides[1] + k * t.strides[2] + l * t.strides[3]];
}

/// call(n, o, oh, ow, c, kh, kw, h, w) for every product of a convolution: output (n, o, oh, ow), weight (o,
/// c, kh, kw), input (n, group * C / groups + c, h, w), padding left out.
template <typename Call>
void for_each_product(const TensorView& x, const TensorView& weight, const TensorView& y,
                      const Conv2dParams& params, const Call& call) {
  const std::int64_t group_inputs = weight.shape[1], group_outputs = weight.shape[0] / params.groups;
  for (std::int64_t n = 0; n < y.shape[0]; ++n)
    for (std::int64_t o = 0; o < y.shape[1]; ++o)
      for (std::int64_t oh = 0; oh < y.shape[2]; ++oh)
        for (std::int64_t ow = 0; ow < y.shape[3]; ++ow)
          for (std::int64_t c = 0; c < group_inputs; ++c)
            for (std::int64_t kh = 0; kh < weight.shape[2]; ++kh) {
              const std::int64_t h = oh * params.stride[0] - params.padding[0] + kh * params.dilation[0];
              if (h < 0 || h >= x.shape[2]) continue;
              for (std::int64_t kw = 0; kw < weight.shape[3]; ++kw) {
                const std::int64_t w = ow * params.stride[1] - params.padding[1] + kw * params.dilation[1];
                if (w < 0 || w >= x.shape[3]) continue;
                call(n, o, oh, ow, c, kh, kw, o / group_outputs * group_inputs + c, h, w);
              }
            }
}

void set_all(const TensorView& t, double value) { std::fill_n(t.as<double>(), t.numel(), value); }

}  // namespace

void conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                    const TensorView& y, const Conv2dParams& params) {
  for (std::int64_t n = 0; n < y.shape[0]; ++n)
    for (std::int64_t o = 0; o < y.shape[1]; ++o)
      for (std::int64_t oh = 0; oh < y.shape[2]; ++oh)
        for (std::int64_t ow = 0; ow < y.shape[3]; ++ow)
          at(y, n, o, oh, ow) = bias.data ? bias.as<const double>()[o] : 0.0;
  for_each_product(x, weight, y, params,
                   [&](auto n, auto o, auto oh, auto ow, auto c, auto kh, auto kw, auto in, auto h, auto w) {
                     at(y, n, o, oh, ow) += at(weight, o, c, kh, kw) * at(x, n, in, h, w);
                   });
}

void conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                          const Conv2dParams& params) {
  set_all(dx, 0);
  for_each_product(dx, weight, dy, params,
                   [&](auto n, auto o, auto oh, auto ow, auto c, auto kh, auto kw, auto in, auto h, auto w) {
                     at(dx, n, in, h, w) += at(weight, o, c, kh, kw) * at(dy, n, o, oh, ow);
                   });
}

void conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                            const TensorView& db, const Conv2dParams& params) {
  set_all(dw, 0);
  for_each_product(x, dw, dy, params,
                   [&](auto n, auto o, auto oh, auto ow, auto c, auto kh, auto kw, auto in, auto h, auto w) {
                     at(dw, o, c, kh, kw) += at(dy, n, o, oh, ow) * at(x, n, in, h, w);
                   });
  if (!db.data) return;
  set_all(db, 0);
  for (std::int64_t n = 0; n < dy.shape[0]; ++n)
    for (std::int64_t o = 0; o < dy.shape[1]; ++o)
      for (std::int64_t oh = 0; oh < dy.shape[2]; ++oh)
        for (std::int64_t ow = 0; ow < dy.shape[3]; ++ow) db.as<double>()[o] += at(dy, n, o, oh, ow);
}

void matmul(const TensorView& a, const TensorView& b, const TensorView& bias, const TensorView& out,
            const MatmulParams& params) {
  const int row = out.rank - 2, column = out.rank - 1;
  const std::int64_t rows = out.shape[row], columns = out.shape[column];
  const std::int64_t depth = a.shape[params.transpose_a ? row : column];
  const std::int64_t a_row = params.transpose_a ? 1 : a.shape[column],
                     a_step = params.transpose_a ? a.shape[column] : 1;
  const std::int64_t b_step = params.transpose_b ? 1 : b.shape[column],
                     b_column = params.transpose_b ? b.shape[column] : 1;
  const std::int64_t batch = out.rank == 3 ? out.shape[0] : 1;
  for (std::int64_t i = 0; i < batch * rows; ++i) {
    const std::int64_t matrix = i / rows, m = i % rows;
    const double* left = a.as<const double>() + matrix * rows * depth;
    const double* right = b.as<const double>() + matrix * depth * columns;
    for (std::int64_t n = 0; n < columns; ++n) {
      double sum = bias.data ? bias.as<const double>()[n] : 0.0;
      for (std::int64_t k = 0; k < depth; ++k) {
        sum += left[m * a_row + k * a_step] * right[k * b_step + n * b_column];
      }
      out.as<double>()[i * columns + n] = sum;
    }
  }
}

}  // namespace dlcuda::kernels::cpu::reference
