#include "dlcuda/tests/support/resnet_memory.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <utility>

namespace dlcuda {
namespace {

/// Writes down an allocation, and its free when the last handle goes.
class Recorder {
 public:
  using Handle = std::shared_ptr<void>;

  Handle allocate(std::size_t bytes) {
    std::uint32_t slot = memory.slots;
    if (idle_.empty()) {
      ++memory.slots;
    } else {
      slot = idle_.back();
      idle_.pop_back();
    }
    memory.operations.push_back({slot, bytes});
    return {this, [this, slot](void*) {
              memory.operations.push_back({slot, 0});
              idle_.push_back(slot);
            }};
  }

  ResNetMemory memory;

 private:
  std::vector<std::uint32_t> idle_;
};

using Handle = Recorder::Handle;

struct Value {
  int id = 0;  // of its gradient
  Handle data;
  std::int64_t channels = 0, side = 0;
};

struct Parameter {
  std::size_t bytes = 0;
  bool trained = true;  // running statistics are not
  Handle data = {}, first_moment = {}, second_moment = {}, gradient = {};
};

/// The gradients of a node's inputs: the first value's, and the second's where there is one.
using Backward = std::function<std::array<Handle, 2>(const Handle& gradient)>;

class Training {
 public:
  explicit Training(const ResNetMemoryOptions& options) : options_(options) {}

  ResNetMemory run() {
    for (int step = 0; step < options_.steps; ++step) {
      // The parameters are those that the layers of the first step ask for; they are made ahead of it.
      if (step == 0) make_parameters();
      recorder_.memory.steps.push_back(recorder_.memory.operations.size());
      next_parameter_ = 0;
      const Handle labels = recorder_.allocate(std::size_t(options_.batch) * 8);
      const int loss = forward();
      backward(loss, recorder_.allocate(4));
    }
    recorder_.memory.steps.push_back(recorder_.memory.operations.size());
    parameters_.clear();
    pictures_.reset();
    return std::move(recorder_.memory);
  }

 private:
  struct Node {
    std::array<int, 2> inputs;
    int output;
    std::vector<std::size_t> parameters;  // whose gradients it computes
    Backward backward;
  };

  // A dry run of the model counts its parameters.
  void make_parameters() {
    counting_ = true;
    forward();
    tape_.clear();
    pictures_.reset();
    counting_ = false;
    recorder_ = {};
    for (Parameter& parameter : parameters_) parameter.data = recorder_.allocate(parameter.bytes);
    for (Parameter& parameter : parameters_) {
      if (!parameter.trained) continue;
      parameter.first_moment = recorder_.allocate(parameter.bytes);
      parameter.second_moment = recorder_.allocate(parameter.bytes);
    }
  }

  std::size_t parameter(std::int64_t elements, bool trained = true) {
    if (counting_) parameters_.push_back({.bytes = std::size_t(elements) * 4, .trained = trained});
    return counting_ ? parameters_.size() - 1 : next_parameter_++;
  }

  void set_gradient(std::size_t parameter) {
    parameters_[parameter].gradient = recorder_.allocate(parameters_[parameter].bytes);
  }

  std::size_t bytes(const Value& value) const {
    return std::size_t(options_.batch * value.channels * value.side * value.side) * options_.element;
  }

  Value result(std::int64_t channels, std::int64_t side) {
    Value value{++last_id_, {}, channels, side};
    value.data = recorder_.allocate(bytes(value));
    return value;
  }

  Value record(const Value& x, const Value& residual, Value y, std::vector<std::size_t> parameters,
               Backward backward) {
    tape_.push_back({{x.id, residual.id}, y.id, std::move(parameters), std::move(backward)});
    return y;
  }

  void workspace(std::size_t bytes) {
    if (bytes > 0) recorder_.allocate(bytes);
  }

  Value conv(const Value& x, std::int64_t channels, std::int64_t kernel, std::int64_t stride) {
    const std::size_t weight = parameter(channels * x.channels * kernel * kernel);
    const bool pointwise = kernel == 1;
    Value y = result(channels, x.side / stride);
    const std::size_t weight_bytes = parameters_[weight].bytes, dx_bytes = bytes(x), y_bytes = bytes(y);
    // Engines differ; these are sizes of the kind that they ask for: transformed weights and tiles, partial
    // sums.
    const std::size_t most = std::size_t(32) << 20;
    workspace(pointwise ? 0 : std::min(most, weight_bytes * 2 + y_bytes / 3));
    return record(x, {}, y, {weight}, [=, this, saved = x.data](const Handle&) -> std::array<Handle, 2> {
      Handle dx;
      if (x.id != 0) {
        dx = recorder_.allocate(dx_bytes);
        workspace(pointwise ? 0 : std::min(most, weight_bytes * 2 + dx_bytes / 3));
      }
      workspace(std::min(most, weight_bytes * (pointwise ? 2 : 4)));
      set_gradient(weight);
      return {dx, nullptr};
    });
  }

  Value relu(const Value& x) {
    Value y = result(x.channels, x.side);
    return record(x, {}, y, {},
                  [this, saved = y.data, size = bytes(x)](const Handle&) -> std::array<Handle, 2> {
                    return {recorder_.allocate(size), nullptr};
                  });
  }

  Value add(const Value& a, const Value& b) {
    return record(a, b, result(a.channels, a.side), {}, [](const Handle& dy) -> std::array<Handle, 2> {
      return {dy, dy};
    });
  }

  /// act(norm(x) + residual) with what is saved for it.
  Value norm(const Value& x, bool activation, const Value& residual = {}) {
    const std::size_t weight = parameter(x.channels), bias = parameter(x.channels);
    for (int running = 0; running < 2; ++running) parameter(x.channels, false);
    const bool fused = options_.fused, with_residual = fused && residual.id != 0;
    Value y = result(x.channels, x.side);
    const Handle mean = recorder_.allocate(std::size_t(x.channels) * 4);
    const Handle inverse_std = recorder_.allocate(std::size_t(x.channels) * 4);
    const Handle saved_y = fused && activation ? y.data : nullptr;
    y = record(x, with_residual ? residual : Value{}, y, {weight, bias},
               [=, this, saved = x.data, size = bytes(x)](const Handle&) -> std::array<Handle, 2> {
                 Handle dx = recorder_.allocate(size);
                 Handle dresidual = with_residual ? recorder_.allocate(size) : nullptr;
                 set_gradient(weight);
                 set_gradient(bias);
                 return {dx, dresidual};
               });
    if (!fused && residual.id != 0) y = add(y, residual);
    return !fused && activation ? relu(y) : y;
  }

  Value pool(const Value& x, std::int64_t side, bool indices) {
    Value y = result(x.channels, side);
    const Handle saved =
        indices ? recorder_.allocate(std::size_t(options_.batch * y.channels * side * side) * 4) : nullptr;
    return record(x, {}, y, {}, [this, saved, size = bytes(x)](const Handle&) -> std::array<Handle, 2> {
      return {recorder_.allocate(size), nullptr};
    });
  }

  Value linear(const Value& x, std::int64_t features) {
    const std::size_t weight = parameter(features * x.channels), bias = parameter(features);
    return record(x, {}, result(features, 1), {weight, bias},
                  [=, this, saved = x.data, size = bytes(x)](const Handle&) -> std::array<Handle, 2> {
                    Handle dx = recorder_.allocate(size);
                    set_gradient(weight);
                    set_gradient(bias);
                    return {dx, nullptr};
                  });
  }

  Value bottleneck(const Value& x, std::int64_t width, std::int64_t stride, bool projected) {
    Value y = norm(conv(x, width, 1, 1), true);
    y = norm(conv(y, width, 3, stride), true);
    y = conv(y, 4 * width, 1, 1);
    return norm(y, true, projected ? norm(conv(x, 4 * width, 1, stride), false) : x);
  }

  int forward() {
    Value x{0, recorder_.allocate(std::size_t(options_.batch * 3 * options_.side * options_.side) * 4), 3,
            options_.side};
    pictures_ = x.data;  // those of the step before go only now
    x = norm(conv(x, 64, 7, 2), true);
    x = pool(x, x.side / 2, true);
    constexpr std::array<int, 4> kBlocks{3, 4, 6, 3};
    for (std::size_t stage = 0; stage < kBlocks.size(); ++stage) {
      for (int block = 0; block < kBlocks[stage]; ++block) {
        x = bottleneck(x, std::int64_t(64) << stage, stage > 0 && block == 0 ? 2 : 1, block == 0);
      }
    }
    x = linear(pool(x, 1, false), 1000);
    // Cross-entropy keeps a number for each row.
    const Handle row = recorder_.allocate(std::size_t(options_.batch) * 4);
    return record(x, {}, Value{++last_id_, nullptr, 1, 1}, {},
                  [this, row, saved = x.data, size = bytes(x)](const Handle&) -> std::array<Handle, 2> {
                    return {recorder_.allocate(size), nullptr};
                  })
        .id;
  }

  void backward(int loss, Handle one) {
    std::map<int, Handle> gradients{{loss, std::move(one)}};
    while (!tape_.empty()) {
      Node node = std::move(tape_.back());
      tape_.pop_back();
      Handle gradient = std::move(gradients.at(node.output));
      gradients.erase(node.output);
      // What they were in the step before is not needed any more.
      for (const std::size_t parameter : node.parameters) parameters_[parameter].gradient = nullptr;
      auto results = node.backward(gradient);
      gradient = nullptr;
      for (std::size_t i = 0; i < results.size(); ++i) {
        // A second gradient of a value is added to the first in place, and goes.
        if (results[i]) gradients.try_emplace(node.inputs[i], std::move(results[i]));
        results[i] = nullptr;
      }
    }
  }

  ResNetMemoryOptions options_;
  Recorder recorder_;
  std::vector<Parameter> parameters_;
  std::vector<Node> tape_;
  Handle pictures_;
  int last_id_ = 0;
  std::size_t next_parameter_ = 0;
  bool counting_ = false;
};

}  // namespace

ResNetMemory resnet50_memory(const ResNetMemoryOptions& options) { return Training(options).run(); }

}  // namespace dlcuda
