#include "dlcuda/kernels/yolo.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/yolo.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

void yolo_decode(const TensorView& raw, const TensorView& anchors, const TensorView& boxes,
                 const TensorView& objectness, const TensorView& probabilities) {
  visit_floating(raw.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const std::int64_t classes = probabilities.shape[2];
    const functors::YoloGrid<C> grid{raw, anchors.as<const C>(), anchors.shape[0], classes};
    parallel_for(grid.count(), kGrain / (16 * (classes + 4)) + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto at = grid.place(i);
        const std::int64_t step = grid.step();
        const T* in = raw.as<const T>() + grid.offset(raw, at);
        const auto box = grid.cell(at).box(in, step);
        for (int j = 0; j < 4; ++j) boxes.as<T>()[4 * i + j] = static_cast<T>(box.v[j]);
        objectness.as<T>()[i] = static_cast<T>(functors::sigmoid(static_cast<C>(in[4 * step])));
        const T* logits = in + 5 * step;
        const functors::StridedSoftmax<C> softmax(logits, step, classes);
        for (std::int64_t c = 0; c < classes; ++c) {
          probabilities.as<T>()[i * classes + c] =
              static_cast<T>(softmax.probability(static_cast<C>(logits[c * step])));
        }
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
