#include "dlcuda/layers/weights.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/layers/normalization.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/tensor_bytes.h"

namespace dlcuda {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// A convolution, its normalisation, and a head of any width.
class Net : public Module {
 public:
  explicit Net(std::int64_t classes = 3) : head_(2, classes) {
    register_module("conv", &conv_);
    register_module("bn", &bn_);
    register_module("fc", &head_);
  }
  Tensor forward(const Tensor& x) override {
    return head_(functional::flatten(functional::global_avg_pool2d(bn_(conv_(x)))));
  }
  std::string describe() const override { return "Net()"; }

 private:
  Conv2d conv_{1, 2, 3};
  BatchNorm2d bn_{2};
  Linear head_;
};

Tensor filled(const Tensor& like, double value) {
  Tensor x = Tensor::empty_like(like);
  kernels::fill(x, value);
  return x;
}

/// The state of a Net in which every element is 1.
NamedTensors all_ones() {
  NamedTensors state;
  for (const auto& [name, tensor] : Net().state_dict()) state.emplace_back(name, filled(tensor, 1));
  return state;
}

Tensor& at(NamedTensors& state, std::string_view name) {
  const auto found =
      std::find_if(state.begin(), state.end(), [&](const auto& item) { return item.first == name; });
  EXPECT_NE(found, state.end()) << name;
  return found->second;
}

std::vector<std::vector<std::byte>> bytes_of(const Module& module) {
  std::vector<std::vector<std::byte>> result;
  for (const auto& [name, tensor] : module.state_dict()) result.push_back(dlcuda::bytes_of(tensor));
  return result;
}

std::vector<std::string> names_of(const std::vector<LoadReport::Difference>& differences) {
  std::vector<std::string> names;
  for (const auto& difference : differences) names.push_back(difference.name);
  return names;
}

class Weights : public ::testing::Test {
 protected:
  TempFolder folder;
  std::filesystem::path path = folder / "w.safetensors";
};

TEST_F(Weights, GoOutAndComeBack) {
  for (const Device device : dlcuda::testing::test_devices()) {
    for (const bool mapped : {false, true}) {
      SCOPED_TRACE(to_string(device));
      Net from, to;
      from.to(device);
      to.to(device);
      save_weights(from, path, {{"epoch", "3"}});
      const LoadReport report = load_weights(to, path, {.mapped = mapped});
      EXPECT_TRUE(report.complete());
      EXPECT_EQ(report.loaded.size(), 9u);
      EXPECT_EQ(report.describe(), "loaded 9 of 9 tensors");
      EXPECT_EQ(bytes_of(to), bytes_of(from));
      EXPECT_EQ(SafetensorsFile(path).metadata(),
                (std::map<std::string, std::string>{{"epoch", "3"}, {"format", "pt"}}));
    }
  }
}

TEST_F(Weights, AFileThatDoesNotFitIsRefusedAsAWholeWithoutBeingRead) {
  Net net;
  const auto before = bytes_of(net);
  NamedTensors state = all_ones();
  at(state, "fc.weight") = Tensor::zeros({1000, 2});
  state.erase(state.begin());
  state.emplace_back("conv.weights", Tensor::zeros({2}));
  save_safetensors(path, state);
  expect_error<FormatError>([&] { load_weights(net, path); }, path.string(),
                            "do not fit Net(); nothing was loaded",
                            "missing: conv.weight [2, 1, 3, 3]; did you mean 'conv.weights'?",
                            "mismatched: fc.weight: expected f32 [3, 2], got f32 [1000, 2]",
                            "unexpected: conv.weights; did you mean 'conv.weight'?", "LoadOptions::partial",
                            "LoadOptions::exclude");
  EXPECT_EQ(bytes_of(net), before);
  expect_error<IoError>([&] { load_weights(net, folder / "missing"); }, "missing");
}

TEST_F(Weights, PartialLoadingTakesWhatFitsAndTellsTheRest) {
  Net net;
  const auto head = net.state_dict()[7].second.values<float>();
  NamedTensors state = all_ones();
  at(state, "fc.weight") = Tensor::zeros({1000, 2});
  at(state, "bn.num_batches_tracked") = Tensor::zeros({});  // f32
  state.erase(state.begin());
  state.emplace_back("conv.weights", Tensor::zeros({2}));
  save_safetensors(path, state);
  const LoadReport report = load_weights(net, path, {.partial = true});
  EXPECT_FALSE(report.complete());
  EXPECT_THAT(report.loaded, ElementsAre("conv.bias", "bn.weight", "bn.bias", "bn.running_mean",
                                         "bn.running_var", "fc.bias"));
  EXPECT_THAT(names_of(report.missing), ElementsAre("conv.weight"));
  EXPECT_EQ(report.missing[0].nearest, "conv.weights");
  EXPECT_THAT(names_of(report.mismatched), ElementsAre("bn.num_batches_tracked", "fc.weight"));
  EXPECT_EQ(report.mismatched[1].detail, "expected f32 [3, 2], got f32 [1000, 2]");
  EXPECT_THAT(names_of(report.unexpected), ElementsAre("conv.weights"));
  EXPECT_EQ(report.describe(),
            "loaded 6 of 9 tensors\n"
            "  missing: conv.weight [2, 1, 3, 3]; did you mean 'conv.weights'?\n"
            "  mismatched: bn.num_batches_tracked: expected i64 [], got f32 []\n"
            "  mismatched: fc.weight: expected f32 [3, 2], got f32 [1000, 2]\n"
            "  unexpected: conv.weights; did you mean 'conv.weight'?");
  EXPECT_THAT(net.state_dict()[1].second.values<float>(), ElementsAre(1, 1));
  EXPECT_EQ(net.state_dict()[7].second.values<float>(), head);
}

TEST_F(Weights, ANameGivenTwiceIsAnErrorEvenInPart) {
  Net net;
  const auto before = bytes_of(net);
  NamedTensors state = all_ones();
  state.push_back(state[0]);
  expect_error<ArgumentError>([&] { net.load_state_dict(state, {.partial = true}); },
                              "given twice: conv.weight");
  EXPECT_EQ(bytes_of(net), before);
}

TEST_F(Weights, AllButTheHeadComesFromAModelWithAnother) {
  const Net from(1000);
  save_weights(from, path);
  Net net(3);
  const auto weight = net.state_dict()[7].second.values<float>();
  const LoadReport report = load_weights(net, path, {.exclude = {"fc.*"}});
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(report.loaded.size(), 7u);
  EXPECT_THAT(report.excluded, ElementsAre("fc.weight", "fc.bias"));
  EXPECT_EQ(report.describe(), "loaded 7 of 9 tensors, 2 left out as asked");
  EXPECT_EQ(net.state_dict()[0].second.values<float>(), from.state_dict()[0].second.values<float>());
  EXPECT_EQ(net.state_dict()[7].second.values<float>(), weight);
}

TEST_F(Weights, NamesOnOneSideOnlyMayBeLeftOut) {
  Net net;
  NamedTensors state = all_ones();
  state.emplace_back("aux.weight", Tensor::zeros({2}));
  EXPECT_TRUE(net.load_state_dict(state, {.exclude = {"aux.*"}}).complete());
  expect_error<ArgumentError>(
      [&] {
        net.load_state_dict(state, {.exclude = {"aux.*", "fcc.*"}});
      },
      "'fcc.*' matches no name", "did you mean 'fc.*'?");
}

TEST_F(Weights, PrecisionsAreConvertedAndOtherDTypesAreNot) {
  for (const Device device : dlcuda::testing::test_devices()) {
    for (const DType from : {DType::F32, DType::BF16, DType::F16}) {
      for (const DType to : {DType::F32, DType::BF16}) {
        SCOPED_TRACE(fmt::format("{} to {} on {}", to_string(from), to_string(to), to_string(device)));
        Linear source(2, 2), target(2, 2);
        source.load_state_dict({{"weight", Tensor::from_values({1.5f, -2.0f, 0.25f, 1024.0f}, {2, 2})},
                                {"bias", Tensor::zeros({2})}});
        source.to(from);
        target.to(device);
        target.to(to);
        save_weights(source, path);
        const LoadReport report = load_weights(target, path);
        EXPECT_TRUE(report.complete());
        const Tensor weight = target.parameters()[0].second;
        EXPECT_EQ(weight.dtype(), to);
        EXPECT_THAT(kernels::cast(weight.detach(), DType::F32).values<float>(),
                    ElementsAre(1.5f, -2, 0.25f, 1024));
        if (from == to) {
          EXPECT_THAT(report.converted, IsEmpty());
          continue;
        }
        ASSERT_EQ(report.converted.size(), 2u);
        EXPECT_EQ(report.converted[0].name, "weight");
        EXPECT_EQ(report.converted[0].from, from);
        EXPECT_EQ(report.converted[0].to, to);
        EXPECT_EQ(report.describe(), fmt::format("loaded 2 of 2 tensors, 2 converted from {} to {}",
                                                 to_string(from), to_string(to)));
      }
    }
  }
}

// Inference keeps copies of a convolution's weight in other layouts: loading and casting must reach those.
TEST_F(Weights, OfAFoldedModelComeBackIntoAFoldedOne) {
  for (const Device device : dlcuda::testing::test_devices()) {
    SCOPED_TRACE(to_string(device));
    ConvBnAct from({.conv = same_conv(2, 3, 3)}), to({.conv = same_conv(2, 3, 3)});
    const autograd::NoGrad no_grad;
    const Tensor x = random_tensor({2, 2, 4, 4}, 0, DType::F32).to(device);
    for (ConvBnAct* block : {&from, &to}) {
      block->to(device);
      (*block)(x);  // moves the statistics
      block->eval();
      EXPECT_EQ(fold_batch_norm(*block), 1);
    }
    const std::vector<float> expected = from(x).values<float>();
    EXPECT_NE(to(x).values<float>(), expected);
    save_weights(from, path);
    EXPECT_THAT(load_weights(to, path).loaded, ElementsAre("0.weight", "0.bias"));
    EXPECT_EQ(to(x).values<float>(), expected);
    to.to(DType::BF16);
    dlcuda::testing::expect_close(to(kernels::cast(x, DType::BF16)),
                                  kernels::cast(from(x).to(Device::cpu()), DType::F64),
                                  {.relative = 2e-2, .absolute = 2e-2});
  }
}

TEST_F(Weights, ReportsStayReadableWhateverTheFileHolds) {
  Net net;
  NamedTensors state;
  for (int i = 0; i < 100; ++i) state.emplace_back(fmt::format("x{}", i), Tensor::zeros({}));
  state[0].first = std::string(100'000, 'n');
  state[1].first = "\x1b[2J";
  save_safetensors(path, state);
  const std::string text = load_weights(net, path, {.partial = true}).describe();
  EXPECT_LT(text.size(), 5000u);
  EXPECT_THAT(text, HasSubstr("unexpected: 60 more"));
  EXPECT_THAT(text, HasSubstr(R"(unexpected: "\u001b[2J")"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("nnn\"..."));
}

}  // namespace
}  // namespace dlcuda
