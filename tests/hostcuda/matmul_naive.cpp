// Stands in for kernels/cuda/matmul.cpp (cuBLASLt) on the host shim: plain loops over strides, summed in f64
// with the bias, rounded once.
#include "dlcuda/kernels/matmul.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/tests/hostcuda/naive.h"

namespace dlcuda::kernels::cuda {

void matmul(const TensorView& a, const TensorView& b, const TensorView& bias, const TensorView& out,
            const MatmulParams& params) {
  const int first = out.rank - 2;
  const int a_row = first + (params.transpose_a ? 1 : 0), a_column = 2 * first + 1 - a_row;
  const int b_row = first + (params.transpose_b ? 1 : 0), b_column = 2 * first + 1 - b_row;
  const std::int64_t rows = out.shape[first], columns = out.shape[first + 1];
  const std::int64_t batch = out.rank == 3 ? out.shape[0] : 1;
  hostcuda::on_current_stream("matmul", [=] {
    visit_float("matmul", out.dtype, [&]<typename T>() {
      hostcuda::Sums sums(out);
      for (std::int64_t i = 0; i < batch * rows; ++i) {
        const std::int64_t m = i % rows, matrix = out.rank == 3 ? i / rows : 0;
        const std::int64_t a_begin = matrix * a.strides[0] + m * a.strides[a_row],
                           b_begin = matrix * b.strides[0];
        for (std::int64_t n = 0; n < columns; ++n) {
          double sum = bias.data != nullptr ? hostcuda::load<T>(bias, n) : 0.0;
          for (std::int64_t k = 0; k < a.shape[a_column]; ++k) {
            sum += hostcuda::load<T>(a, a_begin + k * a.strides[a_column]) *
                   hostcuda::load<T>(b, b_begin + k * b.strides[b_row] + n * b.strides[b_column]);
          }
          sums[i * columns + n] = sum;
        }
      }
      sums.store<T>();
    });
  });
}

}  // namespace dlcuda::kernels::cuda
