// Trains VGG-16 with batch norm, an eighth as wide as in the paper, to name coloured shapes.
#include "dlcuda/models/zoo.h"
#include "dlcuda/train/main.h"

int main(int argc, char** argv) {
  using namespace dlcuda;
  ModelSpec spec;
  spec.name = "vgg16";
  spec.description = "Trains a narrow VGG-16 (Simonyan & Zisserman, 2015) to classify small pictures";
  spec.defaults = {
      .data = "shapes", .epochs = 20, .batch_size = 64, .lr = 2e-3, .optimizer = "adam", .seed = 1};
  spec.data = {.side = 32, .train_count = 8000, .validation_count = 500, .test_count = 1000};
  spec.train_transforms = {std::make_shared<RandomHorizontalFlip>()};
  spec.make_model = zoo_maker("vgg16_small");
  return train_main(argc, argv, spec);
}
