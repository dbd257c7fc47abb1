#include "dlcuda/core/memory/trace.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace dlcuda {

std::string_view to_string(MemoryEvent::Kind kind) {
  switch (kind) {
    case MemoryEvent::Kind::Allocate:
      return "allocate";
    case MemoryEvent::Kind::Defer:
      return "defer";
    case MemoryEvent::Kind::Free:
      return "free";
    case MemoryEvent::Kind::SegmentAcquire:
      return "segment_acquire";
    case MemoryEvent::Kind::SegmentRelease:
      break;
  }
  return "segment_release";
}

std::string to_json(const MemoryTrace& trace) {
  auto held = nlohmann::ordered_json::array();
  for (const auto& [tag, bytes] : trace.held_at_start) held.push_back({{"tag", tag}, {"bytes", bytes}});
  auto events = nlohmann::ordered_json::array();
  for (const MemoryEvent& event : trace.events) {
    nlohmann::ordered_json entry{{"event", to_string(event.kind)},
                                 {"time_ns", event.time_ns},
                                 {"address", fmt::format("{:#x}", event.address)},
                                 {"stream", fmt::format("{:#x}", event.stream)},
                                 {"requested", event.requested},
                                 {"bytes", event.bytes},
                                 {"pool", event.small ? "small" : "large"}};
    if (event.kind < MemoryEvent::Kind::SegmentAcquire) entry["tag"] = MemoryTag::from_id(event.tag).name();
    events.push_back(std::move(entry));
  }
  const nlohmann::ordered_json result{{"resource", trace.resource},
                                      {"reserved_at_start", trace.reserved_at_start},
                                      {"held_at_start", std::move(held)},
                                      {"dropped", trace.dropped},
                                      {"events", std::move(events)}};
  return result.dump(1);
}

}  // namespace dlcuda
