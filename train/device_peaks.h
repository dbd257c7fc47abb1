// What a device can do at most, measured: the yardstick for everything else that is measured on it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dlcuda/core/device.h"
#include "dlcuda/core/dtype.h"
#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

struct DevicePeaks {
  double flops = 0;  ///< multiplications and additions a second, of a large matrix product
  double bytes = 0;  ///< bytes a second, read and written, of a large copy
};

/// Which sizes are large: products of square matrices of `extent`, copies of `bytes`.
struct PeakSizes {
  std::int64_t extent = 0;
  std::size_t bytes = 0;
  /// 2048 and 256 MiB on the CPU; 8192 and 1 GiB on CUDA.
  static PeakSizes of(Device device);
};

/// The best of three rounds of about `seconds` each. dtype: of the matrices; f32 products on CUDA heed
/// kernels::allow_tf32(). CPU: with the threads set at present. Throws OutOfMemoryError where the sizes do
/// not fit.
DevicePeaks measure_peaks(Device device, DType dtype, const PeakSizes& sizes, double seconds = 0.2);

/// Seconds that work takes at least on such a device, after Williams, Waterman and Patterson's roofline
/// (2009): max(flops / peaks.flops, bytes / peaks.bytes).
double roofline_seconds(const DevicePeaks& peaks, double flops, double bytes);

}  // namespace dlcuda
