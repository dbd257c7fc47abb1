// Trains a small U-Net, padded and batch-normalised, to find shapes in pictures pixel by pixel.
#include "dlcuda/models/zoo.h"
#include "dlcuda/train/main.h"
#include "dlcuda/train/segmentation_picture.h"

int main(int argc, char** argv) {
  using namespace dlcuda;
  ModelSpec spec;
  spec.name = "unet";
  spec.description =
      "Trains a small U-Net (Ronneberger et al., 2015; padded, batch-normalised) to label pixels";
  spec.defaults = {
      .data = "shapes", .epochs = 6, .batch_size = 8, .lr = 1e-2, .optimizer = "adam", .seed = 1};
  spec.schedule = warmup_cosine_schedule(0.2);
  spec.data = {.target = TargetKind::Mask,
               .side = 48,
               .train_count = 2500,
               .validation_count = 250,
               .test_count = 500};
  spec.train_transforms = {std::make_shared<RandomHorizontalFlip>()};
  spec.make_model = zoo_maker("unet_small");
  // Nine pixels in ten are background: weighed like the others, it would be all that is learned at first.
  spec.make_task = [](Device device, std::int64_t classes) -> std::unique_ptr<Task> {
    std::vector<float> weights(static_cast<std::size_t>(classes), 1.0f);
    weights[0] = 0.3f;
    return std::make_unique<SegmentationTask>(device, classes, weights);
  };
  spec.draw_predictions = draw_segmentation;
  return train_main(argc, argv, spec);
}
