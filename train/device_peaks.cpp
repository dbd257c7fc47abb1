#include "dlcuda/train/device_peaks.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "dlcuda/core/parallel.h"
#include "dlcuda/core/tensor.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/matmul.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/train/benchmark.h"

namespace dlcuda {
namespace {

constexpr int kRounds = 3;

/// Seconds of a call, in the best round.
double shortest(Device device, double seconds, std::function<void()> work) {
  Benchmark benchmark(device, std::move(work), seconds);
  double best = benchmark.round();
  for (int round = 1; round < kRounds; ++round) best = std::min(best, benchmark.round());
  return best / 1000;
}

/// Numbers as networks have them: zeros would draw less power, and let the clocks rise.
Tensor random_matrix(std::int64_t extent, DType dtype, Device device) {
  Tensor matrix = Tensor::empty({extent, extent});
  kernels::fill_uniform(matrix, -1, 1, {.key = 1, .step = Tensor::zeros({1}, DType::I64)});
  return kernels::cast(matrix, dtype).to(device);
}

/// On the CPU by all threads, each its part: copy_from() takes one, which does not use all of the memory's
/// channels.
void copy(const Tensor& from, Tensor& to) {
  if (from.device().is_cuda()) return to.copy_from(from);
  const std::size_t bytes = from.nbytes();
  const int threads = num_threads();
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int part = 0; part < threads; ++part) {
    const std::size_t begin = bytes / std::size_t(threads) * std::size_t(part);
    const std::size_t end = part + 1 == threads ? bytes : begin + bytes / std::size_t(threads);
    std::memcpy(to.data<std::uint8_t>() + begin, from.data<std::uint8_t>() + begin, end - begin);
  }
}

}  // namespace

PeakSizes PeakSizes::of(Device device) {
  constexpr std::size_t kMib = std::size_t(1) << 20;
  return device.is_cuda() ? PeakSizes{8192, 1024 * kMib} : PeakSizes{2048, 256 * kMib};
}

DevicePeaks measure_peaks(Device device, DType dtype, const PeakSizes& sizes, double seconds) {
  DevicePeaks peaks;
  {
    const Tensor a = random_matrix(sizes.extent, dtype, device),
                 b = random_matrix(sizes.extent, dtype, device);
    const double n = double(sizes.extent);
    peaks.flops = 2 * n * n * n / shortest(device, seconds, [&] { kernels::matmul(a, b); });
  }
  const Tensor from = Tensor::zeros({std::int64_t(sizes.bytes)}, DType::U8, device);
  Tensor to = Tensor::empty_like(from);
  peaks.bytes = 2 * double(sizes.bytes) / shortest(device, seconds, [&] { copy(from, to); });
  return peaks;
}

double roofline_seconds(const DevicePeaks& peaks, double flops, double bytes) {
  return std::max(flops / peaks.flops, bytes / peaks.bytes);
}

}  // namespace dlcuda
