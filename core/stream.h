// Streams and events. A stream is a handle that can be borrowed from the application; on the CPU it is always
// the one default stream, on which everything has finished when a call returns.
//
// Handles may be copied and used from any thread; which stream is current is a matter of each thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "dlcuda/core/device.h"

namespace dlcuda DLCUDA_API {

/// Work on a High stream goes first where both wait for the same multiprocessors: short copies and reductions
/// that others depend on. Blocks that run already are not interrupted.
enum class StreamPriority : std::uint8_t { Normal, High };

/// A cheap handle. Two handles of the same native stream are the same stream.
class Stream {
 public:
  /// The default stream of a device.
  explicit Stream(Device device = Device::cpu()) : device_(device) {}
  /// A stream that no other handle names; on the CPU, the default stream. With the last handle it goes back
  /// to a pool and is not destroyed: memory that was freed on it stays ordered behind its work when it is
  /// handed out again. Throws DeviceError where the device is missing.
  static Stream create(Device device, StreamPriority priority = StreamPriority::Normal);
  /// A cudaStream_t that the application owns. It must live until what was allocated on it has been freed and
  /// empty_cache() of that device's allocator has been called.
  static Stream borrow(Device device, void* native);

  Device device() const { return device_; }
  /// The cudaStream_t; nullptr for a default stream and on the CPU.
  void* native() const { return native_.get(); }
  /// Waits for all work on the stream; reports errors of earlier launches as DeviceError.
  void synchronize() const;
  bool operator==(const Stream& other) const { return device_ == other.device_ && native_ == other.native_; }

 private:
  Stream(Device device, std::shared_ptr<void> native) : device_(device), native_(std::move(native)) {}

  Device device_;
  std::shared_ptr<void> native_;
};

/// The stream on which this thread's work for a device goes.
Stream current_stream(Device device);

/// Makes a stream current for this thread until the guard goes.
class StreamGuard {
 public:
  explicit StreamGuard(Stream stream);
  ~StreamGuard();
  StreamGuard(const StreamGuard&) = delete;
  StreamGuard& operator=(const StreamGuard&) = delete;

 private:
  Stream previous_;
};

/// A point in a stream that others can wait for.
class Event {
 public:
  explicit Event(Device device, bool timing = false);
  /// Throws DeviceError for a stream of another device.
  void record(const Stream& stream);
  /// True when all work before the last record has finished, or when nothing was recorded.
  bool finished() const;
  void synchronize() const;
  /// Makes later work on `stream` wait for this event, without blocking the host (the CPU's stream is the
  /// host itself: it waits). The stream may belong to another device.
  void block(const Stream& stream) const;
  /// Milliseconds from `start` to this event. Both must have been made with timing, for one device
  /// (ArgumentError), recorded, and finished.
  float elapsed_ms_since(const Event& start) const;

 private:
  Device device_;
  bool timing_;
  std::shared_ptr<void> native_;
  std::chrono::steady_clock::time_point recorded_at_;  // on the CPU
};

}  // namespace dlcuda
