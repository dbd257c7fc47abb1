// Memory that a kernel on the CPU needs only while it runs.
#pragma once

#include <cstddef>

namespace dlcuda::kernels::cpu {

/// Each thread keeps its scratch memory and lends it again, so that in the steady state kernels allocate
/// nothing. What is made last must go first, as objects in nested scopes do.
class Scratch {
 public:
  /// Aligned to 256 bytes. Throws OutOfMemoryError.
  explicit Scratch(std::size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;
};

}  // namespace dlcuda::kernels::cpu
