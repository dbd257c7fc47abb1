// Trains ResNet-18 for small pictures, an eighth as wide as in the paper, to name coloured shapes.
#include "dlcuda/models/resnet/resnet.h"
#include "dlcuda/train/main.h"

int main(int argc, char** argv) {
  using namespace dlcuda;
  ModelSpec spec;
  spec.name = "resnet";
  spec.description = "Trains a narrow ResNet-18 (He et al., 2016) to classify small pictures";
  spec.defaults = {
      .data = "shapes", .epochs = 6, .batch_size = 64, .lr = 4e-3, .optimizer = "adam", .seed = 1};
  spec.data = {.side = 32, .train_count = 8000, .validation_count = 500, .test_count = 1000};
  spec.train_transforms = {std::make_shared<RandomHorizontalFlip>()};
  spec.make_model = [](const ImageShape& input, std::int64_t classes) -> std::unique_ptr<Module> {
    ResNetConfig config = ResNetConfig::resnet18();
    config.width = 8;
    config.in_channels = input.channels;
    config.classes = classes;
    config.small_input = true;
    return std::make_unique<ResNet>(config);
  };
  return train_main(argc, argv, spec);
}
