#include "dlcuda/models/yolov2/yolov2.h"

#include <array>

#include "dlcuda/core/check.h"
#include "dlcuda/data/shapes.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/models/configured.h"
#include "dlcuda/models/yolov2/darknet_layers.h"

namespace dlcuda {
namespace {

Tensor anchor_tensor(const std::vector<BoxSize>& anchors) {
  DLCUDA_CHECK(!anchors.empty(), ArgumentError, "YOLOv2 needs at least one anchor");
  std::vector<float> sizes;
  for (const auto& [width, height] : anchors) {
    DLCUDA_CHECK(width > 0 && height > 0, ArgumentError, "anchors must have positive sizes, got {} x {}",
                 width, height);
    sizes.insert(sizes.end(), {float(width), float(height)});
  }
  return Tensor::from_values(sizes, Shape{std::int64_t(anchors.size()), 2});
}

Darknet19Config backbone(const YoloV2Config& config) {
  return {.in_channels = config.in_channels, .width = config.width, .norm_momentum = config.norm_momentum};
}

std::int64_t checked_stages(std::int64_t stages) {
  DLCUDA_CHECK(stages >= 1 && stages <= 5, ArgumentError, "tiny YOLOv2 has 1 to 5 stages, got {}", stages);
  return stages;
}

std::int64_t widest(const TinyYoloV2Config& config) { return config.width << (config.stages + 1); }

}  // namespace

YoloDetector::YoloDetector(std::int64_t classes, std::int64_t stride, const std::vector<BoxSize>& anchors)
    : classes_(classes), stride_(stride), anchors_(anchor_tensor(anchors)) {
  DLCUDA_CHECK(classes >= 1, ArgumentError, "YOLOv2 needs at least one class, got {}", classes);
  register_buffer("anchors", &anchors_);
}

Conv2dOptions YoloDetector::prediction_layer(std::int64_t in_channels) const {
  return {.in_channels = in_channels,
          .out_channels = anchors_.size(0) * (5 + classes_),
          .kernel = {1, 1},
          .scheme = init::Scheme::SmallNormal};
}

std::vector<BoxSize> YoloV2Config::coco_anchors() {
  return {
      {0.57273, 0.677385}, {1.87446, 2.06253}, {3.33843, 5.47434}, {7.88282, 3.52778}, {9.77052, 9.16828}};
}
std::vector<BoxSize> YoloV2Config::voc_anchors() {
  return {{1.3221, 1.73145}, {3.19275, 4.00944}, {5.05587, 8.09892}, {9.47112, 4.84053}, {11.2364, 10.0071}};
}
std::vector<BoxSize> TinyYoloV2Config::voc_anchors() {
  return {{1.08, 1.19}, {3.42, 4.41}, {6.63, 11.38}, {9.42, 5.11}, {16.62, 10.52}};
}

TinyYoloV2Config TinyYoloV2Config::small(const ImageShape& input) {
  TinyYoloV2Config config{
      .anchors = {}, .in_channels = input.channels, .width = 8, .stages = 3, .last_divisor = 1};
  config.classes = std::int64_t(kShapeNames.size());
  config.norm_momentum = 0.1;  // the running statistics must follow within a few hundred steps
  // Sizes in parts of the picture; cluster_anchors() finds them in the generated shapes.
  for (const double size : {0.222, 0.291, 0.372}) {
    config.anchors.push_back(
        {size * double(input.width >> config.stages), size * double(input.height >> config.stages)});
  }
  return config;
}

YoloV2::YoloV2(const YoloV2Config& config)
    : YoloDetector(config.classes, 32, config.anchors),
      trunk_(backbone(config)),
      deep_(backbone(config)),
      passthrough_(darknet_conv(16 * config.width, 2 * config.width, 1, config.norm_momentum)),
      fusion_(darknet_conv((8 + 32) * config.width, 32 * config.width, 3, config.norm_momentum)),
      prediction_(prediction_layer(32 * config.width)) {
  for (int i = 0; i < 2; ++i) {
    detection_.add<ConvBnAct>(darknet_conv(32 * config.width, 32 * config.width, 3, config.norm_momentum));
  }
  register_module("trunk", &trunk_);
  register_module("deep", &deep_);
  register_module("detection", &detection_);
  register_module("passthrough", &passthrough_);
  register_module("fusion", &fusion_);
  register_module("prediction", &prediction_);
}

Tensor YoloV2::forward(const Tensor& x) {                              // (N, 3, 416, 416)
  const Tensor fine = trunk_(x);                                       // (N, 512, 26, 26)
  const Tensor coarse = detection_(deep_(fine));                       // (N, 1024, 13, 13)
  const Tensor detail = functional::reorg(passthrough_(fine), 2);      // (N, 64, 26, 26) -> (N, 256, 13, 13)
  const Tensor y = functional::concat(std::array{detail, coarse}, 1);  // (N, 1280, 13, 13)
  return prediction_(fusion_(y));  // (N, 1024, 13, 13) -> (N, A (5 + C), 13, 13)
}

TinyYoloV2::TinyYoloV2(const TinyYoloV2Config& config)
    : YoloDetector(config.classes, std::int64_t{1} << checked_stages(config.stages), config.anchors),
      prediction_(prediction_layer(widest(config) / config.last_divisor)) {
  std::int64_t in = config.in_channels;
  const auto add = [&](std::int64_t out) {
    layers_.add<ConvBnAct>(darknet_conv(in, out, 3, config.norm_momentum));
    in = out;
  };
  for (std::int64_t stage = 0; stage < config.stages; ++stage) {
    add(config.width << stage);  // (N, 16, 416, 416) ... (N, 256, 26, 26)
    layers_.add<MaxPool2d>();    // (N, 16, 208, 208) ... (N, 256, 13, 13)
  }
  add(config.width << config.stages);         // (N, 512, 13, 13)
  layers_.add<NeighborMaxPool>();             // (N, 512, 13, 13)
  add(widest(config));                        // (N, 1024, 13, 13)
  add(widest(config) / config.last_divisor);  // (N, 512 or 1024, 13, 13)
  register_module("layers", &layers_);
  register_module("prediction", &prediction_);
}

Tensor TinyYoloV2::forward(const Tensor& x) {  // (N, 3, 416, 416)
  return prediction_(layers_(x));              // (N, 512 or 1024, 13, 13) -> (N, A (5 + C), 13, 13)
}

std::vector<ZooModel> yolo_models() {
  constexpr const char* kPaper = "Redmon & Farhadi, 2017";
  const Normalization unit{{0.0f, 0.0f, 0.0f}, {1.0f, 1.0f, 1.0f}};  // pixels from 0 to 1
  std::vector<ZooModel> models{{.name = "darknet19",
                                .paper = kPaper,
                                .normalization = unit,
                                .parameters = 20'842'376,
                                .multiply_adds = 2.79e9,
                                .make = configured<Darknet19>(Darknet19Config{})}};
  const auto add = [&]<typename Model, typename Config>(std::in_place_type_t<Model>, const char* name,
                                                        const Config& config, const ImageShape& input,
                                                        std::int64_t parameters, double multiply_adds) {
    models.push_back({.name = name,
                      .paper = kPaper,
                      .prediction = Prediction::Boxes,
                      .input = input,
                      .classes = config.classes,
                      .normalization = unit,
                      .parameters = parameters,
                      .multiply_adds = multiply_adds,
                      .make = configured<Model>(config)});
  };
  constexpr ImageShape kInput{3, 416, 416}, kSmallInput{3, 64, 64};
  constexpr std::in_place_type_t<YoloV2> kFull;
  constexpr std::in_place_type_t<TinyYoloV2> kTiny;
  // Multiply-adds: half of the operations that Darknet prints.
  add(kFull, "yolov2", YoloV2Config::coco(), kInput, 50'962'889, 14.73e9);
  add(kFull, "yolov2_voc", YoloV2Config::voc(), kInput, 50'655'389, 14.68e9);
  add(kTiny, "yolov2_tiny", TinyYoloV2Config::coco(), kInput, 11'232'057, 2.70e9);
  add(kTiny, "yolov2_tiny_voc", TinyYoloV2Config::voc(), kInput, 15'861'773, 3.49e9);
  add(kTiny, "yolov2_small", TinyYoloV2Config::small(kSmallInput), kSmallInput, 251'375, 0);
  models.back().normalization = shapes_normalization();
  return models;
}

}  // namespace dlcuda
