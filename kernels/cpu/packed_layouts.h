// The copies of a weight that oneDNN's primitives read, by layout.
#pragma once

#include <mutex>
#include <vector>

#include "dlcuda/kernels/conv2d_fused.h"
#include "dlcuda/kernels/cpu/onednn.h"

namespace dlcuda::kernels {

class PackedWeight::Layouts {
 public:
  /// Says whose copies are asked for from now on.
  void bind(const Tensor& weight);
  /// The weight, described as `plain`, in the layout `wanted`.
  dnnl::memory get(const char* op, const dnnl::memory& plain, const dnnl::memory::desc& wanted);

 private:
  struct Layout {
    dnnl::memory::desc desc;
    Tensor bytes;
  };
  std::mutex mutex_;
  Tensor weight_;
  std::uint64_t version_ = 0;  // of the weight, when the layouts were made
  std::vector<Layout> layouts_;
};

}  // namespace dlcuda::kernels
