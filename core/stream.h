// Streams and events. A stream is a handle that can be borrowed from the application; on the CPU it is always
// the one default stream, on which everything has finished when a call returns.
#pragma once

#include <cstdint>
#include <memory>

#include "dlcuda/core/device.h"

namespace dlcuda DLCUDA_API {

/// A cheap handle. Two handles of the same native stream are the same stream.
class Stream {
 public:
  /// The default stream of a device.
  explicit Stream(Device device = Device::cpu()) : device_(device) {}
  /// A new stream; destroyed with the last handle.
  static Stream create(Device device);
  /// A cudaStream_t that the application owns and keeps alive.
  static Stream borrow(Device device, void* native);

  Device device() const { return device_; }
  /// The cudaStream_t; nullptr for a default stream and on the CPU.
  void* native() const { return native_.get(); }
  /// Waits for all work on the stream; reports errors of earlier launches as DeviceError.
  void synchronize() const;
  bool operator==(const Stream& other) const { return device_ == other.device_ && native_ == other.native_; }

 private:
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
  void record(const Stream& stream);
  /// True when all work before the last record has finished, or when nothing was recorded.
  bool finished() const;
  void synchronize() const;
  /// Makes later work on `stream` wait for this event, without blocking the host.
  void block(const Stream& stream) const;
  /// Milliseconds from `start` to this event; both must have been made with timing.
  float elapsed_ms_since(const Event& start) const;

 private:
  Device device_;
  std::shared_ptr<void> native_;
};

}  // namespace dlcuda
