// YOLOv2's predictions, one thread each. raw (N, A (5 + C), H, W) in either format; f32, f16, bf16 with f32
// arithmetic.
//
//   boxes[n, p]          corners from tx, ty, tw, th; p = (h W + w) A + a
//   objectness[n, p]     sigmoid
//   probabilities[n, p]  softmax over the C class logits
//
// Outputs are overwritten. In contiguous format neighbouring threads of one anchor read neighbouring numbers;
// in channels-last a thread reads a run of 5 + C.
#include "dlcuda/kernels/yolo.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/launch.cuh"
#include "dlcuda/kernels/functors/yolo.h"

namespace dlcuda::kernels::cuda {
namespace {

template <typename T>
__global__ void decode_kernel(TensorView raw, const float* anchors, std::int64_t each, std::int64_t classes,
                              T* boxes, T* objectness, T* probabilities) {
  const std::int64_t height = raw.shape[2], width = raw.shape[3], k = height * width * each;
  const std::int64_t step = raw.strides[1];
  for (std::int64_t i = global_thread(); i < raw.shape[0] * k; i += global_threads()) {
    const std::int64_t anchor = i % each, column = i / each % width, row = i / each / width % height;
    const T* in = raw.as<const T>() + i / k * raw.strides[0] + anchor * (5 + classes) * step +
                  row * raw.strides[2] + column * raw.strides[3];
    const functors::YoloCell<float> cell{
        row, column, height, width, anchors[2 * anchor], anchors[2 * anchor + 1]};
    const functors::Box<float> box = cell.box(in, step);
#pragma unroll
    for (int j = 0; j < 4; ++j) boxes[4 * i + j] = T(box.v[j]);
    objectness[i] = T(functors::sigmoid(static_cast<float>(in[4 * step])));
    functors::strided_softmax<float>(in + 5 * step, step, classes, probabilities + i * classes);
  }
}

}  // namespace

void yolo_decode(const TensorView& raw, const TensorView& anchors, const TensorView& boxes,
                 const TensorView& objectness, const TensorView& probabilities) {
  visit_float("yolo_decode", raw.dtype, [&]<typename T>() {
    launch("yolo_decode", decode_kernel<T>, grid_for(objectness.numel(), kBlock), kBlock, 0, this_stream(),
           raw, anchors.as<const float>(), anchors.shape[0], probabilities.shape[2], boxes.as<T>(),
           objectness.as<T>(), probabilities.as<T>());
  });
}

}  // namespace dlcuda::kernels::cuda
