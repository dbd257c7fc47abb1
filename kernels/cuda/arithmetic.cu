// Sums, products and constants.
//
//   add       out[i] = a[i] + b[i]
//   multiply  out[i] = a[i] * b[i]
//   scale     out[i] = x[i] * factor
//   fill      x[i] = value
//   advance_counter  counter[0] += by
//
// Dense tensors of one shape and format; f32, f16, bf16 with f32 arithmetic (fill: any dtype). out is
// overwritten and may be an input.
#include "dlcuda/kernels/arithmetic.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/map.cuh"
#include "dlcuda/kernels/functors/convert.h"

namespace dlcuda::kernels::cuda {
namespace {

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Multiply {
  __device__ float operator()(float a, float b) const { return a * b; }
};
struct Scale {
  float factor;
  __device__ float operator()(float x) const { return x * factor; }
};
template <typename T>
struct Constant {
  T value;
  __device__ T operator()() const { return value; }
};

__global__ void advance_counter_kernel(std::int64_t* counter, std::int64_t by) { *counter += by; }

template <typename F>
void map_two(const char* name, const TensorView& a, const TensorView& b, const TensorView& out) {
  visit_float(name, a.dtype, [&]<typename T>() {
    map(name, F{}, a.numel(), out.as<T>(), a.as<const T>(), b.as<const T>());
  });
}

}  // namespace

void add(const TensorView& a, const TensorView& b, const TensorView& out) { map_two<Add>("add", a, b, out); }

void multiply(const TensorView& a, const TensorView& b, const TensorView& out) {
  map_two<Multiply>("multiply", a, b, out);
}

void scale(const TensorView& x, double factor, const TensorView& out) {
  visit_float("scale", x.dtype, [&]<typename T>() {
    map("scale", Scale{static_cast<float>(factor)}, x.numel(), out.as<T>(), x.as<const T>());
  });
}

void fill(const TensorView& x, double value) {
  visit_any(x.dtype, [&]<typename T>() {
    map("fill", Constant<T>{functors::convert<T>(value)}, x.numel(), x.as<T>());
  });
}

void advance_counter(const TensorView& counter, std::int64_t by) {
  launch("advance_counter", advance_counter_kernel, 1, 1, 0, this_stream(), counter.as<std::int64_t>(), by);
}

}  // namespace dlcuda::kernels::cuda
