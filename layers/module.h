// Module: something with parameters, buffers and children, which turns one tensor into another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlcuda/core/memory/tag.h"
#include "dlcuda/core/tensor.h"
#include "dlcuda/layers/load_report.h"

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
  /// forward(), with what it allocates tagged with this module's name ("features.0"; "(model)" for the root).
  Tensor operator()(const Tensor& x) {
    return call([&] { return forward(x); });
  }

  /// Trainable tensors, this module's and then its children's, in order of registration. A tensor that
  /// several modules share comes once, under its first name.
  NamedTensors parameters() const;
  /// Tensors that are saved but not trained (running statistics).
  NamedTensors buffers() const;
  /// Both, module by module, in the order of PyTorch's state_dict; handles to the same elements, outside any
  /// graph.
  NamedTensors state_dict() const;
  /// Copies values in by name, from any device and memory format; f32, bf16 and f16 are converted into each
  /// other, which the report tells. Throws ArgumentError that lists missing, unexpected and mismatched names,
  /// with the nearest known one, unless options.partial is set, and for a name that is given twice; nothing
  /// is changed then. Make optimisers afterwards: they may keep copies of the parameters.
  LoadReport load_state_dict(const NamedTensors& state, const LoadOptions& options = {});
  /// Elements of all parameters.
  std::int64_t parameter_count() const;

  /// Training or inference behaviour (dropout, batch norm), children included.
  void train(bool training = true);
  void eval() { train(false); }
  bool is_training() const { return training_; }

  /// Takes the parameters whose names match ("features.*"; '*' is any run of characters, '?' any one) out of
  /// training: no gradient is computed for them. A normalisation all of whose parameters are frozen uses its
  /// running statistics in training, too, and leaves them as they are. Before recorded steps are made.
  /// Returns how many match. Throws ArgumentError when none does, with the nearest name.
  std::size_t freeze(std::string_view pattern = "*") { return mark_trainable(pattern, false); }
  std::size_t unfreeze(std::string_view pattern = "*") { return mark_trainable(pattern, true); }

  /// Moves all parameters and buffers; what is shared stays shared. Gradients are left behind. Make
  /// optimisers afterwards: they hold handles.
  void to(Device device);
  /// Casts floating-point parameters and buffers, for inference, or before an optimiser is made that keeps
  /// master weights. In bf16 and f16, normalisations keep theirs in f32, as their kernels want it. What is
  /// shared stays shared; gradients are left behind. Throws DTypeError for a dtype that is not
  /// floating-point.
  void to(DType dtype);
  /// Lays the weights of convolutions out in this order; names, shapes and values stay, so do state_dict's
  /// files. What is shared stays shared; gradients are left behind. Make optimisers afterwards: they keep
  /// their states in the order of the parameters.
  void to(MemoryFormat format);
  /// to(device), with the weights in the order that its convolutions take them in without a copy where
  /// pictures come in `pictures`: that one on CUDA; contiguous on the CPU, where oneDNN packs its own.
  void to(Device device, MemoryFormat pictures);
  /// Children in order of registration; one that is registered inline has no name.
  const std::vector<std::pair<std::string, Module*>>& children() const { return children_; }
  /// One line for a summary: "Conv2d(1, 6, kernel 5x5)".
  virtual std::string describe() const = 0;

 protected:
  Module() = default;
  /// Whether this module's own tensors stay in f32 where the others are cast to 16 bits.
  virtual bool keeps_f32() const { return false; }
  /// Whether this module's own tensors with four axes may lie in either format.
  virtual bool takes_any_format() const { return false; }
  /// What operator()(x) does around forward(x): for a call operator that takes more than one tensor.
  template <typename Forward>
  Tensor call(const Forward& forward) {
    return call_with([](const void* context) { return (*static_cast<const Forward*>(context))(); }, &forward);
  }
  /// The members must live as long as the module. A parameter is marked as requiring a gradient. Throw
  /// ArgumentError for a name that is empty, holds a dot or is taken, and for an undefined tensor.
  void register_parameter(std::string name, Tensor* parameter);
  void register_buffer(std::string name, Tensor* buffer);
  void register_module(std::string name, Module* child);
  /// A child whose parameters and children are named as if they were this module's own: a block of layers
  /// that the model's names do not know.
  void register_inline(Module* child);
  void unregister_module(const std::string& name);

 private:
  Tensor call_with(Tensor (*forward)(const void* context), const void* context);

  enum class Kind { Parameter, Buffer };
  struct Entry {
    std::string name;
    Tensor* tensor;
    Kind kind;
  };
  void register_tensor(std::string name, Tensor* tensor, Kind kind);
  void check_name(const std::string& name) const;
  bool names(const std::string& name) const;
  template <typename Visit>
  void visit(const std::string& prefix, const Visit& call) const;
  void set_tags(const std::string& path);
  std::size_t mark_trainable(std::string_view pattern, bool trainable);
  template <typename Convert>
  void replace_tensors(const Convert& convert);

  std::vector<Entry> tensors_;
  std::vector<std::pair<std::string, Module*>> children_;
  MemoryTag tag_;  ///< the path from the root; of the root itself: none
  bool training_ = true;
};

/// While it lives, sees what every module called through operator() in this thread returns: children before
/// the module that called them. For summaries and looking into a model. One at a time.
class ForwardObserver {
 public:
  using Callback = std::function<void(const Module& module, const Tensor& output)>;
  explicit ForwardObserver(Callback callback);
  ~ForwardObserver();
  ForwardObserver(const ForwardObserver&) = delete;
  ForwardObserver& operator=(const ForwardObserver&) = delete;
};

}  // namespace dlcuda
