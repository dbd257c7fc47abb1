// Redmon, Farhadi: "YOLO9000: Better, Faster, Stronger", 2017.
//
// YOLOv2 and tiny YOLOv2. Both turn pictures into raw predictions, which kernels::yolo_decode() reads and
// functional::yolo_loss() trains. Parameters: YOLOv2 50,962,889 for COCO's 80 classes, 50,655,389 for VOC's
// 20; tiny 11,232,057 and 15,861,773. models/yolov2/darknet_weights.h reads and writes Darknet's weights:
// modules are registered in the order of Darknet's files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/yolov2/anchors.h"
#include "dlcuda/models/yolov2/darknet19.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

/// What loss, decoding and tools know of such a network: pictures (N, in_channels, H, W) -> raw predictions
/// (N, A * (5 + classes), H / stride, W / stride), extents divisible by the stride.
class YoloDetector : public Module {
 public:
  std::int64_t classes() const { return classes_; }
  /// Pixels of a cell.
  std::int64_t stride() const { return stride_; }
  /// (A, 2) f32: widths and heights in cells. A buffer, so that a trained network's weights bring the anchors
  /// that it was trained with.
  const Tensor& anchors() const { return anchors_; }

 protected:
  /// Throws ArgumentError for no anchors, sizes that are not positive, and classes < 1.
  YoloDetector(std::int64_t classes, std::int64_t stride, const std::vector<BoxSize>& anchors);
  /// The anchors, which decoding and loss take in f32 beside any predictions.
  bool keeps_f32() const override { return true; }
  /// The 1x1 convolution to A * (5 + classes) channels.
  Conv2dOptions prediction_layer(std::int64_t in_channels) const;

 private:
  std::int64_t classes_, stride_;
  Tensor anchors_;
};

struct YoloV2Config {
  std::int64_t classes = 80;
  std::vector<BoxSize> anchors = coco_anchors();  ///< in cells of 32 pixels
  std::int64_t in_channels = 3;
  std::int64_t width = 32;      ///< channels of the first convolution; all others are multiples of it
  double norm_momentum = 0.01;  ///< share of a new batch in the running statistics of batch norm

  /// The published anchors.
  static std::vector<BoxSize> coco_anchors();
  static std::vector<BoxSize> voc_anchors();
  static YoloV2Config coco() { return {}; }
  static YoloV2Config voc() { return {.classes = 20, .anchors = voc_anchors()}; }
};

/// Darknet-19 without its classifier, three more 3x3 convolutions, and a passthrough from the finer grid.
/// Stride 32; used with 416x416 and 608x608.
class YoloV2 : public YoloDetector {
 public:
  explicit YoloV2(const YoloV2Config& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "YOLOv2"; }

 private:
  Darknet19Trunk trunk_;
  Darknet19Deep deep_;
  Sequential detection_;
  ConvBnAct passthrough_, fusion_;
  Conv2d prediction_;
};

struct TinyYoloV2Config {
  std::int64_t classes = 80;
  std::vector<BoxSize> anchors = YoloV2Config::coco_anchors();  ///< in cells
  std::int64_t in_channels = 3;
  std::int64_t width = 16;  ///< channels of the first convolution
  /// Halvings of the picture, 1 to 5: cells have 2^stages pixels. Fewer than 5 are for small pictures.
  std::int64_t stages = 5;
  /// Channels of the last 3x3 convolution in parts of the widest one's: VOC has 1, COCO 2.
  std::int64_t last_divisor = 2;
  double norm_momentum = 0.01;  ///< share of a new batch in the running statistics of batch norm

  static std::vector<BoxSize> voc_anchors();
  static TinyYoloV2Config coco() { return {}; }
  static TinyYoloV2Config voc() { return {.classes = 20, .anchors = voc_anchors(), .last_divisor = 1}; }
  /// Narrow and halved three times, for small pictures of the size that is given: train_yolo's. Its anchors
  /// are those of generated shapes.
  static TinyYoloV2Config small(const ImageShape& input);
};

/// Nine convolutions, one after another.
class TinyYoloV2 : public YoloDetector {
 public:
  explicit TinyYoloV2(const TinyYoloV2Config& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "tiny YOLOv2"; }

 private:
  Sequential layers_;
  Conv2d prediction_;
};

/// Darknet-19, both networks for COCO and for VOC, and "yolov2_small" for small pictures.
std::vector<ZooModel> yolo_models();

}  // namespace dlcuda
