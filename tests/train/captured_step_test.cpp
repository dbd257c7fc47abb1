// CapturedStep on whole training steps: the same bits as without it, and nothing allocated.
#include "dlcuda/core/captured_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/capture.h"
#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/stream.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/small_resnet.h"

namespace dlcuda::testing {
namespace {

using ::testing::HasSubstr;

struct Batch {
  Tensor images, labels;
};

Batch make_batch(const Shape& shape, std::uint32_t number, Device device) {
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < shape[0]; ++i) labels.push_back((i * 7 + number * 3) % 10);
  return {random_tensor(shape, number, DType::F32).to(device),
          Tensor::from_values(labels, {shape[0]}, device)};
}

/// A model with all that a training step needs, the same at each making.
class Training {
 public:
  Training(std::unique_ptr<Module> model, Device device) : device_(device), model_(std::move(model)) {
    model_->to(device);
    optimizer_ = make_optimizer("adam", model_->parameters(), 1e-3);
    kernels::dropout_generator(device).reseed(3);
  }

  std::vector<Tensor> step(const std::vector<Tensor>& batch) {
    const Tensor loss = functional::cross_entropy((*model_)(batch[0]), batch[1]);
    loss.backward();
    optimizer_->step();
    kernels::dropout_generator(device_).advance_step();
    return {loss};
  }
  CapturedStep::Function function() {
    return [this](const std::vector<Tensor>& batch) { return step(batch); };
  }
  /// Of inputs {rates, images, labels, images, labels, ...}: a step for each.
  CapturedStep::Function several() {
    return [this](const std::vector<Tensor>& inputs) {
      std::vector<Tensor> losses;
      LossScale none;
      for (std::size_t i = 1; i < inputs.size(); i += 2) {
        const auto step = static_cast<std::int64_t>(losses.size());
        losses.push_back(functional::cross_entropy((*model_)(inputs[i]), inputs[i + 1]));
        losses.back().backward();
        optimizer_->step(none, inputs[0].slice(step, step + 1));
        kernels::dropout_generator(device_).advance_step();
      }
      return losses;
    };
  }
  Optimizer& optimizer() { return *optimizer_; }
  Module& model() { return *model_; }

  std::vector<std::vector<float>> state() const {
    std::vector<std::vector<float>> values;
    for (const auto& [name, tensor] : model_->state_dict()) {
      if (tensor.dtype() == DType::F32) values.push_back(tensor.values<float>());
    }
    return values;
  }

 private:
  Device device_;
  std::unique_ptr<Module> model_;
  std::unique_ptr<Optimizer> optimizer_;
};

std::unique_ptr<Module> lenet5() {
  kernels::manual_seed(4);
  return std::make_unique<LeNet5>();
}
std::unique_ptr<Module> small_resnet() {
  kernels::manual_seed(4);
  return std::make_unique<SmallResNet>(4);
}
std::unique_ptr<Module> with_dropout() {
  kernels::manual_seed(4);
  auto model = std::make_unique<Sequential>();
  model->add<Flatten>().add<Linear>(12, 32).add<Relu>().add<Dropout>(0.5).add<Linear>(32, 10);
  return model;
}

struct Net {
  const char* name;
  std::unique_ptr<Module> (*make)();
  std::int64_t channels, side;
  friend void PrintTo(const Net& net, std::ostream* out) { *out << net.name; }
};
constexpr Net kNets[] = {
    {"LeNet5", lenet5, 1, 32}, {"SmallResNet", small_resnet, 3, 8}, {"Dropout", with_dropout, 3, 2}};

class CapturedTraining : public ::testing::TestWithParam<Net> {
 protected:
  Shape shape(std::int64_t batch) const {
    return {batch, GetParam().channels, GetParam().side, GetParam().side};
  }
};
INSTANTIATE_TEST_SUITE_P(, CapturedTraining, ::testing::ValuesIn(kNets),
                         [](const auto& info) { return info.param.name; });

TEST_P(CapturedTraining, HasTheBitsOfEagerTraining) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    Training eager(GetParam().make(), device);
    std::vector<float> losses;
    const auto rate = [](int step) { return 1e-3 / (1 + step); };
    for (int step = 0; step < 7; ++step) {
      const Batch batch = make_batch(shape(step % 3 == 2 ? 3 : 4), std::uint32_t(step), device);
      eager.optimizer().set_learning_rate(rate(step));
      losses.push_back(eager.step({batch.images, batch.labels})[0].item<float>());
    }

    Training captured(GetParam().make(), device);
    CapturedStep step_of(device, captured.function());
    for (int step = 0; step < 7; ++step) {
      const Batch batch = make_batch(shape(step % 3 == 2 ? 3 : 4), std::uint32_t(step), device);
      captured.optimizer().set_learning_rate(rate(step));
      EXPECT_EQ(step_of({batch.images, batch.labels})[0].item<float>(), losses[std::size_t(step)])
          << "step " << step;
    }
    EXPECT_EQ(step_of.fallback_reason(), "");
    EXPECT_EQ(captured.state(), eager.state());
    // Two shapes: of 4 in steps 0, 1, 3, 4, 6, of 3 in steps 2 and 5.
    EXPECT_EQ(step_of.counts().eager, device.is_cuda() ? 2 : 0);
    EXPECT_EQ(step_of.counts().recorded, 2);
    EXPECT_EQ(step_of.counts().replayed, device.is_cuda() ? 3 : 5);
    EXPECT_GT(step_of.launches(), 5u);
  }
}

TEST_P(CapturedTraining, SeveralStepsInOneRecordingHaveTheBitsOfSingleOnes) {
  constexpr std::int64_t kTogether = 3, kLaunches = 4;
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    Training eager(GetParam().make(), device), captured(GetParam().make(), device);
    CapturedStep steps(device, captured.several());
    kernels::dropout_generator(device).reseed(3);
    std::vector<float> losses, captured_losses;
    std::vector<std::vector<Tensor>> launches;
    for (int launch = 0; launch < kLaunches; ++launch) {
      std::vector<float> rates;
      launches.push_back({Tensor()});
      for (int i = 0; i < kTogether; ++i) {
        const int step = launch * kTogether + i;
        rates.push_back(1e-3f / float(1 + step));
        const Batch batch = make_batch(shape(4), std::uint32_t(step), device);
        launches.back().push_back(batch.images);
        launches.back().push_back(batch.labels);
        eager.optimizer().set_learning_rate(double(rates.back()));
        losses.push_back(eager.step({batch.images, batch.labels})[0].item<float>());
      }
      launches.back()[0] = Tensor::from_values(rates, {kTogether}, device);
    }
    kernels::dropout_generator(device).reseed(3);
    for (const std::vector<Tensor>& launch : launches) {
      for (const Tensor& loss : steps(launch)) captured_losses.push_back(loss.item<float>());
    }
    EXPECT_EQ(captured_losses, losses);
    EXPECT_EQ(steps.fallback_reason(), "");
    EXPECT_EQ(captured.state(), eager.state());
    EXPECT_EQ(steps.counts().recorded, 1);
    EXPECT_EQ(steps.counts().replayed, kLaunches - (device.is_cuda() ? 2 : 1));
    EXPECT_EQ(captured.optimizer().learning_rate(), 1e-3) << "what the host set";
  }
}

TEST_P(CapturedTraining, AllocatesNothingOnceItIsRecorded) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    Training training(GetParam().make(), device);
    CapturedStep step(device, training.function());
    const Batch batch = make_batch(shape(4), 0, device);
    const std::vector<Tensor> inputs{batch.images, batch.labels};
    step(inputs);
    if (device.is_cuda()) step(inputs);
    const MemoryStats before = allocator_for(device).stats();
    for (int i = 0; i < 5; ++i) step(inputs);
    const MemoryStats after = allocator_for(device).stats();
    EXPECT_EQ(after.total.segments.allocated, before.total.segments.allocated);
    EXPECT_EQ(after.total.blocks.allocated, before.total.blocks.allocated);
    EXPECT_EQ(after.total.active.current, before.total.active.current);
  }
}

TEST_P(CapturedTraining, GivesItsMemoryBack) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    Training training(GetParam().make(), device);
    const Batch batch = make_batch(shape(4), 0, device);
    training.step({batch.images, batch.labels});
    const std::size_t before = allocator_for(device).stats().total.requested.current;
    {
      CapturedStep step(device, training.function());
      for (int i = 0; i < 3; ++i) step({batch.images, batch.labels});
    }
    EXPECT_EQ(allocator_for(device).stats().total.requested.current, before);
  }
}

// Gradients of three batches are added up before each update, in parts that are recorded for themselves.
TEST_P(CapturedTraining, AccumulatesGradientsWithoutNewRecordings) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const auto run = [&](bool capture) {
      Training training(GetParam().make(), device);
      const auto accumulate = [&](const std::vector<Tensor>& batch) {
        const Tensor loss = functional::cross_entropy(training.model()(batch[0]), batch[1]);
        loss.backward(GradientMode::Accumulate);
        kernels::dropout_generator(device).advance_step();
        return std::vector{loss};
      };
      const auto update = [&](const std::vector<Tensor>&) {
        training.optimizer().step();
        return std::vector<Tensor>{};
      };
      CapturedStep captured_accumulate(device, accumulate), captured_update(device, update);
      std::vector<float> losses;
      std::int64_t recorded = 0;
      for (std::uint32_t i = 0; i < 15; ++i) {
        const Batch batch = make_batch(shape(4), i, device);
        const std::vector<Tensor> inputs{batch.images, batch.labels};
        losses.push_back((capture ? captured_accumulate(inputs) : accumulate(inputs))[0].item<float>());
        if (i % 3 == 2) capture ? captured_update({}) : update({});
        if (i == 8) recorded = captured_accumulate.counts().recorded + captured_update.counts().recorded;
      }
      EXPECT_EQ(captured_accumulate.fallback_reason(), "");
      EXPECT_EQ(captured_accumulate.counts().recorded + captured_update.counts().recorded, recorded)
          << "nothing is recorded from the fourth update on";
      if (capture) {
        EXPECT_GE(captured_accumulate.counts().replayed, 6);
      }
      return std::pair(losses, training.state());
    };
    EXPECT_EQ(run(true), run(false));
  }
}

TEST_P(CapturedTraining, MixesWithEagerSteps) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const auto run = [&](bool capture) {
      Training training(GetParam().make(), device);
      CapturedStep step(device, training.function());
      std::vector<float> losses;
      for (std::uint32_t i = 0; i < 8; ++i) {
        const Batch batch = make_batch(shape(4), i, device);
        const std::vector<Tensor> inputs{batch.images, batch.labels};
        losses.push_back((capture && i % 3 != 2 ? step(inputs) : training.step(inputs))[0].item<float>());
      }
      // Gradients are those of the last step, whoever made it.
      std::vector<std::vector<float>> gradients;
      for (const auto& [name, tensor] : training.model().parameters()) {
        gradients.push_back(tensor.grad().values<float>());
      }
      EXPECT_LE(step.counts().recorded, 1);
      return std::tuple(losses, training.state(), gradients);
    };
    EXPECT_EQ(run(true), run(false));
  }
}

TEST(CapturedStep, ForwardOnly) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const auto model = small_resnet();
    model->to(device);
    model->eval();
    CapturedStep infer(device, [&](const std::vector<Tensor>& inputs) {
      const autograd::NoGrad no_grad;
      return std::vector{(*model)(inputs[0])};
    });
    for (std::uint32_t i = 0; i < 5; ++i) {
      const Tensor x = make_batch({2, 3, 8, 8}, i, device).images;
      const std::vector<float> logits = infer({x})[0].values<float>();
      EXPECT_EQ(logits, (*model)(x).values<float>());
    }
    EXPECT_EQ(infer.counts().replayed, device.is_cuda() ? 3 : 4);
  }
}

TEST(CapturedStep, FallsBackWhereTheStepReadsValues) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const auto run = [&](bool capture) {
      Training training(with_dropout(), device);
      float seen = 0;
      const auto read = [&](const std::vector<Tensor>& inputs) {
        const Tensor loss = functional::cross_entropy(training.model()(inputs[0]), inputs[1]);
        loss.backward();
        seen = loss.item<float>();
        training.optimizer().step();
        kernels::dropout_generator(device).advance_step();
        return std::vector{loss};
      };
      CapturedStep step(device, read);
      std::vector<float> losses;
      for (std::uint32_t i = 0; i < 5; ++i) {
        const Batch batch = make_batch({4, 3, 2, 2}, i, device);
        const std::vector<Tensor> inputs{batch.images, batch.labels};
        losses.push_back((capture ? step(inputs) : read(inputs))[0].item<float>());
        EXPECT_EQ(losses.back(), seen);
      }
      if (capture) {
        EXPECT_EQ(step.fallback_reason(), "a tensor's values are read on the host");
        EXPECT_EQ(step.counts().eager, 5);
        EXPECT_EQ(step.launches(), 0u);
      }
      return losses;
    };
    EXPECT_EQ(run(true), run(false));
  }
}

TEST(CapturedStep, FallsBackWhereTheStepTakesValues) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    double value = 0;
    CapturedStep step(device, [&](const std::vector<Tensor>& inputs) {
      return std::vector{kernels::add(inputs[0], Tensor::scalar(float(value), device))};
    });
    const Tensor x = Tensor::zeros({3}, DType::F32, device);
    for (value = 1; value < 5; ++value) {
      EXPECT_EQ(step({x})[0].values<float>(), std::vector<float>(3, float(value)));
    }
    EXPECT_THAT(step.fallback_reason(), HasSubstr("made of values on the host"));
  }
}

TEST(CapturedStep, PassesErrorsOnAndRecordsAfterwards) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    Training training(with_dropout(), device);
    bool fail = false;
    CapturedStep step(device, [&](const std::vector<Tensor>& inputs) {
      const Tensor logits = training.model()(inputs[0]);
      if (fail) throw ArgumentError("the step fails");
      const Tensor loss = functional::cross_entropy(logits, inputs[1]);
      loss.backward();
      training.optimizer().step();
      kernels::dropout_generator(device).advance_step();
      return std::vector{loss};
    });
    const Batch batch = make_batch({4, 3, 2, 2}, 0, device);
    const std::vector<Tensor> inputs{batch.images, batch.labels};
    if (device.is_cuda()) step(inputs);
    fail = true;
    EXPECT_THROW(step(inputs), ArgumentError);
    fail = false;
    const float loss = step(inputs)[0].item<float>();

    // As if the failed step had not been.
    Training again(with_dropout(), device);
    if (device.is_cuda()) again.step(inputs);
    EXPECT_EQ(loss, again.step(inputs)[0].item<float>());
    EXPECT_EQ(step.fallback_reason(), "");
    EXPECT_EQ(step.counts().recorded, 2);
  }
}

TEST(CapturedStep, ABadLabelIsReportedAtReplay) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    Training training(with_dropout(), device);
    CapturedStep step(device, training.function());
    const Batch batch = make_batch({4, 3, 2, 2}, 0, device);
    for (int i = 0; i < 3; ++i) step({batch.images, batch.labels});
    const auto before = training.state();
    const Tensor wrong = Tensor::from_values<std::int64_t>({1, 2, 10, 3}, {4}, device);
    try {
      step({batch.images, wrong})[0].item<float>();
      ADD_FAILURE() << "no error";
    } catch (const ArgumentError& error) {
      EXPECT_STREQ(error.what(), "cross_entropy: the label of row 2 is 10, expected 0 to 9 (10 classes)");
    }
    EXPECT_EQ(training.state(), before) << "nothing is learnt from it";
    EXPECT_LT(step({batch.images, batch.labels})[0].item<float>(), 10.0f);
  }
}

TEST(CapturedStep, RefusesInputsOfAnotherDevice) {
  const CudaForTest cuda = cuda_for_test();
  if (!cuda.available) GTEST_SKIP() << cuda.reason;
  CapturedStep step(Device::cuda(), [](const std::vector<Tensor>& inputs) { return inputs; });
  try {
    step({Tensor::zeros({2, 3})});
    ADD_FAILURE() << "no error";
  } catch (const DeviceError& error) {
    EXPECT_STREQ(
        error.what(),
        "CapturedStep: the step is on cuda:0, an input of shape [2, 3] is on cpu; move it with to()");
  }
}

TEST(CapturedStep, OfAnotherStepIsAPartOfIt) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    CapturedStep twice(device, [](const std::vector<Tensor>& inputs) {
      return std::vector{kernels::add(inputs[0], inputs[0])};
    });
    CapturedStep four_times(device, [&](const std::vector<Tensor>& inputs) { return twice(twice(inputs)); });
    for (int i = 1; i <= 4; ++i) {
      const Tensor x = Tensor::from_values<float>({float(i)}, {1}, device);
      EXPECT_EQ(four_times({x})[0].item<float>(), 4.0f * float(i));
    }
    EXPECT_EQ(four_times.counts().recorded, 1);
    EXPECT_EQ(four_times.launches(), 2u);
  }
}

TEST(CapturedStep, FollowsTheCallersStream) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const Tensor x = Tensor::from_values<float>({1, 2}, {2}, device);
    CapturedStep twice(device, [](const std::vector<Tensor>& inputs) {
      return std::vector{kernels::add(inputs[0], inputs[0])};
    });
    const auto expect_it_works = [&] {
      for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(twice({x})[0].values<float>(), (std::vector<float>{2, 4}));
      }
    };
    expect_it_works();
    {
      const StreamGuard guard(Stream::create(device));
      expect_it_works();
    }
    expect_it_works();
    EXPECT_EQ(twice.counts().recorded, device.is_cuda() ? 2 : 1) << "one for each stream";
  }
}

TEST(CapturedStep, ReseedingTakesEffect) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    auto& generator = kernels::dropout_generator(device);
    generator.reseed(1);
    CapturedStep step(device, [&](const std::vector<Tensor>& inputs) {
      const Tensor y = functional::dropout(inputs[0], 0.5, true, generator);
      generator.advance_step();
      return std::vector{y};
    });
    const Tensor x = random_tensor({256}, 0, DType::F32, 1, 2).to(device);
    std::vector<std::vector<float>> first, second;
    for (int i = 0; i < 3; ++i) first.push_back(step({x})[0].values<float>());
    generator.reseed(2);
    EXPECT_NE(step({x})[0].values<float>(), first[0]);
    generator.reseed(1);
    for (int i = 0; i < 3; ++i) second.push_back(step({x})[0].values<float>());
    EXPECT_EQ(first, second);
    EXPECT_NE(first[0], first[1]);
  }
}

// Otherwise every call would record, which costs more than running, without anybody being told.
TEST(CapturedStep, FallsBackWhereNoRecordingCanBeReplayed) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    auto& generator = kernels::dropout_generator(device);
    generator.reseed(1);
    const auto function = [&](const std::vector<Tensor>& inputs) {  // does not advance the generator
      return std::vector{functional::dropout(inputs[0], 0.5, true, generator)};
    };
    CapturedStep step(device, function);
    const Tensor x = random_tensor({256}, 0, DType::F32, 1, 2).to(device);
    std::vector<std::vector<float>> captured, eager;
    for (int i = 0; i < 40; ++i) captured.push_back(step({x})[0].values<float>());
    generator.reseed(1);
    for (int i = 0; i < 40; ++i) eager.push_back(function({x})[0].values<float>());
    EXPECT_EQ(captured, eager);
    EXPECT_THAT(step.fallback_reason(), HasSubstr("Generator::advance_step()"));
    EXPECT_LT(step.counts().recorded, 30);
    EXPECT_EQ(step.counts().replayed, 0);
  }
}

/// Scratch memory as kernels on the CPU have it: it grows with the largest need and is kept.
Tensor kept_by_calls;
void use_scratch(std::int64_t count) {
  if (kept_by_calls.numel() < count) kept_by_calls = Tensor::empty({count});
  std::fill_n(kept_by_calls.data<float>(), kept_by_calls.numel(), 7.0f);
}

// Otherwise it could lie where an earlier tensor of the step had been, which the next replay needs again.
TEST(CapturedStep, WhatACallKeepsLiesOutsideOfTheRecordingsMemory) {
  constexpr std::int64_t kCount = 1 << 18;
  kept_by_calls = Tensor::empty({8});
  CapturedStep step(Device::cpu(), [&](const std::vector<Tensor>& inputs) {
    Tensor y;
    {
      const Tensor doubled = kernels::scale(inputs[0], 2);
      capture::call(use_scratch, 8);
      y = kernels::scale(doubled, 3);
    }
    capture::call(use_scratch, kCount);
    return std::vector{y};
  });
  const Tensor x = random_tensor({kCount}, 0, DType::F32);
  const auto expected = kernels::scale(x, 6).values<float>();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(step({x})[0].values<float>(), expected) << i;
  kept_by_calls = {};
}

}  // namespace
}  // namespace dlcuda::testing
