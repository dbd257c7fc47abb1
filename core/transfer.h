// Copies that a CUDA device takes part in. Internal; Tensor is what programs use.
//
// The device reads and writes host memory at full speed, and without stopping the host, only where that
// memory is page-locked. Ordinary (pageable) memory is therefore copied piece by piece through page-locked
// blocks of pinned_allocator(): towards the device the call returns once the last piece lies in such a block,
// which is used again when the device has read it; towards the host it returns when everything has arrived. A
// few pieces are on their way at a time, so that the host copies one while the device copies the next, and a
// large copy takes no more page-locked memory than they do.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dlcuda/core/device.h"

namespace dlcuda {

class Storage;

/// Rows of `width` bytes, from one another as many bytes apart as the pitches say.
struct RowCopy {
  std::byte* to;
  std::size_t to_pitch;
  const std::byte* from;
  std::size_t from_pitch;
  std::size_t width;
  std::int64_t rows;
};

/// Bytes of the page-locked blocks, and how many of them one copy uses at a time.
inline constexpr std::size_t kStagingBytes = std::size_t(4) << 20;
inline constexpr std::size_t kStagingBlocks = 4;

/// On the host.
void copy_rows(const RowCopy& copy);

/// At least one of the devices is a CUDA device. In the order of the current stream of the target, or of the
/// source where the target is the host, which waits; between two CUDA devices each stream waits for the
/// other. `source` is the storage that keeps page-locked host memory alive until the device has read it;
/// without one host memory may change as soon as the call returns. Reports a label out of range that was
/// found on the device (core/label_fault.h) when the host has waited.
void transfer(const RowCopy& copy, Device to, Device from, Storage* source);

}  // namespace dlcuda
