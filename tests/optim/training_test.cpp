// Layers and optimisers together learn something.
#include <gtest/gtest.h>

#include "dlcuda/layers/layers.h"
#include "dlcuda/optim/optimizer.h"

namespace dlcuda {
namespace {

/// Weights after training on XOR, and the loss before the last update.
std::pair<std::vector<float>, float> train_xor(std::string_view optimizer_name, double lr, int steps) {
  kernels::manual_seed(1);
  Sequential net;
  net.add<Linear>(2, 8).add<Tanh>().add<Linear>(8, 2);
  const auto optimizer = make_optimizer(optimizer_name, net.parameters(), lr);
  const Tensor x = Tensor::from_values<float>({0, 0, 0, 1, 1, 0, 1, 1}, {4, 2});
  const Tensor labels = Tensor::from_values<std::int64_t>({0, 1, 1, 0}, {4});
  float last = 0;
  for (int step = 0; step < steps; ++step) {
    const Tensor loss = functional::cross_entropy(net(x), labels);
    loss.backward();
    optimizer->step();
    last = loss.item<float>();
  }
  std::vector<float> weights;
  for (const auto& [name, tensor] : net.state_dict()) {
    const auto values = tensor.values<float>();
    weights.insert(weights.end(), values.begin(), values.end());
  }
  return {weights, last};
}

TEST(Training, XorIsLearnt) {
  EXPECT_LT(train_xor("adam", 0.05, 300).second, 0.01f);
  EXPECT_LT(train_xor("momentum", 0.2, 500).second, 0.01f);
}

TEST(Training, TheSameSeedGivesTheSameBits) {
  EXPECT_EQ(train_xor("adam", 0.05, 20).first, train_xor("adam", 0.05, 20).first);
}

}  // namespace
}  // namespace dlcuda
