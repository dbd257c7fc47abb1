#include "dlcuda/kernels/arithmetic.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/arithmetic.h"
#include "dlcuda/kernels/walk.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
void binary(const TensorView& a, const TensorView& b, const TensorView& out, BinaryOp op) {
  const auto walk = walk_of<3>({&out, &a, &b});
  visit_floating(a.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    functors::visit_binary(op, [&](auto f) {
      const T* left = a.as<const T>();
      const T* right = b.as<const T>();
      T* to = out.as<T>();
      if (walk.is_flat()) {
        parallel_for(walk.count, kGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep
          for (std::int64_t i = begin; i < end; ++i) {
            to[i] = static_cast<T>(f(static_cast<C>(left[i]), static_cast<C>(right[i])));
          }
        });
        return;
      }
      const int inner = walk.rank - 1;
      const std::int64_t length = walk.extent[inner], left_step = walk.stride[1][inner],
                         right_step = walk.stride[2][inner];
      parallel_for(walk.count / (length + (length == 0)), kGrain / (length + 1) + 1,
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t row = begin; row < end; ++row) {
                       std::int64_t at_out = 0, at_left = 0, at_right = 0, rest = row;
                       for (int axis = inner - 1; axis >= 0; --axis) {
                         const std::int64_t position = rest % walk.extent[axis];
                         rest /= walk.extent[axis];
                         at_out += position * walk.stride[0][axis];
                         at_left += position * walk.stride[1][axis];
                         at_right += position * walk.stride[2][axis];
                       }
                       const T *l = left + at_left, *r = right + at_right;
                       T* o = to + at_out;
                       const std::int64_t step = walk.stride[0][inner];
                       for (std::int64_t i = 0; i < length; ++i) {
                         o[i * step] = static_cast<T>(
                             f(static_cast<C>(l[i * left_step]), static_cast<C>(r[i * right_step])));
                       }
                     }
                   });
    });
  });
}

void unary(const TensorView& x, const TensorView& y, const UnaryParams& params) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    functors::visit_unary<C>(params, [&](auto f) {
      const T* from = x.as<const T>();
      T* to = y.as<T>();
      parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(f.forward(static_cast<C>(from[i])));
      });
    });
  });
}

void unary_backward(const TensorView& dy, const TensorView& x, const TensorView& dx,
                    const UnaryParams& params) {
  visit_floating(x.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    functors::visit_unary<C>(params, [&](auto f) {
      const T *grad = dy.as<const T>(), *from = x.as<const T>();
      T* to = dx.as<T>();
      parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          to[i] = static_cast<T>(f.backward(static_cast<C>(grad[i]), static_cast<C>(from[i])));
        }
      });
    });
  });
}

void fill(const TensorView& x, double value) {
  visit_any(x.dtype, [&]<typename T>() {
    const T constant = static_cast<T>(static_cast<compute_t<T>>(value));
    T* to = x.as<T>();
    parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = constant;
    });
  });
}

void advance_counter(const TensorView& counter, std::int64_t by) { *counter.as<std::int64_t>() += by; }

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
