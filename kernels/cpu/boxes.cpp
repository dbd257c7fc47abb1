#include "dlcuda/kernels/boxes.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/visit_boxes.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

constexpr std::int64_t kBoxGrain = kGrain / 16;

template <typename T>
DLCUDA_INLINE functors::Box<compute_t<T>> load(const T* boxes, std::int64_t row) {
  using C = compute_t<T>;
  const T* box = boxes + 4 * row;
  return {{static_cast<C>(box[0]), static_cast<C>(box[1]), static_cast<C>(box[2]), static_cast<C>(box[3])}};
}

template <typename T>
DLCUDA_INLINE void store(T* boxes, std::int64_t row, const functors::Box<compute_t<T>>& box) {
  for (int i = 0; i < 4; ++i) boxes[4 * row + i] = static_cast<T>(box.v[i]);
}

}  // namespace

void box_overlap(const TensorView& a, const TensorView& b, const TensorView& y, BoxOverlap kind) {
  visit_floating(a.dtype, [&]<typename T>() {
    functors::visit_box_overlap(kind, [&]<bool kGeneralised>() {
      const T *as = a.as<const T>(), *bs = b.as<const T>();
      T* to = y.as<T>();
      parallel_for(y.numel(), kBoxGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          to[i] =
              static_cast<T>(functors::Overlap<compute_t<T>, kGeneralised>(load(as, i), load(bs, i)).value());
        }
      });
    });
  });
}

void box_overlap_backward(const TensorView& dy, const TensorView& a, const TensorView& b,
                          const TensorView& da, const TensorView& db, BoxOverlap kind) {
  visit_floating(a.dtype, [&]<typename T>() {
    functors::visit_box_overlap(kind, [&]<bool kGeneralised>() {
      using C = compute_t<T>;
      const T *as = a.as<const T>(), *bs = b.as<const T>(), *grad = dy.as<const T>();
      T *to_a = da.as<T>(), *to_b = db.as<T>();
      parallel_for(dy.numel(), kBoxGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const functors::Box<C> box_a = load(as, i), box_b = load(bs, i);
          functors::Box<C> grad_a, grad_b;
          functors::Overlap<C, kGeneralised>(box_a, box_b)
              .gradient(static_cast<C>(grad[i]), box_a, box_b, grad_a, grad_b);
          store(to_a, i, grad_a);
          store(to_b, i, grad_b);
        }
      });
    });
  });
}

void box_overlap_matrix(const TensorView& a, const TensorView& b, const TensorView& y, BoxOverlap kind) {
  visit_floating(a.dtype, [&]<typename T>() {
    functors::visit_box_overlap(kind, [&]<bool kGeneralised>() {
      const T *as = a.as<const T>(), *bs = b.as<const T>();
      T* to = y.as<T>();
      const std::int64_t columns = b.shape[0];
      parallel_for(a.shape[0], kBoxGrain / (columns + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          for (std::int64_t j = 0; j < columns; ++j) {
            to[i * columns + j] = static_cast<T>(
                functors::Overlap<compute_t<T>, kGeneralised>(load(as, i), load(bs, j)).value());
          }
        }
      });
    });
  });
}

void box_map(const TensorView& a, const TensorView& b, const TensorView& c, const TensorView& out, BoxMap map,
             const BoxCoding& coding) {
  visit_floating(a.dtype, [&]<typename T>() {
    functors::visit_box_map<compute_t<T>>(map, coding, [&](auto f) {
      const T* as = a.as<const T>();
      // A map that takes fewer boxes does not look at the others.
      const T* bs = b.data ? b.as<const T>() : as;
      const T* cs = c.data ? c.as<const T>() : as;
      T* to = out.as<T>();
      parallel_for(a.numel() / 4, kBoxGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) store(to, i, f(load(as, i), load(bs, i), load(cs, i)));
      });
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
