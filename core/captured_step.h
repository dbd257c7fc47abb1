// Steps that are recorded once and replayed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/core/tensor.h"

namespace dlcuda DLCUDA_API {

/// A step of work on one device, such as the forward pass, backward pass and update of training, whose
/// kernels are recorded once for each shape of its inputs and then run again without the host code that led
/// to them: on CUDA as a graph, on the CPU as a list of calls. Everything a recording allocates comes from a
/// memory pool of its own, so that from the second step on nothing is allocated.
///
///   CapturedStep step(device, [&](const std::vector<Tensor>& batch) {
///     const Tensor loss = cross_entropy(model(batch[0]), batch[1]);
///     loss.backward();
///     optimizer.step();
///     generator.end_step();
///     return std::vector{loss};
///   });
///   for (...) {
///     optimizer.set_learning_rate(...);   // outside: what changes from step to step lives on the device
///     step({images, labels});
///   }
///
/// The step must do the same for the same shapes, use no other stream, and not read values of tensors, which
/// would wait for the device. Tensors that it uses besides its inputs (parameters, optimiser state) must be
/// the same ones each time. Where it cannot be recorded, or no recording ever serves again, it runs as it
/// is, and fallback_reason() says why.
///
/// Gradients work as if the step had run: leaves' grad() are those of this step, and parts of a training step
/// (forward and backward; the same, accumulating; the update) may be steps of their own.
///
/// Not thread-safe. What the function refers to must outlive the object.
class CapturedStep {
 public:
  using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;

  CapturedStep(Device device, Function function);
  /// Waits for the device.
  ~CapturedStep();
  CapturedStep(const CapturedStep&) = delete;
  CapturedStep& operator=(const CapturedStep&) = delete;

  /// Runs the step. Inputs are copied into tensors that the recording keeps; outputs are valid until the next
  /// call. The first call with new shapes on CUDA runs the step as it is (libraries choose their algorithms
  /// then), the second one records it. Throws what the step throws; DeviceError for inputs that are
  /// elsewhere.
  const std::vector<Tensor>& operator()(const std::vector<Tensor>& inputs);

  /// Why the step runs as it is; empty where it is replayed, or was not tried yet.
  const std::string& fallback_reason() const;

  struct Counts {
    std::int64_t eager = 0;     ///< calls that ran the step as it is
    std::int64_t recorded = 0;  ///< calls that recorded it
    std::int64_t replayed = 0;
  };
  const Counts& counts() const;
  /// Kernels, copies and fills (on the CPU: calls of backend functions) of the recording used last; 0 before.
  std::size_t launches() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dlcuda
