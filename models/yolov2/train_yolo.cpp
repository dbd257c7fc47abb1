// Trains a small network of tiny YOLOv2's kind to find objects: by default coloured shapes on pictures of
// 64x64 pixels, for which three halvings are enough.
#include "dlcuda/models/yolov2/detection_task.h"
#include "dlcuda/models/yolov2/yolov2.h"
#include "dlcuda/train/main.h"

int main(int argc, char** argv) {
  using namespace dlcuda;
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
  spec.make_model = [](const ImageShape& input, std::int64_t classes) -> std::unique_ptr<Module> {
    TinyYoloV2Config config = TinyYoloV2Config::small(input);
    config.classes = classes;
    return std::make_unique<TinyYoloV2>(config);
  };
  spec.make_task = [](Device device, std::int64_t classes) {
    return std::make_unique<DetectionTask>(device, classes);
  };
  return train_main(argc, argv, spec);
}
