#include "dlcuda/layers/module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// A child registered before the module's own tensors, a buffer between parameters: the order of state_dict
/// is nevertheless parameters, buffers, children, as PyTorch has it.
class Block : public Module {
 public:
  Block() {
    register_module("conv", &conv_);
    register_buffer("running_mean", &mean_);
    register_parameter("scale", &scale_);
    register_parameter("shift", &shift_);
  }
  Tensor forward(const Tensor& x) override { return conv_(x); }
  std::string describe() const override { return "Block()"; }

 protected:
  Conv2d conv_{1, 2, 3};
  Tensor scale_ = Tensor::zeros({2}), shift_ = Tensor::zeros({2}), mean_ = Tensor::zeros({2});
};

class Net : public Module {
 public:
  Net() {
    register_module("features", &features_);
    register_module("classifier", &classifier_);
    features_.add<Linear>(4, 3).add<Dropout>(0.5).add<Linear>(3, 2);
  }
  Tensor forward(const Tensor& x) override { return classifier_(features_(x)); }
  std::string describe() const override { return "Net()"; }

  Sequential features_;
  Linear classifier_{2, 2};
};

std::vector<std::string> names(const NamedTensors& tensors) {
  std::vector<std::string> result;
  for (const auto& [name, tensor] : tensors) result.push_back(name);
  return result;
}

std::string load_error(Module& module, const NamedTensors& state) {
  try {
    module.load_state_dict(state);
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "(loaded)";
}

class Tagged : public Module {
 public:
  Tagged() { register_module("fc", &fc_); }
  Tensor forward(const Tensor& x) override { return functional::tanh(fc_(x)); }
  std::string describe() const override { return "Tagged"; }

 private:
  Linear fc_{300, 400};
};

// Forward and backward pass alike; what the root computes between its layers has a name, too.
TEST(Module, AllocationsCarryTheLayersName) {
  Tagged model;
  const Tensor x = Tensor::zeros({7, 300});
  CachingAllocator& allocator = allocator_for(Device::cpu());
  const auto tags_of = [](const MemoryTrace& trace, std::size_t bytes) {
    std::vector<std::string> names;
    for (const MemoryEvent& event : trace.events) {
      if (event.kind == MemoryEvent::Kind::Allocate && event.requested == bytes) {
        names.push_back(MemoryTag::from_id(event.tag).name());
      }
    }
    return names;
  };
  allocator.start_trace();
  const Tensor y = model(x);
  const MemoryTrace forward = allocator.stop_trace();
  EXPECT_THAT(tags_of(forward, 7 * 400 * sizeof(float)), ElementsAre("fc", "(model)"));
  const Tensor loss = functional::reduce(y, functional::Reduction::Sum);
  allocator.start_trace();
  loss.backward();
  const MemoryTrace backward = allocator.stop_trace();
  EXPECT_THAT(tags_of(backward, 400 * 300 * sizeof(float)), ::testing::Contains("fc"));
}

TEST(Module, NamesInPyTorchsOrder) {
  const Block block;
  EXPECT_THAT(names(block.state_dict()),
              ElementsAre("scale", "shift", "running_mean", "conv.weight", "conv.bias"));
  EXPECT_THAT(names(block.parameters()), ElementsAre("scale", "shift", "conv.weight", "conv.bias"));
  EXPECT_THAT(names(block.buffers()), ElementsAre("running_mean"));
  EXPECT_EQ(block.parameter_count(), 2 + 2 + 18 + 2);

  const Net net;
  EXPECT_THAT(names(net.state_dict()),
              ElementsAre("features.0.weight", "features.0.bias", "features.2.weight", "features.2.bias",
                          "classifier.weight", "classifier.bias"));
}

TEST(Module, ParametersRequireGradientsAndBuffersDoNot) {
  const Block block;
  for (const auto& [name, tensor] : block.parameters()) EXPECT_TRUE(tensor.requires_grad()) << name;
  for (const auto& [name, tensor] : block.buffers()) EXPECT_FALSE(tensor.requires_grad()) << name;
}

TEST(Module, StateDictSharesTheElements) {
  const Linear linear(2, 2);
  linear.state_dict()[0].second.zero();
  EXPECT_THAT(linear.parameters()[0].second.values<float>(), ElementsAre(0, 0, 0, 0));
}

TEST(Module, StateTravelsByName) {
  const Net from;
  Net to;
  NamedTensors state = from.state_dict();
  std::reverse(state.begin(), state.end());
  to.load_state_dict(state);
  for (std::size_t i = 0; i < from.state_dict().size(); ++i) {
    EXPECT_EQ(to.state_dict()[i].second.values<float>(), from.state_dict()[i].second.values<float>());
  }
  EXPECT_NE(to.state_dict()[0].second.data(), from.state_dict()[0].second.data());
  EXPECT_TRUE(to.parameters()[0].second.requires_grad());
}

TEST(Module, StateComesFromAnyMemoryFormat) {
  Conv2d conv(3, 2, 2);
  const Tensor weight = random_tensor({2, 3, 2, 2}, 0, DType::F32);
  conv.load_state_dict({{"weight", kernels::to_format(weight, MemoryFormat::ChannelsLast)},
                        {"bias", Tensor::zeros({4, 2}).slice(1, 2).view({2})}});
  EXPECT_EQ(conv.parameters()[0].second.values<float>(), weight.values<float>());
  EXPECT_TRUE(conv.parameters()[0].second.is_contiguous());
}

TEST(Module, LoadingListsAllThatDoesNotFitAndChangesNothing) {
  Net net;
  const auto before = net.state_dict()[0].second.values<float>();
  NamedTensors state;
  for (const auto& [name, tensor] : net.state_dict()) state.emplace_back(name, Tensor::zeros_like(tensor));
  state[1].first = "features.0.biass";
  state[2].second = Tensor::zeros({2, 5});
  state[4].second = Tensor::zeros({2, 2}, DType::F64);
  state.emplace_back("optimizer", Tensor::zeros({1}));
  state.push_back(state[0]);
  const std::string error = load_error(net, state);
  EXPECT_THAT(error, HasSubstr("does not fit Net(); nothing was loaded"));
  EXPECT_THAT(error, HasSubstr("missing: features.0.bias [3]; did you mean 'features.0.biass'?"));
  EXPECT_THAT(error, HasSubstr("unexpected: features.0.biass; did you mean 'features.0.bias'?"));
  EXPECT_THAT(error, HasSubstr("mismatched: features.2.weight: expected f32 [2, 3], got f32 [2, 5]"));
  EXPECT_THAT(error, HasSubstr("mismatched: classifier.weight: expected f32 [2, 2], got f64 [2, 2]"));
  EXPECT_THAT(error, HasSubstr("unexpected: optimizer"));
  EXPECT_THAT(error, HasSubstr("given twice: features.0.weight"));
  EXPECT_THAT(error, Not(HasSubstr("classifier.bias")));
  EXPECT_EQ(net.state_dict()[0].second.values<float>(), before);

  EXPECT_THAT(load_error(net, {}), HasSubstr("missing: classifier.bias"));
  EXPECT_EQ(net.state_dict()[0].second.values<float>(), before);
}

TEST(Module, ModeReachesAllChildren) {
  Net net;
  EXPECT_TRUE(net.is_training());
  net.eval();
  EXPECT_FALSE(net.is_training());
  EXPECT_FALSE(net.features_.is_training());
  for (const auto& [name, layer] : net.features_.children()) EXPECT_FALSE(layer->is_training()) << name;
  net.train();
  for (const auto& [name, layer] : net.features_.children()) EXPECT_TRUE(layer->is_training()) << name;
}

/// Two layers with one weight, as in tied embeddings.
class Tied : public Module {
 public:
  Tied() {
    register_parameter("first", &first_);
    register_parameter("second", &second_);
  }
  Tensor forward(const Tensor& x) override {
    return functional::linear(functional::linear(x, first_), second_);
  }
  std::string describe() const override { return "Tied()"; }

 private:
  Tensor first_ = Tensor::from_values<float>({2}, {1, 1});
  Tensor second_ = first_;
};

TEST(Module, SharedParametersComeOnceAndGatherBothGradients) {
  Tied tied;
  EXPECT_THAT(names(tied.parameters()), ElementsAre("first"));
  EXPECT_THAT(names(tied.state_dict()), ElementsAre("first", "second"));
  EXPECT_EQ(tied.parameter_count(), 1);
  functional::reduce(tied(Tensor::from_values<float>({3}, {1, 1})), functional::Reduction::Sum).backward();
  EXPECT_THAT(tied.parameters()[0].second.grad().values<float>(), ElementsAre(2 * 2 * 3));
}

TEST(Module, ToTheSameDeviceChangesNothing) {
  Net net;
  const Tensor before = net.parameters()[0].second;
  net.to(Device::cpu());
  EXPECT_EQ(&net.parameters()[0].second.meta(), &before.meta());
}

TEST(Module, ToAnotherDeviceKeepsValuesSharingAndGradientMarks) {
  const dlcuda::testing::CudaForTest cuda = dlcuda::testing::cuda_for_test();
  if (!cuda.available) {
    EXPECT_THROW(Net().to(Device::cuda()), DeviceError);
    GTEST_SKIP() << cuda.reason;
  }
  Tied tied;
  tied.to(Device::cuda());
  ASSERT_EQ(tied.parameters().size(), 1u);
  const Tensor weight = tied.parameters()[0].second;
  EXPECT_EQ(weight.device(), Device::cuda());
  EXPECT_TRUE(weight.requires_grad());
  EXPECT_THAT(weight.values<float>(), ElementsAre(2));
  tied.load_state_dict({{"first", Tensor::zeros({1, 1})}, {"second", Tensor::zeros({1, 1})}});
  EXPECT_THAT(weight.values<float>(), ElementsAre(0));
}

/// Registers under names that a test chooses.
class Registrar : public Module {
 public:
  Tensor forward(const Tensor& x) override { return x; }
  std::string describe() const override { return "Registrar()"; }
  void parameter(const std::string& name, Tensor* tensor) { register_parameter(name, tensor); }
  void child(const std::string& name, Module* module) { register_module(name, module); }
};

TEST(Module, RegistrationRefusesWhatStateDictCouldNotName) {
  Registrar module;
  Tensor x = Tensor::zeros({1}), undefined;
  Linear child(1, 1);
  module.parameter("weight", &x);
  EXPECT_THROW(module.parameter("weight", &x), ArgumentError);
  EXPECT_THROW(module.child("weight", &child), ArgumentError);
  EXPECT_THROW(module.parameter("", &x), ArgumentError);
  EXPECT_THROW(module.parameter("a.b", &x), ArgumentError);
  EXPECT_THROW(module.parameter("bias", &undefined), ArgumentError);
  EXPECT_THROW(module.child("self", &module), ArgumentError);
  EXPECT_THROW(module.child("none", nullptr), ArgumentError);
  EXPECT_THAT(names(module.state_dict()), ElementsAre("weight"));
}

}  // namespace
}  // namespace dlcuda
