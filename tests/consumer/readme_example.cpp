#include <cstdio>

#include "dlcuda/layers/layers.h"
#include "dlcuda/optim/optimizer.h"

using namespace dlcuda;

int main() {
  const DeviceChoice choice = choose_device("auto");
  std::printf("device: %s\n", choice.description.c_str());

  Sequential net;
  net.add<Linear>(2, 8).add<Tanh>().add<Linear>(8, 2);
  net.to(choice.device);
  Adam optimizer(net.parameters(), 0.05);

  const auto x = Tensor::from_values<float>({0, 0, 0, 1, 1, 0, 1, 1}, {4, 2}, choice.device);
  const auto labels = Tensor::from_values<std::int64_t>({0, 1, 1, 0}, {4}, choice.device);
  Tensor loss;
  for (int step = 0; step < 200; ++step) {
    loss = functional::cross_entropy(net(x), labels);
    loss.backward();
    optimizer.step();
  }

  const auto p = functional::softmax(net(x)).values<float>();
  for (int i = 0; i < 4; ++i) std::printf("%d xor %d: %.3f\n", i / 2, i % 2, p[2 * i + 1]);
  return loss.item<float>() < 0.05f ? 0 : 1;
}
