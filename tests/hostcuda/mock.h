// What the parts of the mock runtime share; not for tests, whose interface is shim.h.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "dlcuda/tests/hostcuda/shim.h"

namespace dlcuda::hostcuda {

/// Fresh memory holds this: NaN in every floating-point format, -1 in integers.
inline constexpr unsigned char kPoison = 0xff;

#if defined(__SANITIZE_ADDRESS__)
inline constexpr std::size_t kGuardBytes = 0;  // ASan's redzones must begin at the very end
#else
inline constexpr std::size_t kGuardBytes = 256;
#endif

enum class MemoryKind { Device, Pinned };

/// A heap block with guards on both sides, filled with poison.
struct Block {
  unsigned char* data = nullptr;
  std::size_t bytes = 0;

  /// A null `data` when there is no memory for it.
  static Block make(std::size_t bytes, std::size_t alignment);
  void release() const;
  bool guards_intact() const;
};

struct Allocation {
  Block block;
  MemoryKind kind;
  int device;
  std::uint64_t number;
};

struct Fault {
  std::uint64_t at = 0;  ///< value of the counter at which it strikes; 0 is never
  cudaError_t error = cudaSuccess;
  bool sticky = false;
};

struct Runtime {
  std::mutex mutex;
  DeviceModel model;
  std::uint64_t seed = 1;
  std::uint64_t calls = 0, allocation_calls = 0, launches = 0, pageable_copies = 0;
  Fault call_fault, allocation_fault;
  cudaError_t sticky = cudaSuccess;
  std::uint64_t allocation_number = 0;
  std::map<std::uintptr_t, Allocation> allocations;  ///< by address
  std::unordered_map<const void*, std::size_t> dynamic_shared_limits;
  DryRun dry_run;
  LaunchObserver* observer = nullptr;

  static Runtime& instance();
  void restore_environment();
};

enum class CallKind { Ordinary, Allocates, Releases };

/// Counts a call; the error that it is to fail with.
cudaError_t count_call(CallKind kind);
/// Keeps an error for cudaGetLastError, and returns it.
cudaError_t set_last_error(cudaError_t error);

/// Every function of the mock runs its body through this: under the lock, counted, with faults injected.
template <typename Body>
cudaError_t api_call(CallKind kind, Body&& body) {
  const std::lock_guard lock(Runtime::instance().mutex);
  const cudaError_t injected = count_call(kind);
  if (injected != cudaSuccess && kind != CallKind::Releases) return set_last_error(injected);
  const cudaError_t result = body();
  return set_last_error(injected != cudaSuccess ? injected : result);
}

int current_device();
/// Throws ApiMisuse for a stream that was never made or is destroyed. Under the lock.
void check_stream(cudaStream_t stream, std::string_view call);
/// Throws KernelError, naming `culprit`, where a guard was overwritten. Under the lock.
void check_guards_after(const std::string& culprit);
/// Does the work now, or keeps it for the graph that is being recorded on the stream; in a dry run only tells
/// of it. Under the lock.
cudaError_t run_or_record(cudaStream_t stream, const Work& described, std::function<cudaError_t()> work);
/// Whether the stream is being recorded. Under the lock.
bool is_recording(cudaStream_t stream);
/// cudaErrorStreamCaptureUnsupported, which also spoils the recording, where this thread records and has not
/// relaxed the rules; for calls that wait or allocate. Under the lock.
cudaError_t refuse_while_recording();
/// Under the lock.
std::vector<DeviceRange> device_ranges();
std::string describe_streams_and_events();
void count_streams_and_events(Counters& counters);

}  // namespace dlcuda::hostcuda
