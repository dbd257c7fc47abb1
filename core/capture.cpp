#include "dlcuda/core/capture.h"

namespace dlcuda::capture {
namespace {

thread_local Recording* current = nullptr;
thread_local bool leaving_out = false;

}  // namespace

Recording* recording() noexcept { return current; }
bool planning() noexcept { return leaving_out; }

RecordingScope::RecordingScope(Recording& recording) noexcept { current = &recording; }
RecordingScope::~RecordingScope() { current = nullptr; }

PlanningScope::PlanningScope() noexcept : previous_(leaving_out) { leaving_out = true; }
PlanningScope::~PlanningScope() { leaving_out = previous_; }

Pause::Pause() noexcept : recording_(current) { current = nullptr; }
Pause::~Pause() { current = recording_; }

void refuse(const char* why) {
  if (current == nullptr) return;
  if (current->device.is_cuda()) throw Refused(why);
  if (current->refusal.empty()) current->refusal = why;
}

}  // namespace dlcuda::capture
