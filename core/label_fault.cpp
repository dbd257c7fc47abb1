#include "dlcuda/core/label_fault.h"

#include <atomic>
#include <map>
#include <mutex>

#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/runtime.h"
#include "dlcuda/core/stream.h"

namespace dlcuda {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<int, LabelFaultNotes> notes;  // never freed: a kernel may still be about to write
};

Registry& registry() {
  static auto* const one = new Registry;
  return *one;
}

// Whether any device has notes: reads ask this first, and take no lock where no label was ever looked at.
std::atomic<bool> any_notes{false};

}  // namespace

LabelFaultNotes label_fault_notes(Device device) {
  const std::scoped_lock lock(registry().mutex);
  auto& notes = registry().notes;
  if (const auto found = notes.find(device.index); found != notes.end()) return found->second;

  auto* on_host = static_cast<LabelFault*>(cuda::allocate_pinned(sizeof(LabelFault)));
  if (on_host == nullptr) throw OutOfMemoryError("no page-locked host memory is left", sizeof(LabelFault));
  auto* on_device = static_cast<LabelFault*>(cuda::allocate(device.index, sizeof(LabelFault)));
  if (on_device == nullptr) {
    cuda::deallocate_pinned(on_host);
    throw OutOfMemoryError(to_string(device) + ": no memory is left", sizeof(LabelFault));
  }
  *on_host = {};
  const Stream stream = current_stream(device);
  cuda::fill_bytes(device.index, on_device, 0, sizeof(LabelFault), stream.native());
  cuda::synchronize(device.index, stream.native());
  any_notes = true;
  return notes[device.index] = {on_device, on_host};
}

void report_label_fault(Device device) {
  if (!any_notes) return;
  LabelFault fault{};
  {
    const std::scoped_lock lock(registry().mutex);
    const auto found = registry().notes.find(device.index);
    if (found == registry().notes.end() || found->second.host->classes == 0) return;
    fault = *found->second.host;
    *found->second.host = {};
    cuda::fill_bytes(device.index, found->second.device, 0, sizeof(LabelFault),
                     current_stream(device).native());
  }
  throw_label_fault(fault);
}

void throw_label_fault(const LabelFault& fault) {
  const bool boxes = fault.source == LabelFault::kYoloLoss;
  DLCUDA_THROW(ArgumentError, "{}: the label of {} {} is {}, expected {}0 to {} ({} classes)",
               boxes ? "yolo_loss" : "cross_entropy", boxes ? "box" : "row", fault.row, fault.label,
               boxes ? "-1 for none, or " : "", fault.classes - 1, fault.classes);
}

}  // namespace dlcuda
