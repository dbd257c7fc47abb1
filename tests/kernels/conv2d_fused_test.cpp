#include "dlcuda/kernels/conv2d_fused.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "dlcuda/core/captured_step.h"
#include "dlcuda/core/isa.h"
#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {
namespace {

using kernels::PackedWeight;

constexpr kernels::ActivationParams kRelu{.kind = kernels::Activation::Relu};

TEST(Conv2dFused, PackedWeightFollowsChangesOfTheWeight) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const Tensor x = random_tensor({2, 8, 6, 6}, 1, DType::F32).to(device);
    Tensor weight = random_tensor({16, 8, 3, 3}, 2, DType::F32).to(device);
    PackedWeight packed;
    const auto expect_same = [&](const Tensor& of) {
      const Tensor once = kernels::conv2d_fused(x, of, {}, {}, {}, kRelu);
      EXPECT_EQ(kernels::conv2d_fused(x, of, {}, {}, {}, kRelu, &packed).values<float>(),
                once.values<float>());
    };
    expect_same(weight);
    weight.copy_from(random_tensor({16, 8, 3, 3}, 3, DType::F32).to(device));
    expect_same(weight);
    expect_same(random_tensor({16, 8, 3, 3}, 4, DType::F32).to(device));
    expect_same(weight);
  }
}

TEST(Conv2dFused, ReplayFollowsChangesOfTheWeight) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    Tensor x = random_tensor({2, 8, 6, 6}, 1, DType::F32).to(device);
    Tensor weight = random_tensor({16, 8, 3, 3}, 2, DType::F32).to(device);
    PackedWeight packed;
    CapturedStep step(device, [&](const std::vector<Tensor>& in) {
      return std::vector{kernels::conv2d_fused(in[0], weight, {}, {}, {}, kRelu, &packed)};
    });
    for (std::uint32_t call = 0; call < 5; ++call) {
      weight.copy_from(random_tensor({16, 8, 3, 3}, 10 + call, DType::F32).to(device));
      const Tensor y = step({x})[0];
      EXPECT_EQ(y.values<float>(), kernels::conv2d_fused(x, weight, {}, {}, {}, kRelu).values<float>())
          << call;
    }
    EXPECT_TRUE(step.fallback_reason().empty()) << step.fallback_reason();
  }
}

TEST(Conv2dFused, BiasOfTheDataDtypeIsTakenToo) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const auto bf16 = [&](const Shape& shape, std::uint32_t seed) {
      return kernels::cast(random_tensor(shape, seed, DType::F32).to(device), DType::BF16);
    };
    const Tensor x = bf16({1, 4, 5, 5}, 1), weight = bf16({8, 4, 3, 3}, 2), bias = bf16({8}, 3);
    const Tensor exact = kernels::conv2d_fused(x, weight, kernels::cast(bias, DType::F32), {}, {}, kRelu);
    // The sum may have been rounded before the bias was added, or not.
    expect_close(kernels::conv2d_fused(x, weight, bias, {}, {}, kRelu).to(Device::cpu()),
                 kernels::cast(exact.to(Device::cpu()), DType::F64), Tolerance{1.6e-2, 1.6e-2});
  }
}

struct Bf16Case {
  Shape x, weight;
  kernels::Conv2dParams params;
  bool add = false;  // a residual
};

/// Sums are exact in f32: they are rounded behind the activation alone. The CPU has loops of its own for
/// some; on CUDA bias and activation come behind a rounded sum.
void expect_rounded_once(const Bf16Case& c) {
  using kernels::Activation;
  const kernels::ActivationParams activations[] = {{.kind = Activation::Identity},
                                                   {.kind = Activation::Relu},
                                                   {.kind = Activation::Relu6},
                                                   {.kind = Activation::LeakyRelu, .slope = 0.25f},
                                                   {.kind = Activation::Sigmoid}};
  const Shape out = kernels::conv2d_shape(c.x, c.weight, c.params);
  Tensor x = random_integers(c.x, 1);
  x.data<double>()[0] = std::numeric_limits<double>::quiet_NaN();
  // Sums that bf16 does not have, of both signs, ties among them.
  const Tensor weight = random_integers(c.weight, 2, DType::F64, 33);
  const Tensor bias = random_integers({out[1]}, 3, DType::F64, 501);
  const Tensor residual = c.add ? random_integers(out, 4, DType::F64, 33) : Tensor{};
  const auto rounded = [](const Tensor& t) { return kernels::cast(t, DType::BF16); };
  const auto wide = [](const Tensor& t) { return kernels::cast(t, DType::F64); };
  const auto given = [&](const Tensor& t) {
    return kernels::to_format(rounded(t), MemoryFormat::ChannelsLast);
  };
  for (const kernels::ActivationParams& activation : activations) {
    SCOPED_TRACE("activation " + std::to_string(int(activation.kind)));
    const Tensor y = kernels::conv2d_fused(given(x), rounded(weight), kernels::cast(bias, DType::F32),
                                           c.add ? given(residual) : Tensor{}, c.params, activation);
    const Tensor sums = kernels::conv2d_forward(x, weight, bias, c.params);
    const Tensor expected =
        kernels::activation_forward(c.add ? kernels::add(sums, residual) : sums, activation);
    // Sigmoid is approximated: it may be rounded to the neighbour, and be 0 where it is tiny.
    const Tolerance exact{0, 0}, neighbour{8e-3, 1e-30};
    expect_close(wide(y), wide(rounded(expected)),
                 activation.kind == Activation::Sigmoid ? neighbour : exact);
  }
}

TEST(Conv2dFused, DepthwiseInBf16IsRoundedOnceOnTheCpu) {
  expect_rounded_once({{2, 288, 6, 7}, {288, 1, 3, 3}, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 288}});
}

TEST(Conv2dFused, PointwiseInBf16IsRoundedOnceOnAmx) {
  if (!cpu_has_amx()) GTEST_SKIP() << "no AMX here, or DLCUDA_ISA is set";
  for (const std::int64_t outputs : {16, 40, 64}) {
    for (const bool add : {false, true}) {
      SCOPED_TRACE(fmt::format("{} outputs, {} residual", outputs, add ? "with" : "without"));
      expect_rounded_once({{3, 48, 9, 11}, {outputs, 48, 1, 1}, {}, add});
    }
  }
}

}  // namespace
}  // namespace dlcuda::testing
