#include "dlcuda/core/transfer.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>

#include "dlcuda/core/cuda/runtime.h"
#include "dlcuda/core/label_fault.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/memory/storage.h"
#include "dlcuda/core/profile_recording.h"
#include "dlcuda/core/stream.h"

namespace dlcuda {
namespace {

void enqueue(const RowCopy& copy, const Stream& stream) {
  const auto rows = std::size_t(copy.rows);
  if (rows == 1 || (copy.to_pitch == copy.width && copy.from_pitch == copy.width)) {
    cuda::copy(stream.device().index, copy.to, copy.from, copy.width * rows, stream.native());
  } else {
    cuda::copy_2d(stream.device().index, copy.to, copy.to_pitch, copy.from, copy.from_pitch, copy.width, rows,
                  stream.native());
  }
}

/// Rows begin..begin + count - 1.
RowCopy some_rows(const RowCopy& copy, std::int64_t begin, std::int64_t count) {
  RowCopy part = copy;
  part.to += std::size_t(begin) * copy.to_pitch;
  part.from += std::size_t(begin) * copy.from_pitch;
  part.rows = count;
  return part;
}

/// The pieces of one copy that are on their way through page-locked blocks.
class Staging {
 public:
  /// Where there is but one piece, no event is made to tell when it has arrived.
  Staging(bool to_device, bool one_piece, const Stream& stream)
      : to_device_(to_device), one_piece_(one_piece), stream_(stream) {}
  /// Blocks that the device may still be using are not reused before it has passed this point.
  ~Staging() {
    for (const Piece& piece : pieces_) {
      try {
        piece.block->record_stream(stream_);
      } catch (...) {
        // No memory to note it in. After an error nobody has the data; all that is left is to wait.
        try {
          stream_.synchronize();
        } catch (...) {
        }
      }
    }
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  void add(const RowCopy& piece) {
    if (pieces_.size() == kStagingBlocks) finish_oldest();
    const std::size_t bytes = piece.width * std::size_t(piece.rows);
    auto block = Storage::allocate(bytes, Device::cpu(), pinned_allocator());
    auto* const data = static_cast<std::byte*>(block->data());
    RowCopy in = piece, out = piece;
    in.to = data;
    out.from = data;
    in.to_pitch = out.from_pitch = piece.width;
    if (to_device_) copy_rows(in);
    Piece& kept = pieces_.emplace_back(Piece{std::move(block), {}, out});
    enqueue(to_device_ ? out : in, stream_);
    if (one_piece_) return;
    kept.passed.emplace(stream_.device());
    kept.passed->record(stream_);
  }

  /// Towards the host: waits for everything.
  void finish() {
    while (!to_device_ && !pieces_.empty()) finish_oldest();
  }

 private:
  struct Piece {
    std::shared_ptr<Storage> block;
    std::optional<Event> passed;
    RowCopy out;  // from the block to where it belongs
  };

  void finish_oldest() {
    if (const auto& passed = pieces_.front().passed) {
      passed->synchronize();
    } else {
      stream_.synchronize();
    }
    if (!to_device_) copy_rows(pieces_.front().out);
    pieces_.pop_front();
  }

  bool to_device_, one_piece_;
  Stream stream_;
  std::deque<Piece> pieces_;
};

void copy_staged(const RowCopy& copy, bool to_device, const Stream& stream) {
  RowCopy rows = copy;
  std::size_t rest = 0;
  if (copy.rows == 1 && copy.width > kStagingBytes) {  // one long row, as many of a block's size
    rows.to_pitch = rows.from_pitch = rows.width = kStagingBytes;
    rows.rows = std::int64_t(copy.width / kStagingBytes);
    rest = copy.width % kStagingBytes;
  }
  const std::int64_t at_once = std::max<std::int64_t>(1, std::int64_t(kStagingBytes / rows.width));
  Staging staging(to_device, rows.rows <= at_once && rest == 0, stream);
  for (std::int64_t row = 0; row < rows.rows; row += at_once) {
    staging.add(some_rows(rows, row, std::min(at_once, rows.rows - row)));
  }
  if (rest > 0) {
    const std::size_t done = copy.width - rest;
    staging.add({copy.to + done, rest, copy.from + done, rest, rest, 1});
  }
  staging.finish();
}

void copy_between_devices(const RowCopy& copy, Device to, Device from) {
  const Stream stream = current_stream(to), source = current_stream(from);
  if (to == from) return enqueue(copy, stream);
  // The source must have been written, and must not be written again too early.
  Event written(from), read(to);
  written.record(source);
  written.block(stream);
  enqueue(copy, stream);
  read.record(stream);
  read.block(source);
}

}  // namespace

void copy_rows(const RowCopy& copy) {
  for (std::int64_t row = 0; row < copy.rows; ++row) {
    std::memcpy(copy.to + std::size_t(row) * copy.to_pitch, copy.from + std::size_t(row) * copy.from_pitch,
                copy.width);
  }
}

void transfer(const RowCopy& copy, Device to, Device from, Storage* source) {
  if (copy.width == 0 || copy.rows == 0) return;
  profile_detail::ProfileOp op;
  if (profiling()) [[unlikely]] {
    const char* name = to.is_cpu() ? "copy_to_host" : from.is_cpu() ? "copy_to_device" : "copy_on_device";
    op.begin({name, "", to.is_cpu() ? from : to, 0, double(copy.width) * double(copy.rows)}, {});
  }
  if (to.is_cuda() && from.is_cuda()) return copy_between_devices(copy, to, from);
  const Stream stream = current_stream(to.is_cuda() ? to : from);
  const bool page_locked = cuda::is_page_locked(to.is_cpu() ? copy.to : copy.from);
  if (to.is_cuda() && page_locked && source != nullptr) {
    source->record_stream(stream);
    enqueue(copy, stream);
    return;
  }
  if (to.is_cpu() && page_locked) {
    enqueue(copy, stream);
    stream.synchronize();
  } else {
    copy_staged(copy, to.is_cuda(), stream);
  }
  if (to.is_cpu()) report_label_fault(from);
}

}  // namespace dlcuda
