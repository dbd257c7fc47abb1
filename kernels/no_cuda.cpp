// The CUDA side of every family in a build without CUDA. No tensor can be on a CUDA device then, so nobody
// gets here but by a mistake of ours; the message is for that case.
#include "dlcuda/core/check.h"
#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/augment.h"
#include "dlcuda/kernels/batch_norm.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/boxes.h"
#include "dlcuda/kernels/confusion.h"
#include "dlcuda/kernels/conv2d_fused.h"
#include "dlcuda/kernels/conv2d_norm.h"
#include "dlcuda/kernels/conv2d_pool.h"
#include "dlcuda/kernels/conv_transpose2d.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cross_entropy.h"
#include "dlcuda/kernels/dropout.h"
#include "dlcuda/kernels/elementwise_loss.h"
#include "dlcuda/kernels/group_norm.h"
#include "dlcuda/kernels/indexing.h"
#include "dlcuda/kernels/libraries.h"
#include "dlcuda/kernels/linear.h"
#include "dlcuda/kernels/local_response_norm.h"
#include "dlcuda/kernels/loss_scale.h"
#include "dlcuda/kernels/matmul.h"
#include "dlcuda/kernels/nms.h"
#include "dlcuda/kernels/pad.h"
#include "dlcuda/kernels/pool2d.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/kernels/reduce.h"
#include "dlcuda/kernels/resample.h"
#include "dlcuda/kernels/softmax.h"
#include "dlcuda/kernels/update.h"
#include "dlcuda/kernels/yolo.h"
#include "dlcuda/kernels/yolo_loss.h"

namespace dlcuda::kernels::cuda {
namespace {

[[noreturn]] void refuse(const char* op) {
  DLCUDA_THROW(DeviceError,
               "{}: libdlcuda was built without CUDA; install the CUDA toolkit and cuDNN, build again", op);
}

}  // namespace

using View = const TensorView&;

std::vector<LibraryInfo> libraries() {
  constexpr const char* kReason = "built without CUDA";
  return {{.name = "cuBLASLt", .purpose = "matrix products on NVIDIA GPUs", .version = {}, .reason = kReason},
          {.name = "cuDNN", .purpose = "convolutions on NVIDIA GPUs", .version = {}, .reason = kReason}};
}

void activation_forward(View, View, const ActivationParams&) { refuse("activation"); }
void activation_backward(View, View, View, const ActivationParams&) { refuse("activation_backward"); }
void augment(View, View, View, View) { refuse("augment"); }
void binary(View, View, View, BinaryOp) { refuse("arithmetic"); }
void unary(View, View, const UnaryParams&) { refuse("arithmetic"); }
void unary_backward(View, View, View, const UnaryParams&) { refuse("arithmetic"); }
void fill(View, double) { refuse("fill"); }
void advance_counter(View, std::int64_t) { refuse("advance_counter"); }
void batch_norm_statistics(View, View, View, View, View, View, const BatchNormParams&) {
  refuse("batch_norm");
}
void batch_norm_from_totals(const TotalsViews&, const BatchNormParams&) { refuse("batch_norm"); }
void batch_norm_running(View, View, View, View, double) { refuse("batch_norm"); }
void batch_norm_apply(View, View, View, View, View, View, View, const ActivationParams&) {
  refuse("batch_norm");
}
void batch_norm_backward_parameters(const BatchNormBackwardViews&, View, View, View,
                                    const ActivationParams&) {
  refuse("batch_norm_backward");
}
void batch_norm_backward_data(const BatchNormBackwardViews&, View, View, View, bool,
                              const ActivationParams&) {
  refuse("batch_norm_backward");
}
void bias_add(View, View, View) { refuse("bias_add"); }
void bias_backward(View, View) { refuse("bias_backward"); }
void activation_bias_backward(View, View, View, View, const ActivationParams&) {
  refuse("activation_bias_backward");
}
void box_overlap(View, View, View, BoxOverlap) { refuse("box_overlap"); }
void box_overlap_backward(View, View, View, View, View, BoxOverlap) { refuse("box_overlap_backward"); }
void box_overlap_matrix(View, View, View, BoxOverlap) { refuse("box_overlap_matrix"); }
void box_map(View, View, View, View, BoxMap, const BoxCoding&) { refuse("box_map"); }
void conv2d_forward(View, View, View, View, const Conv2dParams&) { refuse("conv2d"); }
void conv2d_fused(View, View, View, View, View, const Conv2dParams&, const ActivationParams&, PackedWeight*) {
  refuse("conv2d_fused");
}
void conv2d_pool_forward(View, View, View, View, View, const Conv2dParams&, const ActivationParams&) {
  refuse("conv2d_pool");
}
void conv2d_pool_backward(View, View, View, View, View, View, View, const Conv2dParams&,
                          const ActivationParams&) {
  refuse("conv2d_pool_backward");
}
void conv2d_backward_data(View, View, View, const Conv2dParams&) { refuse("conv2d_backward_data"); }
void conv2d_backward_weight(View, View, View, View, const Conv2dParams&) { refuse("conv2d_backward_weight"); }
bool conv2d_absorbs_norms(const Shape&, const Shape&, const Shape&, DType, const Conv2dParams&, bool) {
  return false;
}
void conv2d_norm_forward(View, const NormViews&, View, View, View, View, const Conv2dParams&) {
  refuse("conv2d_norm");
}
void conv2d_norm_backward_weight(View, const NormViews&, View, View, const Conv2dParams&) {
  refuse("conv2d_norm_backward_weight");
}
void conv2d_norm_backward_data(View, View, View, const NormViews&, View, View, View, const Conv2dParams&) {
  refuse("conv2d_norm_backward_data");
}
void copy(View, View) { refuse("copy"); }
void conv_transpose2d_forward(View, View, View, View, const ConvTranspose2dParams&) {
  refuse("conv_transpose2d");
}
void conv_transpose2d_backward_data(View, View, View, const ConvTranspose2dParams&) {
  refuse("conv_transpose2d_backward_data");
}
void conv_transpose2d_backward_weight(View, View, View, const ConvTranspose2dParams&) {
  refuse("conv_transpose2d_backward_weight");
}
void spread_taps(View, View, View, std::int64_t, std::int64_t) { refuse("conv_transpose2d"); }
void gather_taps(View, View, std::int64_t, std::int64_t) { refuse("conv_transpose2d_backward"); }
void cross_entropy_forward(const CrossEntropyViews&, View, View, const CrossEntropyParams&) {
  refuse("cross_entropy");
}
void cross_entropy_backward(View, const CrossEntropyViews&, View, const CrossEntropyParams&) {
  refuse("cross_entropy_backward");
}
void classification_metrics(View, View, View, View) { refuse("classification_metrics"); }
void dropout(View, View, const DropoutParams&) { refuse("dropout"); }
void channel_dropout(View, View, std::int64_t, const DropoutParams&) { refuse("channel_dropout"); }
void gather(View, View, View, bool) { refuse("gather"); }
void gather_backward(View, View, View, bool, std::int64_t) { refuse("gather_backward"); }
void one_hot(View, View) { refuse("one_hot"); }
void resample_forward(View, View, Resample, std::array<std::int64_t, 2>) { refuse("resize"); }
void resample_backward(View, View, Resample, std::array<std::int64_t, 2>) { refuse("resize_backward"); }
void group_norm_forward(View, View, View, View, View, View, const GroupNormLayout&, double) {
  refuse("group_norm");
}
void group_norm_backward_data(View, View, View, View, View, View, const GroupNormLayout&) {
  refuse("group_norm_backward");
}
void group_norm_backward_parameters(View, View, View, View, View, View, const GroupNormLayout&) {
  refuse("group_norm_backward");
}
void linear_forward(View, View, View, View, const ActivationParams&) { refuse("linear_forward"); }
void linear_backward(View, View, View, View, View, View, View, const ActivationParams&) {
  refuse("linear_backward");
}
void local_response_norm_forward(View, View, const LocalResponseNormParams&) {
  refuse("local_response_norm");
}
void local_response_norm_backward(View, View, View, const LocalResponseNormParams&) {
  refuse("local_response_norm_backward");
}
void element_loss_forward(View, View, View, View, bool, double, const ElementLossParams&) {
  refuse("element_loss");
}
void element_loss_backward(View, View, View, View, View, bool, double, const ElementLossParams&) {
  refuse("element_loss_backward");
}
void matmul(View, View, View, View, const MatmulParams&) { refuse("matmul"); }
void nms(View, View, View, View, View, const NmsParams&) { refuse("nms"); }
void pad(View, View, const PadAxes&, double) { refuse("pad"); }
void avg_pool2d_forward(View, View, const PoolGeometry&) { refuse("avg_pool2d"); }
void avg_pool2d_backward(View, View, const PoolGeometry&) { refuse("avg_pool2d_backward"); }
void max_pool2d_forward(View, View, View, const PoolGeometry&) { refuse("max_pool2d"); }
void max_pool2d_backward(View, View, View, const PoolGeometry&) { refuse("max_pool2d_backward"); }
void fill_uniform(View, double, double, const RandomCall&) { refuse("fill_uniform"); }
void fill_normal(View, double, double, const RandomCall&) { refuse("fill_normal"); }
void reduce(View, View, Reduction) { refuse("reduce"); }
void argmax(View, View, bool) { refuse("argmax"); }
void softmax_forward(View, View, bool) { refuse("softmax"); }
void softmax_backward(View, View, View, bool) { refuse("softmax_backward"); }
void settle_loss_scale(std::span<const GradientView>, const LossScaleViews&, const LossScaleParams&) {
  refuse("settle_loss_scale");
}
void sgd_update(std::span<const UpdateTensors>, View, View, const SgdParams&) { refuse("sgd_update"); }
void rmsprop_update(std::span<const UpdateTensors>, View, View, const RmsPropParams&) {
  refuse("rmsprop_update");
}
void adam_update(std::span<const UpdateTensors>, View, View, View, const AdamParams&) {
  refuse("adam_update");
}
void confusion_metrics(View, View, View, View, View) { refuse("confusion_metrics"); }
void yolo_decode(View, View, View, View, View) { refuse("yolo_decode"); }
void yolo_loss_forward(const YoloLossViews&, View, View, const YoloLossParams&) { refuse("yolo_loss"); }
void yolo_loss_backward(View, const YoloLossViews&, View, const YoloLossParams&) {
  refuse("yolo_loss_backward");
}

}  // namespace dlcuda::kernels::cuda
