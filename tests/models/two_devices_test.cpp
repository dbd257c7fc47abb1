// The same training on two devices: the CPU, and a CUDA device (a GPU, or the host shim).
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "dlcuda/data/digits.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/devices.h"

namespace dlcuda::testing {
namespace {

constexpr std::int64_t kBatch = 32, kSide = 28;

/// Digits as floats within [0, 1], in the middle of 32 x 32.
Tensor images(std::int64_t first, MemoryFormat format, std::vector<std::int64_t>* labels) {
  std::vector<float> pixels(std::size_t(kBatch * 32 * 32), 0.0f);
  std::vector<std::uint8_t> digit(std::size_t(kSide * kSide));
  for (std::int64_t n = 0; n < kBatch; ++n) {
    labels->push_back(draw_digit(1, first + n, digit));
    for (std::int64_t i = 0; i < kSide * kSide; ++i) {
      pixels[std::size_t((n * 32 + i / kSide + 2) * 32 + i % kSide + 2)] =
          float(digit[std::size_t(i)]) / 255.0f;
    }
  }
  return Tensor::from_values(pixels, Shape{kBatch, 1, 32, 32}).with_format(format);
}

/// Losses of `steps` steps, and how the weights began.
struct Course {
  std::vector<float> losses;
  std::vector<std::vector<float>> initial;
};

template <typename MakeModel, typename MakeOptimizer>
Course train(Device device, MemoryFormat format, int steps, const MakeModel& make_model,
             const MakeOptimizer& make_optimizer) {
  kernels::manual_seed(4);
  const auto model = make_model();
  Course course;
  model->to(device);
  for (const auto& [name, tensor] : model->state_dict())
    course.initial.push_back(tensor.template values<float>());
  const auto optimizer = make_optimizer(*model);
  for (int step = 0; step < steps; ++step) {
    std::vector<std::int64_t> labels;
    const Tensor x = images(step * kBatch, format, &labels).to(device);
    const Tensor loss =
        functional::cross_entropy((*model)(x), Tensor::from_values(labels, Shape{kBatch}, device));
    loss.backward();
    optimizer->step();
    kernels::dropout_generator(device).advance_step();
    course.losses.push_back(loss.item<float>());
  }
  return course;
}

template <typename MakeModel, typename MakeOptimizer>
void expect_the_same_course(MemoryFormat format, const MakeModel& make_model,
                            const MakeOptimizer& make_optimizer) {
  const CudaForTest cuda = cuda_for_test();
  if (!cuda.available) GTEST_SKIP() << cuda.reason;
  const Course cpu = train(Device::cpu(), format, 20, make_model, make_optimizer);
  const Course gpu = train(Device::cuda(), format, 20, make_model, make_optimizer);
  EXPECT_EQ(cpu.initial, gpu.initial);
  for (std::size_t i = 0; i < cpu.losses.size(); ++i)
    EXPECT_NEAR(cpu.losses[i], gpu.losses[i], 1e-4) << "step " << i;
  EXPECT_LT(cpu.losses.back(), cpu.losses.front());
}

std::unique_ptr<Module> lenet5() { return std::make_unique<LeNet5>(); }

std::unique_ptr<Optimizer> adam(Module& model) { return std::make_unique<Adam>(model.parameters(), 1e-3); }

TEST(TwoDevices, LeNet5WithAdamContiguous) { expect_the_same_course(MemoryFormat::Contiguous, lenet5, adam); }

TEST(TwoDevices, LeNet5WithAdamChannelsLast) {
  expect_the_same_course(MemoryFormat::ChannelsLast, lenet5, adam);
}

TEST(TwoDevices, LeNet5WithMomentum) {
  expect_the_same_course(MemoryFormat::ChannelsLast, lenet5, [](Module& m) {
    return std::make_unique<Sgd>(m.parameters(), 0.02, kernels::SgdParams{0.9, 0, false});
  });
}

TEST(TwoDevices, MaxPoolingReluAndDropout) {
  const auto net = [] {
    auto model = std::make_unique<Sequential>();
    model->add<Conv2d>(1, 8, 3).add<Relu>().add<MaxPool2d>().add<Flatten>().add<Dropout>(0.5);
    model->add<Linear>(8 * 15 * 15, 10);
    return model;
  };
  expect_the_same_course(MemoryFormat::ChannelsLast, net, adam);
}

}  // namespace
}  // namespace dlcuda::testing
