// The host shim: the project's own CUDA code, run and checked without a GPU.
//
// What is built. The very .cu files of the library are compiled by the host compiler as C++ against
// include/cuda_runtime.h and linked with a mock of the CUDA runtime: dlcuda_hostcuda. It is a whole libdlcuda
// whose one CUDA device is called "host shim (CUDA kernels executed on the CPU)"; every test, and every
// training program as <name>_hostcuda, is linked with it a second time. The host half of the library is the
// same object files as ever. Sources that call cuDNN or cuBLASLt are replaced by naive loops (CMakeLists.txt
// lists them).
//
// How a kernel runs. Launches are serialised and finished when they return. The blocks of a grid run one
// after another in shuffled order. Each block's threads run in shuffled order, one at a time, each on a
// pooled ucontext fiber, from one barrier or warp operation to the next; a thread that never waits costs no
// switch. Nothing about the order is promised but CUDA's own rules, so a missing __syncthreads or __syncwarp
// shows as a result that depends on the seed (set_seed, DLCUDA_SHIM_SEED). A kernel that spins until another
// thread writes a flag never ends here.
//
// What is caught, as a KernelError that the launch throws and that names kernel, block, thread and seed:
//   - a block that cannot proceed: threads exited or waiting elsewhere while others wait at a barrier;
//   - threads of one block at different __syncthreads, or at different kinds of it;
//   - warp operations: a lane outside its own mask; lanes of a mask that never come, or come to another
//     operation or with another mask; reading from a lane that takes no part;
//   - writes beside an allocation or beside the dynamic shared memory (guard bytes).
// Under ASan its redzones take the guards' place: they see reads, and static shared memory, too.
// Fresh device memory, pinned memory and all shared memory before each block hold 0xFF bytes (NaN, -1): what
// is read before it was written, or never written, shows. Misaligned vector loads are UBSan's.
//
// The mock runtime. Each cudaMalloc is a heap block of exactly that size, aligned to 256. Copies are checked
// against the live allocations; unknown or twice freed pointers, streams and events throw ApiMisuse. Faults
// are injected and leaks counted by the functions below. What it cannot show: races between streams, since
// all work is synchronous; races between blocks, beyond what their order changes; anything about speed.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace dlcuda::hostcuda {

/// A kernel that breaks CUDA's rules. Not a dlcuda::Error: no code of the library may handle it.
class KernelError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// A call that no correct program makes: freeing what is not allocated, copying past an allocation.
class ApiMisuse : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// The order of blocks and threads in the launches to come; the same seed gives the same order again.
/// DLCUDA_SHIM_SEED sets the first one (default 1).
void set_seed(std::uint64_t seed);

/// What the mock pretends to be; cleared by reset().
struct DeviceModel {
  int count = 1;                               ///< DLCUDA_SHIM_DEVICES
  std::size_t memory = std::size_t(16) << 30;  ///< bytes of each device: DLCUDA_SHIM_MEMORY
  int driver_version = CUDART_VERSION;         ///< 0: no driver; lower than CUDART_VERSION: too old
};
void set_device_model(const DeviceModel& model);

/// Lets the n-th call from now (1 is the next) return `error`: of all runtime calls, or of all allocations
/// (device and pinned). A sticky error is returned by every later call too, as after a fault on a real
/// device; 0 disarms. DLCUDA_SHIM_FAIL_CALL and DLCUDA_SHIM_FAIL_ALLOC count from the start of the program.
/// Calls that release something still release it. Asking for the last error is not a call.
void fail_call(std::uint64_t n, cudaError_t error = cudaErrorUnknown, bool sticky = false);
void fail_allocation(std::uint64_t n, cudaError_t error = cudaErrorMemoryAllocation);

struct Counters {
  std::uint64_t calls = 0, allocations = 0, launches = 0;
  std::size_t device_allocations = 0, pinned_allocations = 0, streams = 0, events = 0,
              graphs = 0;        ///< alive now
  std::size_t device_bytes = 0;  ///< alive now
  /// Copies between a device and host memory that is not page-locked.
  std::uint64_t pageable_copies = 0;
};
Counters counters();

/// What is alive, a line each: "device memory #12: 400 bytes". Empty when nothing is.
std::string describe_live();

/// Throws KernelError when the bytes beside a live allocation were overwritten. Done after every launch, too;
/// under ASan there are none to look at, since its redzones do the work.
void check_guards();

/// The names of all NVTX ranges since the last call, and how many of this thread's are open now.
std::vector<std::string> take_nvtx_names();
int open_nvtx_ranges();

/// Something that a device is asked to do.
struct Work {
  enum class Kind { Kernel, Copy, Fill, Library };
  Kind kind;
  std::string name;      ///< of the launch, the runtime's function, or the operation that a library computes
  std::string detail{};  ///< of a convolution by cuDNN: shapes and parameters, as JSON
};
using DryRun = std::function<void(const Work&)>;

/// From now on work is told of, not done, whatever addresses it has; an empty function ends that. What it
/// would have written stays as it is. For programs that count what a step consists of.
void set_dry_run(DryRun dry_run);

/// A live allocation of the device.
struct DeviceRange {
  std::uintptr_t begin, end;
};

/// Told of what runs; for programs that count what kernels do. Between launch_begins() and launch_ends()
/// there is nothing but the kernel's threads, block after block; threadIdx and blockIdx say which one is
/// running.
class LaunchObserver {
 public:
  virtual ~LaunchObserver() = default;
  virtual void launch_begins(const std::string& kernel, const std::vector<DeviceRange>& memory) = 0;
  virtual void block_ends() = 0;
  virtual void launch_ends() = 0;
};
/// Null: nobody is told. It must outlive the launches.
void set_launch_observer(LaunchObserver* observer);

/// Disarms faults, ends a dry run and observation, forgets sticky errors, and restores the device model and
/// seed of the environment.
void reset();

}  // namespace dlcuda::hostcuda
