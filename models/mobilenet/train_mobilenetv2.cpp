// Trains MobileNetV2 with a quarter of its channels, and without the first two strides, to name coloured
// shapes.
#include "dlcuda/models/mobilenet/mobilenet_v2.h"
#include "dlcuda/train/main.h"

int main(int argc, char** argv) {
  using namespace dlcuda;
  ModelSpec spec;
  spec.name = "mobilenetv2";
  spec.description = "Trains a narrow MobileNetV2 (Sandler et al., 2018) to classify small pictures";
  spec.defaults = {
      .data = "shapes", .epochs = 6, .batch_size = 32, .lr = 4e-3, .optimizer = "adam", .seed = 1};
  spec.data = {.side = 32, .train_count = 5000, .validation_count = 500, .test_count = 1000};
  spec.train_transforms = {std::make_shared<RandomHorizontalFlip>()};
  spec.make_model = [](const ImageShape& input, std::int64_t classes) -> std::unique_ptr<Module> {
    return std::make_unique<MobileNetV2>(MobileNetV2Config{.width = 0.25,
                                                           .dropout = 0,
                                                           .small_input = true,
                                                           .zero_init_residual = true,
                                                           .in_channels = input.channels,
                                                           .classes = classes});
  };
  return train_main(argc, argv, spec);
}
