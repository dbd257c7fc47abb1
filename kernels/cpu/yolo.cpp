#include "dlcuda/kernels/yolo.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/yolo.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

void yolo_decode(const TensorView& raw, const TensorView& anchors, const TensorView& boxes,
                 const TensorView& objectness, const TensorView& probabilities) {
  visit_floating(raw.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const std::int64_t height = raw.shape[2], width = raw.shape[3], each = anchors.shape[0];
    const std::int64_t classes = probabilities.shape[2], k = height * width * each;
    parallel_for(
        raw.shape[0] * k, kGrain / (16 * (classes + 4)) + 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t anchor = i % each, column = i / each % width, row = i / each / width % height;
            const C* size = anchors.as<const C>() + 2 * anchor;
            const std::int64_t step = raw.strides[1];
            const T* in = raw.as<const T>() + i / k * raw.strides[0] + anchor * (5 + classes) * step +
                          row * raw.strides[2] + column * raw.strides[3];
            const auto box =
                functors::YoloCell<C>{row, column, height, width, size[0], size[1]}.box(in, step);
            for (int j = 0; j < 4; ++j) boxes.as<T>()[4 * i + j] = static_cast<T>(box.v[j]);
            objectness.as<T>()[i] = static_cast<T>(functors::sigmoid(static_cast<C>(in[4 * step])));
            functors::strided_softmax<C>(in + 5 * step, step, classes, probabilities.as<T>() + i * classes);
          }
        });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
