#include <cstdio>

#include "dlcuda/layers/layers.h"
#include "dlcuda/optim/optimizer.h"

int main() {
  const auto [device, why] = dlcuda::choose_device("auto");
  std::printf("device: %s\n", why.c_str());

  const auto x = dlcuda::Tensor::from_values<float>({0, 0, 0, 1, 1, 0, 1, 1}, {4, 2}, device);
  const auto is_odd = dlcuda::Tensor::from_values<std::int64_t>({0, 1, 1, 0}, {4}, device);

  dlcuda::Sequential net;
  net.add<dlcuda::Linear>(2, 8).add<dlcuda::Tanh>().add<dlcuda::Linear>(8, 2);
  net.to(device);
  dlcuda::Adam optimizer(net.parameters(), 0.05);

  dlcuda::Tensor loss;
  for (int step = 0; step < 200; ++step) {
    loss = dlcuda::functional::cross_entropy(net(x), is_odd);
    loss.backward();
    optimizer.step();
  }
  std::printf("loss: %.4f\n", loss.item<float>());
  return loss.item<float>() < 0.05f ? 0 : 1;
}
