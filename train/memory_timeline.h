// A picture of what a training step does to memory, layer by layer.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/core/device.h"
#include "dlcuda/core/macros.h"
#include "dlcuda/core/memory/trace.h"

namespace dlcuda DLCUDA_API {

/// A part of a step: from here to where the next one begins.
struct MemoryPhase {
  std::string name;  ///< "forward"
  std::chrono::steady_clock::time_point begins;
};

/// Active bytes over the allocations and frees of a trace, stacked by tag, as an SVG that needs nothing else:
/// the twelve largest tags at the peak have a colour of their own, which follows from their names; the legend
/// says what each held then. A dashed line shows what is reserved, if it is not far above the peak. Phases
/// come in order. Follows the reader's light or dark colour scheme.
std::string draw_memory_timeline(const std::string& title, const MemoryTrace& trace,
                                 const std::vector<MemoryPhase>& phases = {});

/// Draws one step of a training. Between begin() and finish() a device's allocator writes a trace.
class MemoryTimelineRecorder {
 public:
  MemoryTimelineRecorder(Device device, std::string title, std::filesystem::path file);
  /// Drops a trace that was not finished.
  ~MemoryTimelineRecorder();
  MemoryTimelineRecorder(const MemoryTimelineRecorder&) = delete;
  MemoryTimelineRecorder& operator=(const MemoryTimelineRecorder&) = delete;

  void begin();
  /// From here on it is this phase. Does nothing outside begin() and finish().
  void phase(std::string_view name);
  /// Writes the picture. Throws IoError.
  void finish();

 private:
  Device device_;
  std::string title_;
  std::filesystem::path file_;
  std::vector<MemoryPhase> phases_;
  bool recording_ = false;
};

}  // namespace dlcuda
