#include "dlcuda/core/capture.h"

namespace dlcuda::capture {
namespace {

thread_local Recording* current = nullptr;
thread_local Planning* plan = nullptr;

}  // namespace

Recording* recording() noexcept { return current; }
Planning* planning() noexcept { return plan; }
bool queues_cuda_work() noexcept { return plan == nullptr || plan->queues_cuda_work; }

RecordingScope::RecordingScope(Recording& recording) noexcept { current = &recording; }
RecordingScope::~RecordingScope() { current = nullptr; }

PlanningScope::PlanningScope(Planning& planning) noexcept { plan = &planning; }
PlanningScope::~PlanningScope() { plan = nullptr; }

Pause::Pause() noexcept : recording_(current) { current = nullptr; }
Pause::~Pause() { current = recording_; }

void refuse(const char* why) {
  if (current == nullptr) return;
  if (current->device.is_cuda()) throw Refused(why);
  if (current->refusal.empty()) current->refusal = why;
}

}  // namespace dlcuda::capture
