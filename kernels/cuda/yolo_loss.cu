// The loss of YOLOv2, one thread for each prediction. raw (N, A (5 + C), H, W) in either format, f32, f16 or
// bf16; labels (N, M) i64; boxes and arithmetic in f32. The formula is in kernels/yolo_loss.h.
//
//   forward   assignment[i], terms[i] of each prediction, then their sum / N in a fixed order (reduction.cuh)
//   check     one block: leaves a note of the first label beyond the classes (core/label_fault.h)
//   backward  draw = dloss / N * derivative
//
// Each prediction looks through the boxes of its picture for one that belongs to it: M is small, and nothing
// is scattered. The forward pass saves the assignment; the backward pass computes targets again. Outputs are
// overwritten. A label beyond the classes makes the loss NaN; it is never used as an index.
#include "dlcuda/kernels/yolo_loss.h"

#include "dlcuda/core/label_fault.h"
#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/reduction.cuh"
#include "dlcuda/kernels/functors/yolo_loss.h"

namespace dlcuda::kernels::cuda {
namespace {

using Function = functors::YoloLoss<float>;

template <typename T>
__global__ void forward_kernel(Function function, std::int32_t* assignment, float* terms) {
  for (std::int64_t i = global_thread(); i < function.grid.count(); i += global_threads()) {
    const auto at = function.grid.place(i);
    const T* raw = function.grid.raw.as<const T>() + function.grid.offset(function.grid.raw, at);
    const std::int32_t mine = function.assign(at, raw);
    assignment[i] = mine;
    terms[i] = function.value(at, raw, mine);
  }
}

// One block.
__global__ void check_kernel(const std::int64_t* labels, std::int64_t count, std::int64_t classes,
                             float* loss, LabelFault* fault, LabelFault* fault_on_host) {
  __shared__ int first_bad;
  const int none = static_cast<int>(count);
  if (threadIdx.x == 0) first_bad = none;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < none; i += kBlock) {
    if (labels[i] >= classes) atomicMin(&first_bad, i);
  }
  __syncthreads();
  if (threadIdx.x != 0 || first_bad == none) return;
  *loss = NAN;
  if (fault->classes == 0) {
    *fault = *fault_on_host = {classes, first_bad, labels[first_bad], LabelFault::kYoloLoss};
  }
}

template <typename T>
__global__ void backward_kernel(Function function, const float* dloss, const std::int32_t* assignment,
                                TensorView draw) {
  const float dy = *dloss / static_cast<float>(draw.shape[0]);
  for (std::int64_t i = global_thread(); i < function.grid.count(); i += global_threads()) {
    const auto at = function.grid.place(i);
    function.gradient(dy, at, function.grid.raw.as<const T>() + function.grid.offset(function.grid.raw, at),
                      assignment[i], draw.as<T>() + function.grid.offset(draw, at), draw.strides[1]);
  }
}

}  // namespace

void yolo_loss_forward(const YoloLossViews& views, const TensorView& terms, const TensorView& loss,
                       const YoloLossParams& params) {
  const Function function(views, params);
  const std::int64_t count = function.grid.count();
  visit_float("yolo_loss_forward", views.raw.dtype, [&]<typename T>() {
    launch("yolo_loss_forward", forward_kernel<T>, grid_for(count, kBlock), kBlock, 0, this_stream(),
           function, views.assignment.as<std::int32_t>(), terms.as<float>());
  });
  reduce_middle<Sum>("yolo_loss_forward", terms.as<const float>(), 1, count, 1, loss.as<float>(),
                     static_cast<float>(views.raw.shape[0]));
  const LabelFaultNotes notes = label_fault_notes(this_device());
  launch("yolo_loss_forward", check_kernel, 1, kBlock, 0, this_stream(), function.truths.labels,
         views.labels.numel(), function.grid.classes, loss.as<float>(), notes.device, notes.host);
}

void yolo_loss_backward(const TensorView& dloss, const YoloLossViews& views, const TensorView& draw,
                        const YoloLossParams& params) {
  const Function function(views, params);
  visit_float("yolo_loss_backward", views.raw.dtype, [&]<typename T>() {
    launch("yolo_loss_backward", backward_kernel<T>, grid_for(function.grid.count(), kBlock), kBlock, 0,
           this_stream(), function, dloss.as<const float>(), views.assignment.as<const std::int32_t>(), draw);
  });
}

}  // namespace dlcuda::kernels::cuda
