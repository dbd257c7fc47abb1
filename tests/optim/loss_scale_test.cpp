#include "dlcuda/optim/loss_scale.h"

#include <gtest/gtest.h>

#include "dlcuda/core/backward.h"
#include "dlcuda/core/captured_step.h"
#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/layers/functional.h"
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

Tensor half_parameter(const std::vector<float>& values, Device device) {
  Tensor x = kernels::cast(Tensor::from_values(values, {std::int64_t(values.size())}), DType::F16).to(device);
  x.set_requires_grad();
  return x;
}

/// factor times the sum of x: every gradient is `factor`.
Tensor loss_of(const Tensor& x, double factor) {
  const Tensor factors = Tensor::from_values<float>({float(factor)}, {1}, x.device());
  return F::reduce(F::multiply(F::cast(x, DType::F32), factors), F::Reduction::Sum);
}

TEST(LossScaling, SmallGradientsDoNotVanish) {
  for (const Device device : test_devices()) {
    for (const bool scaled : {false, true}) {
      const Tensor w = half_parameter({1, -1}, device);
      Sgd optimizer({{"w", w}}, 0x1p20);
      LossScale scale = scaled ? LossScale(device) : LossScale();
      scale.backward(loss_of(w, 0x1p-30));  // f16 ends at 2^-24
      optimizer.step(scale);
      const double moved = scaled ? 0x1p-10 : 0;
      EXPECT_EQ(as_doubles(w.detach()), (std::vector<double>{1 - moved, -1 - moved}));
    }
  }
}

TEST(LossScaling, AStepThatOverflowsIsLeftOut) {
  for (const Device device : test_devices()) {
    const Tensor w = half_parameter({1}, device);
    Adam optimizer({{"w", w}}, 0.25);
    LossScale scale(device);
    const auto step = [&] {
      scale.backward(loss_of(w, 1));  // at 65536, beyond f16
      optimizer.step(scale);
      return as_doubles(w.detach())[0];
    };
    EXPECT_EQ(step(), 1.0);
    EXPECT_EQ(scale.value(), 32768);
    EXPECT_EQ(scale.steps_left_out(), 1);
    // Adam's first step is as long as the learning rate: the one that was left out did not count.
    EXPECT_NEAR(step(), 0.75, 1e-3);
    EXPECT_NEAR(step(), 0.5, 1e-3);
    EXPECT_EQ(scale.value(), 32768);
    EXPECT_EQ(scale.steps_left_out(), 1);
  }
}

TEST(LossScaling, GradientsOfSeveralPassesAddUp) {
  for (const Device device : test_devices()) {
    const Tensor w = half_parameter({1}, device);
    Sgd optimizer({{"w", w}}, 0.5);
    LossScale scale(device, {.initial = 256});
    for (int pass = 0; pass < 3; ++pass) scale.backward(loss_of(w, 0.5), GradientMode::Accumulate);
    EXPECT_EQ(as_doubles(w.grad())[0], 3 * 128);
    optimizer.step(scale);
    EXPECT_EQ(as_doubles(w.detach())[0], 0.25);
    EXPECT_EQ(scale.value(), 256) << "the scale itself was not written to";
  }
}

TEST(LossScaling, IsForF16Alone) {
  const Device cpu = Device::cpu();
  EXPECT_TRUE(LossScale::for_dtype(DType::F16, cpu).enabled());
  EXPECT_EQ(LossScale::for_dtype(DType::F16, cpu).value(), 65536);
  for (const DType dtype : {DType::F32, DType::BF16}) {
    const LossScale none = LossScale::for_dtype(dtype, cpu);
    EXPECT_FALSE(none.enabled());
    EXPECT_EQ(none.value(), 1);
    EXPECT_EQ(none.steps_left_out(), 0);
  }
}

/// A training of LeNet-5 on random pictures.
class Training {
 public:
  Training(DType dtype, Device device) : device_(device), scale_(LossScale::for_dtype(dtype, device)) {
    kernels::manual_seed(1);
    model_ = std::make_unique<LeNet5>();
    model_->to(dtype);
    model_->to(device);
    optimizer_ = make_optimizer("adam", model_->parameters(), 1e-3);
    dtype_ = dtype;
  }
  std::vector<Tensor> batch(std::uint32_t number) const {
    const Tensor images = random_tensor({4, 1, 32, 32}, number, DType::F32);
    return {kernels::cast(images, dtype_).to(device_),
            Tensor::from_values<std::int64_t>({1, 7, 3, std::int64_t(number)}, {4}, device_)};
  }
  std::vector<Tensor> step(const std::vector<Tensor>& inputs) {
    const Tensor loss = F::cross_entropy((*model_)(inputs[0]), inputs[1]);
    scale_.backward(loss);
    optimizer_->step(scale_);
    return {loss};
  }
  std::vector<double> weights() const {
    std::vector<double> result;
    for (const auto& [name, tensor] : model_->parameters()) {
      const auto values = as_doubles(tensor.detach());
      result.insert(result.end(), values.begin(), values.end());
    }
    return result;
  }
  double scale() const { return scale_.value(); }
  /// As if it had been so from the beginning.
  void set_scale(double initial, std::int64_t interval) {
    scale_ = LossScale(device_, {.initial = initial, .interval = interval});
  }

 private:
  Device device_;
  DType dtype_;
  LossScale scale_;
  std::unique_ptr<Module> model_;
  std::unique_ptr<Optimizer> optimizer_;
};

double value(const Tensor& loss) { return as_doubles(loss)[0]; }

// f16 has 11 bits: each layer rounds by up to 2^-11 of a value, forward and backward.
TEST(LossScaling, LeNetTrainsAsInF32) {
  for (const Device device : test_devices()) {
    Training exact(DType::F32, device), half(DType::F16, device);
    double first = 0, last = 0;
    for (std::uint32_t step = 0; step < 6; ++step) {
      const double expected = value(exact.step(exact.batch(step % 2))[0]);
      last = value(half.step(half.batch(step % 2))[0]);
      if (step == 0) first = last;
      EXPECT_NEAR(last, expected, 5e-3 * expected) << to_string(device) << ", step " << step;
    }
    EXPECT_LT(last, first);
    EXPECT_EQ(half.scale(), 65536);
  }
}

// The scale, the steps that are left out and those that are not follow from device memory alone.
TEST(LossScaling, ARecordedStepGivesTheSameBits) {
  for (const Device device : test_devices()) {
    Training eager(DType::F16, device), replayed(DType::F16, device);
    // Too high at first, then growing until it is again.
    eager.set_scale(0x1p40, 2);
    replayed.set_scale(0x1p40, 2);
    CapturedStep step(device, [&](const std::vector<Tensor>& inputs) { return replayed.step(inputs); });
    for (std::uint32_t i = 0; i < 6; ++i) {
      const double expected = value(eager.step(eager.batch(i))[0]);
      EXPECT_EQ(value(step(replayed.batch(i))[0]), expected) << i;
      EXPECT_EQ(replayed.scale(), eager.scale()) << i;
      EXPECT_EQ(replayed.weights(), eager.weights()) << i;
      if (i == 2) {
        EXPECT_EQ(eager.scale(), 0x1p37) << "nothing but steps that were left out";
      }
    }
    EXPECT_EQ(step.fallback_reason(), "");
    EXPECT_GT(step.counts().replayed, 0);
  }
}

TEST(LossScaling, SaysWhatIsWrong) {
  expect_error<ArgumentError>([] { LossScale(Device::cpu(), {.interval = 0}); }, "interval");
  const Tensor x = half_parameter({1, 2}, Device::cpu());
  const auto twice = [&] { return F::multiply(x, x); };
  using autograd::backward;
  expect_error<ShapeError>([&] { backward(twice(), Tensor::zeros({1}, DType::F16)); },
                           "must have the tensor's shape [2], got [1]");
  expect_error<ShapeError>([&] { backward(twice(), Tensor()); }, "undefined");
  expect_error<DTypeError>([&] { backward(twice(), Tensor::zeros({2})); },
                           "must be f16 like the tensor, got f32");
  expect_error<Error>([&] { backward(x.detach(), Tensor::zeros({2}, DType::F16)); }, "not computed from");
  for (const Device device : test_devices()) {
    if (device.is_cpu()) continue;
    expect_error<DeviceError>([&] { backward(twice(), Tensor::zeros({2}, DType::F16, device)); },
                              "the gradient is on cuda:0, the tensor on cpu");
    Sgd optimizer({{"x", x}}, 1);
    LossScale there(device);
    LossScale().backward(loss_of(x, 1));
    expect_error<DeviceError>([&] { optimizer.step(there); },
                              "the loss scale is on cuda:0, the parameters are on cpu");
  }
}

TEST(Backward, BeginsWithAGradientOfAnyShape) {
  for (const Device device : test_devices()) {
    Tensor x = Tensor::from_values<float>({1, 2, 3}, {3}, device);
    x.set_requires_grad();
    const Tensor gradient = Tensor::from_values<float>({1, 10, 100}, {3}, device);
    autograd::backward(F::multiply(x, x), gradient);
    EXPECT_EQ(x.grad().values<float>(), (std::vector<float>{2, 40, 600}));
    autograd::backward(x, gradient, GradientMode::Accumulate);
    EXPECT_EQ(x.grad().values<float>(), (std::vector<float>{3, 50, 700}));
    EXPECT_EQ(gradient.values<float>(), (std::vector<float>{1, 10, 100}));
  }
}

}  // namespace
}  // namespace dlcuda::testing
