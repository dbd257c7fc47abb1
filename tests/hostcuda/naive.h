// Strided tensors of the mock device as plain memory, for the naive stand-ins of cuDNN and cuBLASLt.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dlcuda/core/tensor_view.h"

namespace dlcuda::hostcuda {

/// Sums in f64 for every element of a dense tensor, by its place in memory; store() rounds them once.
class Sums {
 public:
  explicit Sums(const TensorView& view) : view_(view), sums_(static_cast<std::size_t>(view.numel()), 0.0) {}
  double& operator[](std::int64_t place) { return sums_[static_cast<std::size_t>(place)]; }

  template <typename T>
  void store() const {
    for (std::size_t i = 0; i < sums_.size(); ++i) view_.as<T>()[i] = T(static_cast<float>(sums_[i]));
  }

 private:
  TensorView view_;
  std::vector<double> sums_;
};

/// Does what a library call would queue on this thread's current stream: now, or where the stream is being
/// recorded, at each replay. The work keeps its arguments by value. detail: for who counts it (Work).
void on_current_stream(const char* operation, std::function<void()> work, std::string detail = {});

/// An element as f64. T is float, Half or BFloat16.
template <typename T>
double load(const TensorView& view, std::int64_t place) {
  return static_cast<double>(static_cast<float>(view.as<const T>()[place]));
}

}  // namespace dlcuda::hostcuda
