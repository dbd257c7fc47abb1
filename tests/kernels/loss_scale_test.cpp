#include "dlcuda/kernels/loss_scale.h"

#include <gtest/gtest.h>

#include <limits>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/update.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/errors.h"

namespace dlcuda::testing {
namespace {

using kernels::GradientView;
using kernels::LossScaleState;
using Counts = std::vector<std::int64_t>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float value(const Tensor& x) { return x.values<float>()[0]; }

void settle(LossScaleState& state, const std::vector<Tensor>& gradients,
            const kernels::LossScaleParams& params = {}) {
  std::vector<GradientView> views;
  for (const Tensor& gradient : gradients) views.push_back({gradient.raw()});
  kernels::settle_loss_scale(views, state, params);
}

/// `size` numbers of which one is `odd`; not aligned for vector loads where it says so.
Tensor gradient_with(float odd, std::int64_t at, std::int64_t size, DType dtype, Device device,
                     bool aligned = true) {
  const std::int64_t front = aligned ? 0 : 1;
  std::vector<float> values(std::size_t(size + front), -60000.0f);
  values[std::size_t(at + front)] = odd;
  return kernels::cast(Tensor::from_values(values, {size + front}), dtype)
      .to(device)
      .slice(front, size + front);
}

TEST(LossScale, FallsAndLeavesTheStepOutForAnyElementOfAnyGradient) {
  for (const Device device : test_devices()) {
    for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
      for (const std::int64_t size : {1, 33, 257, 20000}) {
        for (const bool aligned : {true, false}) {
          for (const std::int64_t at : {std::int64_t{0}, size / 2, size - 1}) {
            LossScaleState state = kernels::make_loss_scale(device, {});
            const auto with = [&](float odd) {
              return std::vector{gradient_with(1, 0, 3, DType::F32, device),
                                 gradient_with(odd, at, size, dtype, device, aligned)};
            };
            settle(state, with(60000));
            ASSERT_EQ(value(state.unscale), 0x1p-16f);
            settle(state, with(at % 2 == 0 ? kInfinity : -kInfinity));
            ASSERT_EQ(value(state.unscale), 0) << to_string(dtype) << ", element " << at << " of " << size;
            ASSERT_EQ(value(state.scale), 32768);
            settle(state, with(std::numeric_limits<float>::quiet_NaN()));
            ASSERT_EQ(value(state.unscale), 0);
            settle(state, with(0));
            ASSERT_EQ(value(state.unscale), 0x1p-14f) << "the mark was taken away";
            ASSERT_EQ(state.counts.values<std::int64_t>(), (Counts{1, 2, 0}));
          }
        }
      }
    }
  }
}

TEST(LossScale, LooksAtMoreGradientsThanOneLaunchDescribes) {
  for (const Device device : test_devices()) {
    for (const std::size_t odd : {0, 175, 176, 399}) {
      LossScaleState state = kernels::make_loss_scale(device, {});
      const Tensor fine = gradient_with(1, 0, 5, DType::F16, device);
      const Tensor none = Tensor::empty({0}, DType::F32, device);
      std::vector<Tensor> gradients(400, fine);
      gradients[7] = gradients[180] = none;
      settle(state, gradients);
      EXPECT_EQ(value(state.unscale), 0x1p-16f);
      gradients[odd] = gradient_with(kInfinity, 4, 5, DType::F16, device);
      settle(state, gradients);
      EXPECT_EQ(value(state.unscale), 0) << odd;
    }
  }
}

TEST(LossScale, GrowsAfterAnIntervalOfFiniteSteps) {
  for (const Device device : test_devices()) {
    const kernels::LossScaleParams params{.initial = 8, .growth = 4, .backoff = 0.25, .interval = 3};
    LossScaleState state = kernels::make_loss_scale(device, params);
    const std::vector fine{gradient_with(1, 0, 3, DType::F16, device)};
    const std::vector odd{gradient_with(kInfinity, 0, 3, DType::F16, device)};
    const auto scales = [&](const std::vector<Tensor>& gradients, int steps) {
      std::vector<float> result;
      for (int i = 0; i < steps; ++i) {
        settle(state, gradients, params);
        result.push_back(value(state.scale));
      }
      return result;
    };
    EXPECT_EQ(scales(fine, 4), (std::vector<float>{8, 8, 32, 32}));
    EXPECT_EQ(value(state.unscale), 1.0f / 32);
    EXPECT_EQ(scales(odd, 2), (std::vector<float>{8, 2}));
    EXPECT_EQ(scales(fine, 3), (std::vector<float>{2, 2, 8}));
  }
}

TEST(LossScale, StaysAPositiveNormalNumber) {
  for (const Device device : test_devices()) {
    const std::vector fine{gradient_with(1, 0, 3, DType::F16, device)};
    const std::vector odd{gradient_with(kInfinity, 0, 3, DType::F16, device)};
    const kernels::LossScaleParams high{.initial = 0x1p126, .interval = 1}, low{.initial = 0x1p-125};
    LossScaleState state = kernels::make_loss_scale(device, high);
    for (int i = 0; i < 3; ++i) settle(state, fine, high);
    EXPECT_EQ(value(state.scale), 0x1p127f);
    state = kernels::make_loss_scale(device, low);
    for (int i = 0; i < 3; ++i) settle(state, odd, low);
    EXPECT_EQ(value(state.scale), 0x1p-126f);
  }
}

TEST(LossScale, RefusesWhatMakesNoSense) {
  const Device cpu = Device::cpu();
  const auto refused = [&](const kernels::LossScaleParams& params, const char* words) {
    expect_error<ArgumentError>([&] { kernels::make_loss_scale(cpu, params); }, words);
  };
  refused({.initial = 0}, "initial scale must be positive and within f32's range, got 0");
  refused({.initial = 1e39}, "got 1e+39");
  refused({.growth = 1}, "growth factor must be finite and above 1, got 1");
  refused({.backoff = 1}, "backoff factor must be between 0 and 1, got 1");
  refused({.interval = 0}, "growth interval must be at least 1 step, got 0");
  for (const Device device : test_devices()) {
    LossScaleState state = kernels::make_loss_scale(device, {});
    expect_error<DTypeError>([&] { settle(state, {Tensor::zeros({2}, DType::I32, device)}); },
                             "settle_loss_scale: gradient 0 must be f32, f16 or bf16", "got i32");
    state.counts = Tensor::zeros({2}, DType::I64, device);
    expect_error<ShapeError>([&] { settle(state, {}); }, "counts must have shape [3], got [2]");
  }
}

/// The pieces of an update of one parameter, f16 beside a master in f32.
struct Pieces {
  Tensor parameter, gradient, state1, state2, copy, lr, count;
  explicit Pieces(Device device, float slope)
      : parameter(Tensor::from_values<float>({1, -2, 3}, {3}, device)),
        gradient(
            kernels::cast(Tensor::from_values<float>({slope, 2 * slope, -slope}, {3}, device), DType::F16)),
        state1(Tensor::from_values<float>({0.5f, 0.25f, 1}, {3}, device)),
        state2(state1.clone()),
        copy(kernels::cast(parameter, DType::F16)),
        lr(Tensor::from_values<float>({0.5f}, {1}, device)),
        count(Tensor::zeros({1}, DType::I64, device)) {}
  void update(int optimizer, const Tensor& unscale) {
    const kernels::UpdateTensors tensors{parameter.raw(), gradient.raw(), state1.raw(), state2.raw(),
                                         copy.raw()};
    const Device device = parameter.device();
    const std::span all(&tensors, 1);
    if (optimizer == 0) kernels::sgd_update(device, all, lr, {.momentum = 0.5}, unscale);
    if (optimizer == 1) kernels::rmsprop_update(device, all, lr, {.momentum = 0.5}, unscale);
    if (optimizer == 2) kernels::adam_update(device, all, lr, count, {}, unscale);
  }
  std::vector<double> all() const {
    std::vector<double> result;
    for (const Tensor& x : {parameter, state1, state2, copy}) {
      const auto values = as_doubles(x);
      result.insert(result.end(), values.begin(), values.end());
    }
    result.push_back(double(count.values<std::int64_t>()[0]));
    return result;
  }
};

TEST(LossScale, UpdatesTakeTheScaleOutOfGradients) {
  for (const Device device : test_devices()) {
    const Tensor unscale = Tensor::from_values<float>({0x1p-8f}, {1}, device);
    for (const int optimizer : {0, 1, 2}) {
      Pieces plain(device, 0.125f), scaled(device, 32);
      plain.update(optimizer, {});
      scaled.update(optimizer, unscale);
      EXPECT_EQ(scaled.all(), plain.all()) << optimizer;
    }
  }
}

TEST(LossScale, AFactorOf0ChangesNothing) {
  for (const Device device : test_devices()) {
    const Tensor nothing = Tensor::zeros({1}, DType::F32, device);
    for (const int optimizer : {0, 1, 2}) {
      Pieces pieces(device, kInfinity);
      const auto before = pieces.all();
      pieces.update(optimizer, nothing);
      EXPECT_EQ(pieces.all(), before) << optimizer;
    }
    Pieces pieces(device, 1);
    expect_error<ShapeError>([&] { pieces.update(0, Tensor::zeros({2}, DType::F32, device)); },
                             "sgd_update: unscale must have one element, got shape [2]");
  }
}

}  // namespace
}  // namespace dlcuda::testing
