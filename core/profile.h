// The profiler: which operations ran, when, on what, and how well they used the machine.
//
//   Profile profile;                               // records from here on, every thread
//   for (int step = 0; step < 10; ++step) train_one_step();
//   profile.stop();
//   profile.write_chrome_trace("step.json");       // chrome://tracing, https://ui.perfetto.dev
//   std::puts(profile.table().c_str());
//
// Operations on the CPU are timed by the steady clock. Those on a CUDA device are bracketed by events on
// their stream, which stop() reads, so that nothing waits while it is recorded; they stand on a row of their
// stream, and the call that enqueued them on the row of its thread. While nothing is recorded, an operation
// costs one load and one branch more.
//
// A step that is replayed (core/captured_step.h) is one operation, since nothing calls its parts.
//
// The same ranges are shown to NVIDIA's tools (NVTX) while a profile is recorded, and for the whole process
// where DLCUDA_NVTX=1 is set in its environment.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/core/device.h"

namespace dlcuda DLCUDA_API {

/// What the work of a thread is for. Operations have the phase of the innermost range that sets one; outside
/// of all, Forward.
enum class ProfilePhase : std::uint8_t { Forward, Backward, Update, Data };
/// "forward", ...
const char* to_string(ProfilePhase phase);

namespace profile_detail {
inline constexpr unsigned kRecord = 1, kNvtx = 2, kCountingScope = 4;
/// Which of the first two are wanted; plus kCountingScope for each such scope.
extern std::atomic<unsigned> wanted;
struct Recording;
}  // namespace profile_detail

/// True while a Profile records, NVTX ranges are asked for, or operations are counted.
inline bool profiling() { return profile_detail::wanted.load(std::memory_order_relaxed) != 0; }

/// All calls of one operation in one phase on one kind of device.
struct ProfileTotal {
  std::string name;
  ProfilePhase phase = ProfilePhase::Forward;
  DeviceType device = DeviceType::CPU;
  std::int64_t calls = 0;
  double milliseconds = 0;
  double flops = 0;  ///< multiplications and additions of convolutions and matrix products; 0 for others
  double bytes = 0;  ///< of inputs and outputs, each counted once
};

/// Records from its making until stop(). One at a time in a process.
class Profile {
 public:
  /// Throws Error while another one records.
  Profile();
  /// Stops, without waiting for the device.
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  /// Ends the recording, waits for what was recorded on CUDA devices, and reads its times. The second call
  /// does nothing. Throws DeviceError where a device has failed.
  void stop();

  /// @name What was recorded; each throws Error before stop().
  /// @{
  /// Chrome's trace format, JSON. Times in µs since the beginning. On the rows of threads: ranges (layers,
  /// backward nodes, training steps) and the operations in them, with tensors, dtype, bytes and FLOPs; on the
  /// rows of streams: the operations as the device ran them, and the ranges that they belong to; as counters:
  /// the active bytes of each device's allocator.
  std::string chrome_trace() const;
  /// Throws IoError.
  void write_chrome_trace(const std::filesystem::path& path) const;
  /// Sums, the longest first.
  std::vector<ProfileTotal> totals() const;
  /// The totals for people: operation, calls, total ms, share of all, GFLOP/s, GB/s; and the time in all.
  std::string table() const;
  /// @}

 private:
  const profile_detail::Recording& stopped() const;
  std::shared_ptr<profile_detail::Recording> recording_;
};

/// A stretch of this thread's time under a name, enclosing what happens in it.
class ProfileRange {
 public:
  struct Name {
    std::string name;    ///< "features.0"
    std::string detail;  ///< "Conv2d(3, 64, kernel 3x3)"; may be empty
  };

  /// The name must live forever (a literal).
  explicit ProfileRange(const char* name, std::optional<ProfilePhase> phase = {}) : ProfileRange() {
    if (profiling()) [[unlikely]]
      begin(name, "", phase);
  }
  /// make_name() gives a Name; it is called only while somebody wants to know.
  template <typename MakeName>
  requires requires(const MakeName& make_name) { Name(make_name()); }
  explicit ProfileRange(const MakeName& make_name, std::optional<ProfilePhase> phase = {}) : ProfileRange() {
    if (profiling()) [[unlikely]]
      begin(make_name(), phase);
  }
  ~ProfileRange() {
    if (begun_) [[unlikely]]
      end();
  }
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;

 private:
  ProfileRange() = default;  // what the others begin with: if they throw, the destructor runs
  void begin(const char* name, const char* detail, std::optional<ProfilePhase> phase);
  void begin(const Name& name, std::optional<ProfilePhase> phase);
  void end() noexcept;

  bool begun_ = false;
  ProfilePhase previous_phase_ = ProfilePhase::Forward;
  std::uint32_t index_ = 0;
  std::uint64_t recording_ = 0;
};

/// Names the calling thread's row in profiles that begin to see it from now on.
void name_profile_thread(std::string_view name);

}  // namespace dlcuda
