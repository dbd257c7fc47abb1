// Trains a small network of tiny YOLOv2's kind to find objects: by default coloured shapes on pictures of
// 64x64 pixels, for which three halvings are enough.
#include "dlcuda/models/yolov2/detection_task.h"
#include "dlcuda/models/yolov2/yolov2.h"
#include "dlcuda/train/main.h"

namespace {

using namespace dlcuda;

/// Sizes in parts of the picture; cluster_anchors() finds them in the generated shapes.
constexpr BoxSize kAnchors[] = {{0.222, 0.222}, {0.291, 0.291}, {0.372, 0.372}};

std::unique_ptr<Module> small_yolo(const ImageShape& input, std::int64_t classes) {
  TinyYoloV2Config config{.classes = classes,
                          .anchors = {},
                          .in_channels = input.channels,
                          .width = 8,
                          .stages = 3,
                          .last_divisor = 1};
  config.norm_momentum = 0.1;  // the running statistics must follow within a few hundred steps
  for (const auto& [width, height] : kAnchors) {
    config.anchors.push_back(
        {width * double(input.width >> config.stages), height * double(input.height >> config.stages)});
  }
  return std::make_unique<TinyYoloV2>(config);
}

}  // namespace

int main(int argc, char** argv) {
  ModelSpec spec;
  spec.name = "yolo";
  spec.description = "Trains a small tiny YOLOv2 (Redmon & Farhadi, 2017) to find objects";
  spec.defaults = {
      .data = "shapes", .epochs = 5, .batch_size = 32, .lr = 2e-3, .optimizer = "adam", .seed = 1};
  spec.data = {.target = TargetKind::Boxes,
               .side = 64,
               .train_count = 4000,
               .validation_count = 500,
               .test_count = 1000};
  spec.make_model = small_yolo;
  spec.make_task = [](Device device, std::int64_t classes) {
    return std::make_unique<DetectionTask>(device, classes);
  };
  return train_main(argc, argv, spec);
}
