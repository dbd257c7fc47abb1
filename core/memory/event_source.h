// How the caching allocator learns that a stream has passed a point. Tests inject one whose events complete
// on demand.
#pragma once

#include <memory>
#include <vector>

#include "dlcuda/core/stream.h"

namespace dlcuda DLCUDA_API {

/// Called under the allocator's lock.
class EventSource {
 public:
  using Handle = void*;
  virtual ~EventSource() = default;
  /// Marks the present end of a stream. Throws DeviceError.
  virtual Handle record(const Stream& stream) = 0;
  virtual bool finished(Handle event) = 0;
  virtual void synchronize(Handle event) = 0;
  /// The mark is no longer needed.
  virtual void release(Handle event) noexcept = 0;
};

/// core/stream.h's events, reused.
class StreamEventSource final : public EventSource {
 public:
  StreamEventSource();
  ~StreamEventSource() override;
  Handle record(const Stream& stream) override;
  bool finished(Handle event) override;
  void synchronize(Handle event) override;
  void release(Handle event) noexcept override;

 private:
  struct Entry;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<Entry*> idle_;
};

}  // namespace dlcuda
