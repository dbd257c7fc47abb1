// Runs the threads of a block on fibers: who runs next, barriers, warp operations, and what is said when a
// block cannot proceed.
#include "hostcuda/execution.h"

#include <cuda_runtime.h>

#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/launch.cuh"
#include "dlcuda/tests/hostcuda/fiber.h"
#include "dlcuda/tests/hostcuda/mock.h"
#include "dlcuda/tests/hostcuda/static_shared.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

uint3 threadIdx{};
uint3 blockIdx{};
dim3 blockDim;
dim3 gridDim;

namespace dlcuda::hostcuda {

bool static_shared_touched = true;

namespace {

constexpr unsigned kWarp = 32;

enum class Status { Runnable, AtBarrier, InWarpOperation, Exited };

struct WarpRequest {
  WarpOperation operation;
  unsigned mask;
  std::uint64_t value;
  unsigned argument;
  int width;

  bool matches(const WarpRequest& other) const {
    return operation == other.operation && mask == other.mask && width == other.width;
  }
};

struct Thread {
  uint3 index{};
  Fiber* fiber = nullptr;  ///< null until it has to wait for the first time
  Status status = Status::Runnable;
  int barriers = 0;
  Where where;  ///< of the barrier or warp operation it waits at
  WarpRequest request{};
  std::uint64_t result = 0;
};

struct Barrier {
  unsigned arrived = 0;
  unsigned first = 0;
  unsigned predicates = 0;
  BlockOperation operation = BlockOperation::Sync;
  Where where;
};

/// splitmix64: small, and good enough to shuffle.
class Shuffle {
 public:
  explicit Shuffle(std::uint64_t seed) : state_(seed) {}
  std::size_t below(std::size_t n) {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return std::size_t(((z >> 32) * n) >> 32);
  }

 private:
  std::uint64_t state_;
};

bool same_place(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

std::string describe(const Where& where) {
  const char* slash = std::strrchr(where.file_name(), '/');
  return fmt::format("{}:{}", slash == nullptr ? where.file_name() : slash + 1, where.line());
}

template <typename Index>
std::string describe_index(const Index& index) {
  return fmt::format("({}, {}, {})", index.x, index.y, index.z);
}

const char* name_of(BlockOperation operation) {
  switch (operation) {
    case BlockOperation::Sync:
      return "__syncthreads";
    case BlockOperation::Count:
      return "__syncthreads_count";
    case BlockOperation::And:
      return "__syncthreads_and";
    case BlockOperation::Or:
      return "__syncthreads_or";
  }
  return "?";
}

const char* name_of(WarpOperation operation) {
  switch (operation) {
    case WarpOperation::Sync:
      return "__syncwarp";
    case WarpOperation::Shuffle:
      return "__shfl_sync";
    case WarpOperation::ShuffleUp:
      return "__shfl_up_sync";
    case WarpOperation::ShuffleDown:
      return "__shfl_down_sync";
    case WarpOperation::ShuffleXor:
      return "__shfl_xor_sync";
    case WarpOperation::Ballot:
      return "__ballot_sync";
    case WarpOperation::Any:
      return "__any_sync";
    case WarpOperation::All:
      return "__all_sync";
  }
  return "?";
}

/// One launch after another on this machinery; the fibers are kept.
class Execution {
 public:
  static Execution& instance() {
    static Execution& execution = *new Execution;
    return execution;
  }

  void run_grid(const std::string& kernel, const cudaLaunchConfig_t& config,
                const std::function<void()>& thread, std::uint64_t seed, std::uint64_t launch);
  int barrier(BlockOperation operation, bool predicate, Where where);
  std::uint64_t warp(const WarpRequest& request, Where where);
  unsigned lane() const { return current_ % kWarp; }
  void* dynamic_shared() const { return dynamic_shared_.data; }
  std::string place() const;
  bool running() const { return fiber_ != nullptr; }

 private:
  static void fiber_main() { instance().run_threads(); }
  void run_block();
  void run_threads();
  bool leave_exited_thread();
  void wait();
  unsigned take_runnable();
  void make_current(unsigned thread);
  Fiber* idle_fiber();
  void switch_to(Fiber* fiber);
  std::uint64_t warp_result(unsigned lane, unsigned first, unsigned participants, const WarpRequest& request);
  void record_failure(const std::string& what);
  [[noreturn]] void abandon();
  std::string describe_stall() const;

  std::string kernel_;
  const std::function<void()>* body_ = nullptr;
  std::uint64_t seed_ = 0, launch_ = 0;
  Shuffle shuffle_{0};
  Block dynamic_shared_;
  const std::vector<std::span<unsigned char>> static_shared_ = find_static_shared();

  std::vector<Thread> threads_;
  std::vector<unsigned> runnable_;
  unsigned current_ = 0;
  unsigned exited_ = 0;
  Barrier barrier_;
  std::exception_ptr failure_;

  Fiber caller_;
  Fiber* fiber_ = nullptr;  ///< the running one
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
};

std::string Execution::place() const {
  return fmt::format("kernel '{}', block {}, thread {}, seed {}, launch {}", kernel_,
                     describe_index(blockIdx), describe_index(threadIdx), seed_, launch_);
}

void Execution::run_grid(const std::string& kernel, const cudaLaunchConfig_t& config,
                         const std::function<void()>& thread, std::uint64_t seed, std::uint64_t launch) {
  kernel_ = kernel;
  body_ = &thread;
  seed_ = seed;
  launch_ = launch;
  shuffle_ = Shuffle(seed * 0x2545f4914f6cdd1du + launch);
  gridDim = config.gridDim;
  blockDim = config.blockDim;
  threads_.resize(std::size_t(blockDim.x) * blockDim.y * blockDim.z);
  for (std::size_t t = 0; t < threads_.size(); ++t) {
    threads_[t].index = {unsigned(t % blockDim.x), unsigned(t / blockDim.x % blockDim.y),
                         unsigned(t / blockDim.x / blockDim.y)};
  }
  dynamic_shared_ = Block::make(config.dynamicSmemBytes, 16);
  LaunchObserver* const observer = Runtime::instance().observer;
  if (observer != nullptr) observer->launch_begins(kernel, device_ranges());
  const std::unique_ptr<Block, void (*)(Block*)> release(&dynamic_shared_,
                                                         [](Block* block) { block->release(); });

  std::vector<std::uint64_t> blocks(std::uint64_t(gridDim.x) * gridDim.y * gridDim.z);
  std::iota(blocks.begin(), blocks.end(), 0);
  for (; !blocks.empty(); blocks.pop_back()) {
    std::swap(blocks[shuffle_.below(blocks.size())], blocks.back());
    const std::uint64_t b = blocks.back();
    blockIdx = {unsigned(b % gridDim.x), unsigned(b / gridDim.x % gridDim.y),
                unsigned(b / gridDim.x / gridDim.y)};
    run_block();
    if (observer != nullptr) observer->block_ends();
    DLCUDA_CHECK(dynamic_shared_.guards_intact(), hostcuda::KernelError,
                 "kernel '{}', block {}: wrote beside its {} bytes of dynamic shared memory", kernel_,
                 describe_index(blockIdx), dynamic_shared_.bytes);
  }
  if (observer != nullptr) observer->launch_ends();
}

void Execution::run_block() {
  if (static_shared_touched) poison_static_shared(static_shared_);
  static_shared_touched = false;
  if (dynamic_shared_.bytes > 0) std::memset(dynamic_shared_.data, kPoison, dynamic_shared_.bytes);
  barrier_.arrived = 0;
  exited_ = 0;
  failure_ = nullptr;
  runnable_.resize(threads_.size());
  std::iota(runnable_.begin(), runnable_.end(), 0u);
  for (auto& thread : threads_) {
    thread.fiber = nullptr;
    thread.status = Status::Runnable;
    thread.barriers = 0;
  }
  make_current(take_runnable());
  Fiber* first = idle_fiber();
  threads_[current_].fiber = first;
  fiber_ = first;
  caller_.switch_to(*first);
  fiber_ = nullptr;
  if (failure_ == nullptr) return;
  idle_.clear();
  for (const auto& fiber : fibers_) {
    fiber->restart();
    idle_.push_back(fiber.get());
  }
  std::rethrow_exception(std::exchange(failure_, nullptr));
}

/// A fiber's life: run a thread to its end, then the next one that has not begun yet, and so on.
void Execution::run_threads() {
  for (;;) {
    try {
      (*body_)();
    } catch (...) {
      failure_ = std::current_exception();
    }
    if (failure_ != nullptr) abandon();
    threads_[current_].status = Status::Exited;
    ++exited_;
    if (!leave_exited_thread()) {
      record_failure(describe_stall());
      abandon();
    }
  }
}

/// Goes on with another thread; returns when this fiber has a new one to begin, or false when the block is
/// stuck.
bool Execution::leave_exited_thread() {
  if (exited_ == threads_.size()) {
    Fiber* self = fiber_;
    idle_.push_back(self);
    self->switch_to(caller_);
    return true;
  }
  if (runnable_.empty()) return false;
  make_current(take_runnable());
  Thread& next = threads_[current_];
  if (next.fiber == nullptr) {
    next.fiber = fiber_;
  } else {
    idle_.push_back(fiber_);
    switch_to(next.fiber);
  }
  return true;
}

/// Lets others run until the current thread is picked again.
void Execution::wait() {
  const unsigned self = current_;
  if (runnable_.empty()) {
    record_failure(describe_stall());
    abandon();
  }
  const unsigned next = take_runnable();
  if (next == self) return;
  make_current(next);
  if (threads_[next].fiber == nullptr) threads_[next].fiber = idle_fiber();
  switch_to(threads_[next].fiber);
}

unsigned Execution::take_runnable() {
  std::swap(runnable_[shuffle_.below(runnable_.size())], runnable_.back());
  const unsigned thread = runnable_.back();
  runnable_.pop_back();
  return thread;
}

void Execution::make_current(unsigned thread) {
  current_ = thread;
  threadIdx = threads_[thread].index;
}

Fiber* Execution::idle_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(&Execution::fiber_main));
    return fibers_.back().get();
  }
  Fiber* fiber = idle_.back();
  idle_.pop_back();
  return fiber;
}

void Execution::switch_to(Fiber* fiber) { std::exchange(fiber_, fiber)->switch_to(*fiber); }

void Execution::record_failure(const std::string& what) {
  failure_ = std::make_exception_ptr(KernelError(fmt::format("{}: {}", place(), what)));
}

/// Back to the launch, which throws failure_. The stacks of all threads are given up as they are.
void Execution::abandon() {
  fiber_->switch_to(caller_);
  __builtin_unreachable();
}

int Execution::barrier(BlockOperation operation, bool predicate, Where where) {
  Thread& self = threads_[current_];
  ++self.barriers;
  if (barrier_.arrived == 0) {
    barrier_ = {0, current_, 0, operation, where};
  } else if (operation != barrier_.operation || !same_place(where, barrier_.where)) {
    record_failure(fmt::format("divergent barrier {}: this thread came to {} at {}, thread {} to {} at {}",
                               self.barriers, name_of(operation), describe(where),
                               describe_index(threads_[barrier_.first].index), name_of(barrier_.operation),
                               describe(barrier_.where)));
    abandon();
  }
  self.status = Status::AtBarrier;
  self.where = where;
  barrier_.predicates += predicate ? 1 : 0;
  if (++barrier_.arrived == threads_.size()) {
    const unsigned count = barrier_.predicates;
    const bool all = count == threads_.size(), any = count > 0;
    const int result = operation == BlockOperation::Count ? int(count)
                       : operation == BlockOperation::And ? all
                                                          : any;
    for (unsigned t = 0; t < threads_.size(); ++t) {
      threads_[t].status = Status::Runnable;
      threads_[t].result = std::uint64_t(result);
      runnable_.push_back(t);
    }
    barrier_.arrived = 0;
  }
  wait();
  return int(self.result);
}

std::uint64_t Execution::warp(const WarpRequest& request, Where where) {
  Thread& self = threads_[current_];
  const unsigned first = current_ - lane();
  const unsigned lanes = std::min<unsigned>(kWarp, unsigned(threads_.size()) - first);
  const unsigned existing = lanes == kWarp ? ~0u : (1u << lanes) - 1;
  const unsigned participants =
      request.mask & existing;  // lanes beyond the block count as exited, as in CUDA
  if ((request.mask >> lane() & 1u) == 0) {
    record_failure(fmt::format("{} at {}: lane {} is not in its own mask {:#010x}",
                               name_of(request.operation), describe(where), lane(), request.mask));
    abandon();
  }
  if (request.width < 1 || request.width > int(kWarp) || (request.width & (request.width - 1)) != 0) {
    record_failure(fmt::format("{} at {}: width {} is not a power of two up to 32",
                               name_of(request.operation), describe(where), request.width));
    abandon();
  }
  self.status = Status::InWarpOperation;
  self.where = where;
  self.request = request;
  bool complete = true;
  for (unsigned l = 0; l < lanes && complete; ++l) {
    const Thread& other = threads_[first + l];
    if ((participants >> l & 1u) == 0) continue;
    complete = other.status == Status::InWarpOperation && other.request.matches(request) &&
               same_place(other.where, where);
  }
  if (complete) {
    for (unsigned l = 0; l < lanes; ++l) {
      if ((participants >> l & 1u) == 0) continue;
      threads_[first + l].result = warp_result(l, first, participants, threads_[first + l].request);
      runnable_.push_back(first + l);
    }
    for (unsigned l = 0; l < lanes; ++l) {
      if ((participants >> l & 1u) != 0) threads_[first + l].status = Status::Runnable;
    }
  }
  wait();
  return self.result;
}

/// What one lane gets, with all participants' requests at hand.
std::uint64_t Execution::warp_result(unsigned lane, unsigned first, unsigned participants,
                                     const WarpRequest& request) {
  const unsigned width = unsigned(request.width), segment = lane & ~(width - 1);
  unsigned source = lane;
  switch (request.operation) {
    case WarpOperation::Sync:
      return 0;
    case WarpOperation::Ballot:
    case WarpOperation::Any:
    case WarpOperation::All: {
      unsigned votes = 0;
      for (unsigned l = 0; l < kWarp; ++l) {
        if ((participants >> l & 1u) != 0 && threads_[first + l].request.value != 0) votes |= 1u << l;
      }
      if (request.operation == WarpOperation::Ballot) return votes;
      return request.operation == WarpOperation::Any ? votes != 0 : votes == participants;
    }
    case WarpOperation::Shuffle:
      source = segment + (request.argument & (width - 1));
      break;
    case WarpOperation::ShuffleUp:
      if (request.argument <= lane - segment) source = lane - request.argument;
      break;
    case WarpOperation::ShuffleDown:
      if (request.argument < width - (lane - segment)) source = lane + request.argument;
      break;
    case WarpOperation::ShuffleXor:
      if ((lane ^ request.argument) < segment + width) source = lane ^ request.argument;
      break;
  }
  if ((participants >> source & 1u) == 0) {
    make_current(first + lane);
    record_failure(fmt::format("{} at {}: lane {} reads from lane {}, which {}", name_of(request.operation),
                               describe(threads_[first + lane].where), lane, source,
                               (request.mask >> source & 1u) == 0
                                   ? fmt::format("is not in the mask {:#010x}", request.mask)
                                   : std::string("lies beyond the end of the block")));
    abandon();
  }
  return threads_[first + source].request.value;
}

std::string Execution::describe_stall() const {
  std::map<std::string, std::pair<unsigned, uint3>> groups;  // what they do: how many, and the first of them
  for (const auto& thread : threads_) {
    std::string what;
    if (thread.status == Status::Exited) {
      what = fmt::format("exited after {} barrier(s)", thread.barriers);
    } else if (thread.status == Status::AtBarrier) {
      what = fmt::format("at barrier {} ({} at {})", thread.barriers, name_of(barrier_.operation),
                         describe(thread.where));
    } else {
      what = fmt::format("in {} at {} with mask {:#010x}", name_of(thread.request.operation),
                         describe(thread.where), thread.request.mask);
    }
    ++groups.try_emplace(what, 0u, thread.index).first->second.first;
  }
  std::string text = "the block cannot proceed:";
  for (const auto& [what, group] : groups) {
    text += fmt::format(" {} thread(s) {}, the first {};", group.first, what, describe_index(group.second));
  }
  return text + " every thread must come to each barrier, every lane of a mask to the same warp operation";
}

#if defined(__SANITIZE_ADDRESS__)
// A sanitizer's report has the line in the kernel, but not the block and thread.
[[maybe_unused]] const bool death_note = [] {
  __sanitizer_set_death_callback([] {
    auto& execution = Execution::instance();
    if (execution.running()) std::fprintf(stderr, "host shim: in %s\n", execution.place().c_str());
  });
  return true;
}();
#endif

}  // namespace

int block_barrier(BlockOperation operation, bool predicate, Where where) {
  return Execution::instance().barrier(operation, predicate, where);
}

std::uint64_t warp_operation(WarpOperation operation, unsigned mask, std::uint64_t value, unsigned argument,
                             int width, Where where) {
  return Execution::instance().warp({operation, mask, value, argument, width}, where);
}

unsigned lane_bit() { return 1u << Execution::instance().lane(); }

void* dynamic_shared_memory() { return Execution::instance().dynamic_shared(); }

cudaError_t launch_kernel(const cudaLaunchConfig_t& config, const void* kernel,
                          std::function<void()> thread) {
  return api_call(CallKind::Ordinary, [&] {
    auto& runtime = Runtime::instance();
    check_stream(config.stream, "cudaLaunchKernelEx");
    const auto [gx, gy, gz] = config.gridDim;
    const auto [bx, by, bz] = config.blockDim;
    const bool grid_fits = gx - 1 < 0x7fffffffu && gy - 1 < 65535u && gz - 1 < 65535u;
    const bool block_fits = bx - 1 < 1024u && by - 1 < 1024u && bz - 1 < 64u && bx * by * bz <= 1024u;
    if (!grid_fits || !block_fits) return cudaErrorInvalidConfiguration;
    const auto limit = runtime.dynamic_shared_limits.find(kernel);
    const std::size_t shared_limit = limit == runtime.dynamic_shared_limits.end() ? 48u << 10 : limit->second;
    if (config.dynamicSmemBytes > shared_limit) return cudaErrorInvalidValue;

    const std::string name = cuda::last_launch();
    return run_or_record(
        config.stream, {Work::Kind::Kernel, name}, [config, thread = std::move(thread), name, &runtime] {
          Execution::instance().run_grid(name, config, thread, runtime.seed, ++runtime.launches);
          check_guards_after(fmt::format("after kernel '{}'", name));
          return cudaSuccess;
        });
  });
}

}  // namespace dlcuda::hostcuda
