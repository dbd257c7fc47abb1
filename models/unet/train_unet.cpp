// Trains a small U-Net, padded and batch-normalised, to find shapes in pictures pixel by pixel.
#include "dlcuda/models/unet/unet.h"
#include "dlcuda/train/main.h"

int main(int argc, char** argv) {
  using namespace dlcuda;
  ModelSpec spec;
  spec.name = "unet";
  spec.description =
      "Trains a small U-Net (Ronneberger et al., 2015; padded, batch-normalised) to label pixels";
  spec.defaults = {
      .data = "shapes", .epochs = 6, .batch_size = 16, .lr = 3e-3, .optimizer = "adam", .seed = 1};
  spec.data = {.target = TargetKind::Mask,
               .side = 64,
               .train_count = 2000,
               .validation_count = 200,
               .test_count = 400};
  spec.train_transforms = {std::make_shared<RandomHorizontalFlip>()};
  spec.make_model = [](const ImageShape& input, std::int64_t classes) {
    return find_model("unet_small").make(classes, input.channels);
  };
  spec.make_task = [](Device device, std::int64_t classes) -> std::unique_ptr<Task> {
    return std::make_unique<SegmentationTask>(device, classes);
  };
  return train_main(argc, argv, spec);
}
