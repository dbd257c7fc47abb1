// Trains MobileNetV2 with a quarter of its channels, and without the first two strides, to name coloured
// shapes.
#include "dlcuda/models/zoo.h"
#include "dlcuda/train/main.h"

int main(int argc, char** argv) {
  using namespace dlcuda;
  ModelSpec spec;
  spec.name = "mobilenetv2";
  spec.description = "Trains a narrow MobileNetV2 (Sandler et al., 2018) to classify small pictures";
  spec.defaults = {
      .data = "shapes", .epochs = 6, .batch_size = 32, .lr = 6e-3, .optimizer = "adam", .seed = 1};
  spec.schedule = warmup_cosine_schedule(0.15);
  spec.data = {.side = 32, .train_count = 5000, .validation_count = 500, .test_count = 1000};
  spec.train_transforms = {std::make_shared<RandomHorizontalFlip>()};
  spec.make_model = zoo_maker("mobilenet_v2_small");
  return train_main(argc, argv, spec);
}
