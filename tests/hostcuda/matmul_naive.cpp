// Stands in for kernels/cuda/matmul.cpp (cuBLASLt) on the host shim: plain loops over strides, summed in f64
// with the bias, rounded once.
#include "dlcuda/kernels/matmul.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/tests/hostcuda/naive.h"

namespace dlcuda::kernels::cuda {

void matmul(const TensorView& a, const TensorView& b, const TensorView& bias, const TensorView& out,
            const MatmulParams& params) {
  const int a_row = params.transpose_a ? 1 : 0, b_row = params.transpose_b ? 1 : 0;
  visit_float("matmul", out.dtype, [&]<typename T>() {
    hostcuda::Sums sums(out);
    for (std::int64_t m = 0; m < out.shape[0]; ++m) {
      for (std::int64_t n = 0; n < out.shape[1]; ++n) {
        double sum = bias.data != nullptr ? hostcuda::load<T>(bias, n) : 0.0;
        for (std::int64_t k = 0; k < a.shape[1 - a_row]; ++k) {
          sum += hostcuda::load<T>(a, m * a.strides[a_row] + k * a.strides[1 - a_row]) *
                 hostcuda::load<T>(b, k * b.strides[b_row] + n * b.strides[1 - b_row]);
        }
        sums[m * out.shape[1] + n] = sum;
      }
    }
    sums.store<T>();
  });
}

}  // namespace dlcuda::kernels::cuda
