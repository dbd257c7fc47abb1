// What a thread does with device work instead of just running it: record it, so that it can run again without
// the host code that queued it, or leave it out, to learn what it would allocate. Internal; CapturedStep and
// plan_memory() are what programs use.
//
// A recording on CUDA is the driver's: work on the capturing stream goes into a graph. On the CPU it is the
// list of calls of backend functions, which run as they are recorded; kernels/dispatch.h is where they all
// pass.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "dlcuda/core/device.h"
#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/memory/pool.h"

namespace dlcuda::profile_detail {
struct OpInfo;
}

namespace dlcuda::capture {

/// Why a step cannot be recorded.
class Refused : public Error {
 public:
  using Error::Error;
};

struct Recording {
  explicit Recording(Device of) : device(of) {}
  /// False when the object was touched before.
  bool touch(const void* object) { return touched.insert(object).second; }

  Device device;
  std::vector<std::function<void()>> calls;  ///< on the CPU
  /// Host state that the step changed, to be put back, the last first, where the recording came to nothing.
  std::vector<std::function<void()>> undo;
  /// Host state that the step changes, to be changed again at each replay.
  std::vector<std::function<void()>> after_replay;
  /// Whether host state is still what the recording relies on. Where one says no, it is made anew.
  std::vector<std::function<bool()>> guards;
  /// Host objects that the step has changed; what they were before is what guards ask about.
  std::unordered_set<const void*> touched;
  std::string refusal;  ///< on the CPU: why it cannot be used; empty when it can
};

/// Device work is left out; memory is asked of allocators that have none behind them.
struct Planning {
  Device device;
  CachingAllocator& device_memory;
  CachingAllocator& host_memory;
  /// What would be made once and kept by the process, on a device that need not exist: by name.
  std::map<std::string, std::shared_ptr<void>> objects{};
  /// Told of each operation, while a profile_detail::CountingScope lives.
  std::function<void(const profile_detail::OpInfo& operation)> on_operation{};
  /// CUDA work is queued all the same, on addresses that nothing is behind: for a runtime that counts what it
  /// is asked for and runs none of it.
  bool queues_cuda_work = false;

  CachingAllocator& memory_of(Device of) { return of == device ? device_memory : host_memory; }
};

/// What this thread is recording; nullptr when it is not.
Recording* recording() noexcept;
/// What this thread is planning; nullptr when it is not.
Planning* planning() noexcept;
/// Whether work for CUDA devices is to be queued: always, but for most plans.
bool queues_cuda_work() noexcept;

class RecordingScope {
 public:
  explicit RecordingScope(Recording& recording) noexcept;
  ~RecordingScope();
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;
};

class PlanningScope {
 public:
  explicit PlanningScope(Planning& planning) noexcept;
  ~PlanningScope();
  PlanningScope(const PlanningScope&) = delete;
  PlanningScope& operator=(const PlanningScope&) = delete;
};

/// While a recorded call runs: what it calls in turn belongs to it, and so does what it allocates. None of
/// that comes from the recording's pool, where it would lie on memory that the step has used earlier: what a
/// call keeps, such as scratch memory, it uses again at the next replay, also before that place in the step.
class Pause {
 public:
  Pause() noexcept;
  ~Pause();
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

 private:
  Recording* recording_;
  MemoryPoolScope no_pool_;
};

/// Says that what this thread is about to do cannot be replayed: "Tensor::item waits for the device". Nothing
/// where it does not record. Throws Refused on CUDA; on the CPU the step goes on, since it is running.
void refuse(const char* why);

template <typename T>
inline constexpr bool is_span = false;
template <typename T>
inline constexpr bool is_span<std::span<const T>> = true;

/// An argument as a recording keeps it: by value, and a span as what it points to.
template <typename Parameter, typename Argument>
auto keep(const Argument& argument) {
  using Value = std::remove_cvref_t<Parameter>;
  if constexpr (is_span<Value>) {
    const Value all = argument;
    return std::vector(all.begin(), all.end());
  } else {
    return Value(argument);
  }
}

/// function(arguments...) on the CPU, now and at each replay. Tensors are kept as views: whoever replays sees
/// to it that their memory stays.
template <typename... Parameters, typename... Arguments>
void call(void (*function)(Parameters...), Arguments&&... arguments) {
  if (Recording* const current = recording()) {
    current->calls.push_back([function, ... kept = keep<Parameters>(arguments)] { function(kept...); });
    const Pause pause;
    function(std::forward<Arguments>(arguments)...);
  } else if (planning() == nullptr) {
    function(std::forward<Arguments>(arguments)...);
  }
}

}  // namespace dlcuda::capture
