// Module: something with parameters, buffers and children, which turns one tensor into another.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlcuda/core/tensor.h"

namespace dlcuda DLCUDA_API {

/// Names and tensors in the order of registration: "conv1.weight", "conv1.bias", ...
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// A derived class keeps its tensors and children as members and registers them in its constructor; the
/// registered names, joined by dots, are those of PyTorch's state_dict. A Module cannot be copied or moved,
/// because its parent points at it.
class Module {
 public:
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  virtual Tensor forward(const Tensor& x) = 0;
  Tensor operator()(const Tensor& x) { return forward(x); }

  /// Trainable tensors, this module's and its children's, in order of registration.
  NamedTensors parameters() const;
  /// Tensors that are saved but not trained (running statistics).
  NamedTensors buffers() const;
  /// Both, module by module, as a state_dict lists them; handles, not copies.
  NamedTensors state_dict() const;
  /// Copies values in by name, from any device. Throws ArgumentError that lists missing, unexpected and
  /// mismatched names with the nearest known one; nothing is changed then.
  void load_state_dict(const NamedTensors& state);
  std::int64_t parameter_count() const;

  /// Training or inference behaviour (dropout, batch norm), children included.
  void train(bool training = true);
  void eval() { train(false); }
  bool is_training() const { return training_; }

  /// Moves all parameters and buffers; make optimisers afterwards, they hold handles.
  void to(Device device);
  /// Children in order of registration.
  const std::vector<std::pair<std::string, Module*>>& children() const { return children_; }
  /// One line for a summary: "Conv2d(1, 6, kernel 5x5)".
  virtual std::string describe() const = 0;

 protected:
  Module() = default;
  /// The members must live as long as the module. A parameter is marked as requiring a gradient.
  void register_parameter(std::string name, Tensor* parameter);
  void register_buffer(std::string name, Tensor* buffer);
  void register_module(std::string name, Module* child);

 private:
  enum class Kind { Parameter, Buffer };
  struct Entry {
    std::string name;
    Tensor* tensor;
    Kind kind;
  };
  template <typename Visit>
  void visit(const std::string& prefix, const Visit& call) const;

  std::vector<Entry> tensors_;
  std::vector<std::pair<std::string, Module*>> children_;
  bool training_ = true;
};

}  // namespace dlcuda
