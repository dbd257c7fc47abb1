// The layers: modules around functional.h.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "dlcuda/layers/functional.h"
#include "dlcuda/layers/init.h"
#include "dlcuda/layers/module.h"

namespace dlcuda DLCUDA_API {

struct Conv2dOptions {
  std::int64_t in_channels;
  std::int64_t out_channels;
  std::array<std::int64_t, 2> kernel;  ///< height, width
  functional::Conv2dParams params = {};
  bool bias = true;
  init::Scheme scheme = init::Scheme::Default;
};

/// Parameters: weight (O, C / groups, KH, KW), bias (O).
class Conv2d : public Module {
 public:
  explicit Conv2d(const Conv2dOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  Conv2dOptions options_;
  Tensor weight_, bias_;
};

struct LinearOptions {
  std::int64_t in_features;
  std::int64_t out_features;
  bool bias = true;
  init::Scheme scheme = init::Scheme::Default;
};

/// Parameters: weight (O, I), bias (O).
class Linear : public Module {
 public:
  explicit Linear(const LinearOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  LinearOptions options_;
  Tensor weight_, bias_;
};

class AvgPool2d : public Module {
 public:
  explicit AvgPool2d(const functional::Pool2dParams& params = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  functional::Pool2dParams params_;
};

class MaxPool2d : public Module {
 public:
  explicit MaxPool2d(const functional::Pool2dParams& params = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  functional::Pool2dParams params_;
};

/// Sigmoid, Tanh, ReLU or LeakyReLU, as a layer.
class ActivationLayer : public Module {
 public:
  explicit ActivationLayer(const functional::ActivationParams& params);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  functional::ActivationParams params_;
};

/// Acts in training only.
class Dropout : public Module {
 public:
  explicit Dropout(double p = 0.5);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  double p_;
};

/// (N, ...) -> (N, product).
class Flatten : public Module {
 public:
  Flatten() = default;
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;
};

/// Layers one after another, named "0", "1", ...
class Sequential : public Module {
 public:
  Sequential() = default;
  /// Adds a layer at the end: net.add<Linear>(LinearOptions{2, 8}).
  template <typename Layer, typename... Arguments>
  Sequential& add(Arguments&&... arguments) {
    append(std::make_unique<Layer>(std::forward<Arguments>(arguments)...));
    return *this;
  }
  void append(std::unique_ptr<Module> layer);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  std::vector<std::unique_ptr<Module>> layers_;
};

}  // namespace dlcuda
