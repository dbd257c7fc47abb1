#include "dlcuda/core/memory/event_source.h"

#include <algorithm>

namespace dlcuda {

struct StreamEventSource::Entry {
  explicit Entry(Device device_) : device(device_), event(device_) {}
  Device device;
  Event event;
};

StreamEventSource::StreamEventSource() = default;
StreamEventSource::~StreamEventSource() = default;

EventSource::Handle StreamEventSource::record(const Stream& stream) {
  const auto idle = std::find_if(idle_.rbegin(), idle_.rend(),
                                 [&](const Entry* entry) { return entry->device == stream.device(); });
  if (idle != idle_.rend()) {
    Entry* entry = *idle;
    entry->event.record(stream);
    *idle = idle_.back();
    idle_.pop_back();
    return entry;
  }
  auto entry = std::make_unique<Entry>(stream.device());
  entry->event.record(stream);
  idle_.reserve(entries_.size() + 1);  // so that release never allocates
  entries_.push_back(std::move(entry));
  return entries_.back().get();
}

bool StreamEventSource::finished(Handle event) { return static_cast<Entry*>(event)->event.finished(); }

void StreamEventSource::synchronize(Handle event) { static_cast<Entry*>(event)->event.synchronize(); }

void StreamEventSource::release(Handle event) noexcept { idle_.push_back(static_cast<Entry*>(event)); }

}  // namespace dlcuda
