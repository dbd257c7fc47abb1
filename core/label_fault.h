// Labels out of range that kernels have found. Reading labels back to check them would make every step wait,
// so the kernel that meets one leaves a note: in device memory, where updates look before they change
// anything, and in host memory, where the next read from the device finds it and throws. Internal.
#pragma once

#include <cstdint>

#include "dlcuda/core/device.h"

namespace dlcuda {

struct LabelFault {
  enum Source : std::int64_t { kCrossEntropy, kYoloLoss };

  std::int64_t classes;  ///< how many there are; 0: no fault
  std::int64_t row, label;
  Source source;
};

/// Two notes with the same contents; the first one stands until it was reported.
struct LabelFaultNotes {
  LabelFault* device;
  LabelFault* host;  ///< page-locked: kernels may write it
};
/// Made at the first use on a device, and kept; that first call waits for the device.
LabelFaultNotes label_fault_notes(Device device);

/// Throws the ArgumentError of a note that stands, and takes it away. For after the device has been waited
/// for.
void report_label_fault(Device device);

/// The error itself; what the CPU throws at once.
[[noreturn]] void throw_label_fault(const LabelFault& fault);

}  // namespace dlcuda
