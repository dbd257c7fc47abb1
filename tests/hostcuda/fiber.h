// A fiber: a stack and a place to go on from. Switches are announced to AddressSanitizer.
#pragma once

#include <ucontext.h>

#include <cstddef>

namespace dlcuda::hostcuda {

class Fiber {
 public:
  /// Stands for the stack of the thread that enters.
  Fiber() = default;
  /// Runs `body`, which never returns, on a stack of its own when first switched to.
  explicit Fiber(void (*body)());
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Leaves this fiber, which must be the running one, for another. Returns when somebody switches back.
  void switch_to(Fiber& other);
  /// Starts anew with an empty stack, wherever it was left.
  void restart();

 private:
  static void enter();
  static void arrive(Fiber& self);

  ucontext_t context_{};
  void (*body_)() = nullptr;
  void* mapping_ = nullptr;
  const void* stack_ = nullptr;  ///< lowest address; of a thread's own stack as ASan tells it
  std::size_t stack_bytes_ = 0;
  void* fake_stack_ = nullptr;
};

}  // namespace dlcuda::hostcuda
