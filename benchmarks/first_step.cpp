// One training step of LeNet-5 with 64 pictures, and nothing else: an application's way from its start to its
// first step. Prints when that step had ended, in microseconds since 1970, for benchmarks/startup.
#include <chrono>
#include <cstdio>
#include <vector>

#include "dlcuda/core/stream.h"
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/optim/optimizer.h"

int main(int argc, char** argv) {
  using namespace dlcuda;
  constexpr std::int64_t kBatch = 64;
  const Device device = choose_device(argc > 1 ? argv[1] : "cpu").device;
  LeNet5 model;
  model.to(device);
  Adam optimizer(model.parameters());
  const Tensor images =
      Tensor::zeros({kBatch, 1, LeNet5::kInputSide, LeNet5::kInputSide}, DType::F32, device);
  const Tensor labels = Tensor::zeros({kBatch}, DType::I64, device);

  functional::cross_entropy(model(images), labels).backward();
  optimizer.step();
  current_stream(device).synchronize();

  using std::chrono::microseconds;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::printf("%lld\n", static_cast<long long>(std::chrono::duration_cast<microseconds>(now).count()));
}
