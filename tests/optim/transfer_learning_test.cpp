// Training only a part of a model.
#include <gtest/gtest.h>

#include <map>

#include "dlcuda/core/captured_step.h"
#include "dlcuda/core/error.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/small_resnet.h"
#include "dlcuda/tests/support/tensor_bytes.h"

namespace dlcuda {
namespace {

using testing::SmallResNet;
using Bytes = std::map<std::string, std::vector<std::byte>>;

Bytes state_of(const Module& module) {
  Bytes state;
  for (const auto& [name, tensor] : module.state_dict()) state[name] = bytes_of(tensor);
  return state;
}

/// The names whose bits differ.
std::vector<std::string> changes(const Bytes& before, const Bytes& after) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : before) {
    if (after.at(name) != bytes) names.push_back(name);
  }
  return names;
}

std::size_t freeze_all_but_the_head(Module& model) {
  return model.freeze("stem.*") + model.freeze("norm.*") + model.freeze("block?.*");
}

struct Batch {
  Tensor images, labels;
};
Batch batch_on(Device device) {
  return {random_tensor({2, 3, 4, 4}, 1, DType::F32).to(device),
          Tensor::from_values<std::int64_t>({1, 7}, {2}, device)};
}

TEST(TransferLearning, OnlyTheHeadMoves) {
  for (const Device device : testing::test_devices()) {
    for (const bool captured : {false, true}) {
      for (const char* optimizer_name : {"sgd", "adamw"}) {
        SCOPED_TRACE(to_string(device) + (captured ? ", recorded, " : ", ") + optimizer_name);
        SmallResNet model(2);
        model.to(device);
        EXPECT_EQ(freeze_all_but_the_head(model), model.parameters().size() - 2);
        const auto optimizer = make_optimizer(optimizer_name, model.parameters(), 0.1);
        const auto [images, labels] = batch_on(device);
        const auto step = [&](const std::vector<Tensor>& batch) {
          const Tensor loss = functional::cross_entropy(model(batch[0]), batch[1]);
          loss.backward();
          optimizer->step();
          return std::vector{loss};
        };
        CapturedStep recorded(device, step);
        const Bytes before = state_of(model);
        std::vector<float> losses;
        for (int i = 0; i < 4; ++i) {
          losses.push_back((captured ? recorded({images, labels}) : step({images, labels}))[0].item<float>());
        }
        EXPECT_EQ(changes(before, state_of(model)), (std::vector<std::string>{"head.bias", "head.weight"}));
        EXPECT_LT(losses.back(), losses.front());
        EXPECT_EQ(recorded.counts().replayed > 0, captured) << recorded.fallback_reason();
        for (const auto& [name, parameter] : model.parameters()) {
          EXPECT_EQ(parameter.grad().defined(), name.starts_with("head.")) << name;
        }
      }
    }
  }
}

TEST(TransferLearning, FrozenNormalisationComputesAsInInference) {
  SmallResNet model(2);
  const auto [images, labels] = batch_on(Device::cpu());
  model(images);  // moves the statistics off 0 and 1
  model.freeze();
  const auto training = model(images).values<float>();
  model.eval();
  EXPECT_EQ(model(images).values<float>(), training);
}

TEST(TransferLearning, WhatIsUnfrozenLearnsAgain) {
  SmallResNet model(2);
  const std::size_t all = model.parameters().size();
  EXPECT_EQ(model.freeze(), all);
  for (const auto& [name, parameter] : model.parameters()) EXPECT_FALSE(parameter.requires_grad()) << name;
  EXPECT_EQ(model.unfreeze("block2.*"), 9u);
  EXPECT_EQ(model.unfreeze("head.weight"), 1u);
  const auto optimizer = make_optimizer("sgd", model.parameters(), 0.1);
  const auto [images, labels] = batch_on(Device::cpu());
  const Bytes before = state_of(model);
  functional::cross_entropy(model(images), labels).backward();
  optimizer->step();
  const std::vector<std::string> changed = changes(before, state_of(model));
  EXPECT_EQ(changed.size(), 1u + 9u + 3u * 3u);  // and the statistics of three normalisations
  for (const std::string& name : changed)
    EXPECT_TRUE(name.starts_with("block2.") || name == "head.weight") << name;
}

TEST(TransferLearning, NormalisationIsFrozenWithAllOfItsParametersOnly) {
  BatchNorm2d norm(2);
  norm.freeze("weight");
  EXPECT_TRUE(norm.uses_batch_statistics());
  norm.freeze("bias");
  EXPECT_FALSE(norm.uses_batch_statistics());
  norm.unfreeze("weight");
  EXPECT_TRUE(norm.uses_batch_statistics());
  norm.eval();
  EXPECT_FALSE(norm.uses_batch_statistics());
}

TEST(TransferLearning, FrozenParametersStayFrozenWhereTheModelGoes) {
  for (const Device device : testing::test_devices()) {
    SmallResNet model(2);
    freeze_all_but_the_head(model);
    model.to(device);
    model.to(DType::BF16);
    for (const auto& [name, parameter] : model.parameters()) {
      EXPECT_EQ(parameter.requires_grad(), name.starts_with("head.")) << name;
    }
  }
}

TEST(TransferLearning, APatternThatMatchesNothingIsAnError) {
  SmallResNet model(2);
  expect_error<ArgumentError>([&] { model.freeze("blok1.*"); },
                              "freeze: 'blok1.*' matches none of the 20 parameters", "SmallResNet",
                              "did you mean 'block1.*'?");
  expect_error<ArgumentError>([&] { model.unfreeze("head.weights"); },
                              "unfreeze: ", "did you mean 'head.weight'?");
  // Buffers are no parameters.
  expect_error<ArgumentError>([&] { model.freeze("norm.running_mean"); }, "freeze: 'norm.running_mean'");
  for (const auto& [name, parameter] : model.parameters()) EXPECT_TRUE(parameter.requires_grad()) << name;
}

TEST(TransferLearning, NothingToLearnIsAnError) {
  SmallResNet model(2);
  model.freeze();
  const auto optimizer = make_optimizer("sgd", model.parameters(), 0.1);
  const auto [images, labels] = batch_on(Device::cpu());
  EXPECT_THROW(functional::cross_entropy(model(images), labels).backward(), Error);
  EXPECT_THROW(optimizer->step(), Error);
}

}  // namespace
}  // namespace dlcuda
