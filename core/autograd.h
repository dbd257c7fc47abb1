// Reverse-mode automatic differentiation, recorded while the program runs.
//
// A node is made by record() for each differentiable operation whose inputs need gradients: it holds edges to
// the nodes of those inputs and a function from the gradient of the output to those of the inputs. backward()
// walks the nodes newest first (a node is always newer than those it depends on), so every gradient is
// complete when its node runs, and each node is freed as soon as it has run.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "dlcuda/core/tensor.h"

namespace dlcuda {
namespace autograd DLCUDA_API {

/// What a backward function sees.
struct BackwardContext {
  /// The gradient of the output: its shape and dtype.
  const Tensor& grad;
  /// Of a node that record_in_parts() made: what is to be added to `grad`, or undefined. Its shape and dtype.
  const Tensor& more;
  /// Whether the gradient of input i is wanted; work for others can be left out.
  bool needs(int input) const { return (needed >> input) & 1u; }
  std::uint32_t needed;
};

/// One gradient for each input of record(); an undefined Tensor for those that are not needed.
using BackwardFunction = std::function<std::vector<Tensor>(const BackwardContext&)>;

/// True while operations are recorded in this thread.
bool grad_enabled();

/// Operations of this thread are not recorded while this lives: inference, updates.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool previous_;
};

/// True when a recorded operation on these inputs would need a backward pass.
bool any_requires_grad(std::span<const Tensor> inputs);
bool any_requires_grad(std::initializer_list<Tensor> inputs);

/// Attaches a node to `output` if any of `inputs` needs a gradient and recording is on; returns `output`.
/// `name` must outlive the program (a literal): it stands in error messages. At most 32 inputs, undefined
/// ones allowed.
Tensor record(const char* name, Tensor output, std::span<const Tensor> inputs, BackwardFunction backward);
Tensor record(const char* name, Tensor output, std::initializer_list<Tensor> inputs,
              BackwardFunction backward);
/// The same for a backward function that adds up two gradients as it reads them: where the output is used in
/// several places, it gets the sum in two parts, and no pass of its own is spent on adding them.
Tensor record_in_parts(const char* name, Tensor output, std::initializer_list<Tensor> inputs,
                       BackwardFunction backward);
/// Inputs that a node may have.
inline constexpr int kMaxInputs = 32;

/// A tensor kept for the backward pass: outside the graph (a saved output makes no cycle), and checked for
/// in-place changes since it was saved.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor);
  /// Throws Error when the elements were changed in place after saving.
  const Tensor& get() const;

 private:
  Tensor tensor_;
  std::uint64_t version_ = 0;
};

/// Ends a step: gradients written so far are used up, and the next backward(), also one that accumulates,
/// begins anew. Optimizer::step() calls it.
void end_step();

/// The largest stamp handed out so far; a leaf's grad_stamp() above an optimiser's last one means "new since
/// then".
std::uint64_t latest_stamp();

/// What Tensor keeps for autograd.
struct Meta {
  bool requires_grad = false;
  std::shared_ptr<Node> node;  ///< of a computed tensor; null for a leaf
  Tensor grad;                 ///< of a leaf
  std::uint64_t grad_stamp = 0;
};

}  // namespace autograd
}  // namespace dlcuda
