// Boxes, rows of four numbers; f32, f16, bf16 with f32 arithmetic. Contiguous; outputs are overwritten;
// nothing is saved.
//
//   box_overlap           y[i] = overlap(a[i], b[i])
//   box_overlap_backward  da[i], db[i] = dy[i] * derivatives of overlap(a[i], b[i])
//   box_overlap_matrix    y[i, j] = overlap(a[i], b[j])
//   box_map               out[i] = map(a[i], b[i], c[i])
//
// One thread a box or pair. A box is read number by number: the four lie in one sector, and no alignment is
// asked for.
#include "dlcuda/kernels/boxes.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/launch.cuh"
#include "dlcuda/kernels/functors/visit_boxes.h"

namespace dlcuda::kernels::cuda {
namespace {

using Box = functors::Box<float>;

template <typename T>
__device__ __forceinline__ Box load_box(const T* boxes, std::int64_t row) {
  Box box;
#pragma unroll
  for (int i = 0; i < 4; ++i) box.v[i] = static_cast<float>(boxes[4 * row + i]);
  return box;
}

template <typename T>
__device__ __forceinline__ void store_box(T* boxes, std::int64_t row, const Box& box) {
#pragma unroll
  for (int i = 0; i < 4; ++i) boxes[4 * row + i] = T(box.v[i]);
}

// Pairs (i / columns, i % columns) of a and b; columns == 0: pairs (i, i).
template <bool kGeneralised, typename T>
__global__ void overlap_kernel(const T* a, const T* b, std::int64_t count, std::int64_t columns, T* y) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const std::int64_t row = columns == 0 ? i : i / columns, column = columns == 0 ? i : i % columns;
    y[i] = T(functors::Overlap<float, kGeneralised>(load_box(a, row), load_box(b, column)).value());
  }
}

template <bool kGeneralised, typename T>
__global__ void overlap_backward_kernel(const T* dy, const T* a, const T* b, std::int64_t count, T* da,
                                        T* db) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const Box box_a = load_box(a, i), box_b = load_box(b, i);
    Box grad_a, grad_b;
    functors::Overlap<float, kGeneralised>(box_a, box_b)
        .gradient(static_cast<float>(dy[i]), box_a, box_b, grad_a, grad_b);
    store_box(da, i, grad_a);
    store_box(db, i, grad_b);
  }
}

template <typename F, typename T>
__global__ void box_kernel(F f, const T* a, const T* b, const T* c, std::int64_t count, T* out) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    store_box(out, i, f(load_box(a, i), load_box(b, i), load_box(c, i)));
  }
}

void overlap(const char* name, const TensorView& a, const TensorView& b, const TensorView& y,
             std::int64_t columns, BoxOverlap kind) {
  visit_float(name, a.dtype, [&]<typename T>() {
    functors::visit_box_overlap(kind, [&]<bool kGeneralised>() {
      launch(name, overlap_kernel<kGeneralised, T>, grid_for(y.numel(), kBlock), kBlock, 0, this_stream(),
             a.as<const T>(), b.as<const T>(), y.numel(), columns, y.as<T>());
    });
  });
}

}  // namespace

void box_overlap(const TensorView& a, const TensorView& b, const TensorView& y, BoxOverlap kind) {
  overlap("box_overlap", a, b, y, 0, kind);
}

void box_overlap_matrix(const TensorView& a, const TensorView& b, const TensorView& y, BoxOverlap kind) {
  overlap("box_overlap_matrix", a, b, y, b.shape[0], kind);
}

void box_overlap_backward(const TensorView& dy, const TensorView& a, const TensorView& b,
                          const TensorView& da, const TensorView& db, BoxOverlap kind) {
  visit_float("box_overlap_backward", a.dtype, [&]<typename T>() {
    functors::visit_box_overlap(kind, [&]<bool kGeneralised>() {
      launch("box_overlap_backward", overlap_backward_kernel<kGeneralised, T>, grid_for(dy.numel(), kBlock),
             kBlock, 0, this_stream(), dy.as<const T>(), a.as<const T>(), b.as<const T>(), dy.numel(),
             da.as<T>(), db.as<T>());
    });
  });
}

void box_map(const TensorView& a, const TensorView& b, const TensorView& c, const TensorView& out, BoxMap map,
             const BoxCoding& coding) {
  const std::int64_t count = a.numel() / 4;
  visit_float("box_map", a.dtype, [&]<typename T>() {
    functors::visit_box_map<float>(map, coding, [&](auto f) {
      // A map that takes fewer boxes does not look at the others.
      const T* first = a.as<const T>();
      launch("box_map", box_kernel<decltype(f), T>, grid_for(count, kBlock), kBlock, 0, this_stream(), f,
             first, b.data ? b.as<const T>() : first, c.data ? c.as<const T>() : first, count, out.as<T>());
    });
  });
}

}  // namespace dlcuda::kernels::cuda
