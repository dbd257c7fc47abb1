#include "dlcuda/tests/hostcuda/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace dlcuda::hostcuda {
namespace {

// Instrumented frames are large; untouched pages cost nothing.
constexpr std::size_t kStackBytes = std::size_t(256) << 10;

// Launches are serialised, so there is one switch at a time.
Fiber* leaving = nullptr;
Fiber* entering = nullptr;

}  // namespace

Fiber::Fiber(void (*body)()) : body_(body) {
  const auto page = std::size_t(sysconf(_SC_PAGESIZE));
  mapping_ = mmap(nullptr, kStackBytes + page, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapping_ == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "host shim: a fiber's stack");
  mprotect(mapping_, page, PROT_NONE);  // overflow faults instead of running into the neighbour
  stack_ = static_cast<char*>(mapping_) + page;
  stack_bytes_ = kStackBytes;
  restart();
}

Fiber::~Fiber() {
  if (mapping_ != nullptr) munmap(mapping_, kStackBytes + std::size_t(sysconf(_SC_PAGESIZE)));
}

void Fiber::restart() {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack_, stack_bytes_);
#endif
  fake_stack_ = nullptr;
  getcontext(&context_);
  context_.uc_stack.ss_sp = const_cast<void*>(stack_);
  context_.uc_stack.ss_size = stack_bytes_;
  context_.uc_link = nullptr;
  makecontext(&context_, &Fiber::enter, 0);
  // ASan's swapcontext wipes the shadow of the stack it finds here, at every switch: slow, and blind to
  // overruns of suspended frames. The announcements below and the wiping above make it needless.
  context_.uc_stack.ss_size = 0;
}

void Fiber::enter() {
  arrive(*entering);
  entering->body_();
}

void Fiber::switch_to(Fiber& other) {
  leaving = this;
  entering = &other;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack_, other.stack_, other.stack_bytes_);
#endif
  swapcontext(&context_, &other.context_);
  arrive(*this);
}

void Fiber::arrive([[maybe_unused]] Fiber& self) {
#if defined(__SANITIZE_ADDRESS__)
  const void* left = nullptr;
  std::size_t left_bytes = 0;
  __sanitizer_finish_switch_fiber(self.fake_stack_, &left, &left_bytes);
  if (leaving->body_ == nullptr) {
    leaving->stack_ = left;
    leaving->stack_bytes_ = left_bytes;
  }
#endif
}

}  // namespace dlcuda::hostcuda
