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
__global__ void decode_kernel(functors::YoloGrid<float> grid, T* boxes, T* objectness, T* probabilities) {
  const std::int64_t step = grid.step();
  for (std::int64_t i = global_thread(); i < grid.count(); i += global_threads()) {
    const auto at = grid.place(i);
    const T* in = grid.raw.as<const T>() + grid.offset(grid.raw, at);
    const functors::Box<float> box = grid.cell(at).box(in, step);
#pragma unroll
    for (int j = 0; j < 4; ++j) boxes[4 * i + j] = T(box.v[j]);
    objectness[i] = T(functors::sigmoid(static_cast<float>(in[4 * step])));
    const T* logits = in + 5 * step;
    const functors::StridedSoftmax<float> softmax(logits, step, grid.classes);
    for (std::int64_t c = 0; c < grid.classes; ++c) {
      probabilities[i * grid.classes + c] = T(softmax.probability(static_cast<float>(logits[c * step])));
    }
  }
}

}  // namespace

void yolo_decode(const TensorView& raw, const TensorView& anchors, const TensorView& boxes,
                 const TensorView& objectness, const TensorView& probabilities) {
  visit_float("yolo_decode", raw.dtype, [&]<typename T>() {
    const functors::YoloGrid<float> grid{raw, anchors.as<const float>(), anchors.shape[0],
                                         probabilities.shape[2]};
    launch("yolo_decode", decode_kernel<T>, grid_for(grid.count(), kBlock), kBlock, 0, this_stream(), grid,
           boxes.as<T>(), objectness.as<T>(), probabilities.as<T>());
  });
}

}  // namespace dlcuda::kernels::cuda
