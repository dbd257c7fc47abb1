// What a profile consists of, and how operations get into it. Internal; core/profile.h is the interface.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dlcuda/core/profile.h"
#include "dlcuda/core/stream.h"
#include "dlcuda/core/tensor_view.h"

namespace dlcuda::profile_detail {

using Clock = std::chrono::steady_clock;

/// Nanoseconds since the recording began.
struct Span {
  std::int64_t begin = 0, end = 0;
};

/// A tensor that an operation was called with.
struct Argument {
  int position = 0;  ///< among all arguments
  TensorView view;   ///< its pointer is not used
};

/// What an operation says of itself. The pointers live forever.
struct OpInfo {
  const char* name;
  const char* arguments;  ///< the text of its arguments: "x.raw(), optional_view(bias), y.raw(), params"
  Device device;
  double flops = 0;
  double bytes = 0;
};

constexpr std::int64_t kOpen = -1;
constexpr std::uint32_t kNone = ~std::uint32_t{0};

/// A range or an operation.
struct Record {
  const char* name = "";
  const char* detail = "";  ///< of a range; the text of an operation's arguments
  bool is_op = false;
  ProfilePhase phase = ProfilePhase::Forward;
  std::uint32_t parent = kNone;  ///< the innermost range or operation around it
  Span host = {};
  // Of operations:
  Device device{};
  double flops = 0, bytes = 0;
  std::uint32_t first_argument = 0, argument_count = 0;
  // On a CUDA device:
  Stream stream{};
  std::optional<Event> device_begin{}, device_end{};
  std::optional<Span> on_device{};  ///< once it was read
};

struct MemorySample {
  std::int64_t time;
  Device device;
  std::size_t active;
};

/// What one thread has recorded, in the order of beginning. The mutex is for whoever reads it while the
/// thread goes on.
struct ThreadLog {
  ThreadLog(std::string thread, Clock::time_point beginning) : name(std::move(thread)), origin(beginning) {}

  std::int64_t now() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - origin).count();
  }

  std::mutex mutex;
  std::string name;
  Clock::time_point origin;
  bool closed = false;
  std::vector<Record> records;
  std::vector<Argument> arguments;
  std::vector<MemorySample> memory;
  std::uint32_t innermost = kNone;
};

struct Recording {
  std::uint64_t number = 0;
  Clock::time_point origin = Clock::now();
  Span whole;
  bool stopped = false;
  std::mutex mutex;
  std::vector<std::shared_ptr<ThreadLog>> logs;

  std::int64_t now() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - origin).count();
  }
};

/// A copy of a text that lives forever, the same for equal texts.
const char* keep_text(std::string_view text);

/// While it lives, operations of threads that plan are told to capture::Planning::on_operation.
class CountingScope {
 public:
  CountingScope() noexcept { wanted.fetch_add(kCountingScope); }
  ~CountingScope() { wanted.fetch_sub(kCountingScope); }
  CountingScope(const CountingScope&) = delete;
  CountingScope& operator=(const CountingScope&) = delete;
};

/// A running operation; begun only where profiling() is true.
class ProfileOp {
 public:
  ProfileOp() = default;
  ~ProfileOp() {
    if (begun_) [[unlikely]]
      end();
  }
  ProfileOp(const ProfileOp&) = delete;
  ProfileOp& operator=(const ProfileOp&) = delete;

  void begin(const OpInfo& info, std::span<const Argument> arguments);

 private:
  void end() noexcept;

  bool begun_ = false;
  std::uint32_t index_ = 0;
  std::uint64_t recording_ = 0;
};

}  // namespace dlcuda::profile_detail
