// Trains LeNet-5 on digits of 28x28 pixels, which are centred on its 32x32 input as in the paper.
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/train/main.h"

int main(int argc, char** argv) {
  using namespace dlcuda;
  ModelSpec spec;
  spec.name = "lenet5";
  spec.description = "Trains LeNet-5 (LeCun et al., 1998) to read handwritten digits";
  spec.defaults = {
      .data = "digits", .epochs = 5, .batch_size = 64, .lr = 2e-3, .optimizer = "adam", .seed = 1};
  spec.format = find_model("lenet5").format;
  spec.train_transforms = {std::make_shared<Pad>(LeNet5::kInputSide, LeNet5::kInputSide)};
  spec.test_transforms = spec.train_transforms;
  spec.make_model = zoo_maker("lenet5");
  return train_main(argc, argv, spec);
}
