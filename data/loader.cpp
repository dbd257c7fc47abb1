#include "dlcuda/data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/core/memory/resource.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/core/profile.h"
#include "dlcuda/core/stream.h"
#include "dlcuda/kernels/augment.h"

namespace dlcuda {
namespace {

/// A host tensor from which a copy to a device need not wait.
Tensor page_locked(const Shape& shape, DType dtype) {
  const std::size_t bytes = checked_bytes(shape, size_of(dtype));
  MemoryResource& memory = pinned_memory();
  void* data = memory.allocate(bytes);
  if (data == nullptr) {
    throw OutOfMemoryError(
        fmt::format("{} memory ran out: {} bytes for a batch of {}; try a smaller batch size", memory.name(),
                    bytes, to_string(shape)),
        bytes);
  }
  return Tensor::from_blob(data, shape, dtype, Device::cpu(),
                           [&memory, bytes](void* pointer) { memory.deallocate(pointer, bytes); });
}

/// What one thread needs to assemble batches.
struct Workspace {
  std::vector<std::uint8_t> pixels;
  Target target;
  ImagePipeline::Scratch scratch;
};

}  // namespace

// Batch b of an epoch lives in slot b mod slots. Three counters run through the epoch: claimed_ (given to
// workers), delivered_ (returned by next) and released_ (no longer used by anyone); released_ <= delivered_
// <= claimed_, and a batch is claimed only when the batch before it in its slot is released. Claims go in
// order, so the batch that next() waits for is always being assembled or done, and nothing can block for
// ever.
class DataLoader::Impl {
 public:
  Impl(std::shared_ptr<const ImageDataset> dataset, ImagePipeline pipeline, const LoaderOptions& options)
      : dataset_(std::move(dataset)), pipeline_(std::move(pipeline)), options_(options) {
    check_options();
    format_ = dataset_->target_format();
    const std::int64_t size = dataset_->size();
    batch_size_ = std::min(options.batch_size, size);
    batches_ = options.drop_last ? size / options.batch_size : (size + batch_size_ - 1) / batch_size_;
    images_ = options.drop_last ? batches_ * batch_size_ : size;
    order_.resize(static_cast<std::size_t>(size));

    // An upload may still be reading the batch before the last one.
    held_ = options.device.is_cuda() ? 2 : 1;
    const std::int64_t ahead = std::int64_t{options.workers} * options.prefetch;
    slots_ = std::vector<Slot>(
        static_cast<std::size_t>(std::min(held_ + std::max<std::int64_t>(ahead, 1), batches_)));
    for (Slot& slot : slots_) prepare(slot);
    prepare_levels();
    try {
      for (int i = 0; i < options.workers; ++i) threads_.emplace_back([this, i] { work(i); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Impl() {
    stop();
    try {
      wait_for_uploads();
    } catch (const Error&) {
      // The device has failed, and so no copy reads this memory any more; whoever trains has been told.
    }
  }

  const ImageDataset& dataset() const { return *dataset_; }
  std::int64_t batches() const { return batches_; }
  std::int64_t images() const { return images_; }

  void start_epoch(std::uint64_t epoch) {
    {
      std::unique_lock lock(mutex_);
      end_ = 0;  // nothing more is claimed
      changed_.wait(lock, [&] { return busy_ == 0; });
    }
    wait_for_uploads();
    epoch_ = epoch;
    started_ = true;
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    if (options_.shuffle) shuffle();
    const std::lock_guard lock(mutex_);
    for (Slot& slot : slots_) {
      slot.done = -1;
      slot.error = nullptr;
    }
    claimed_ = delivered_ = released_ = 0;
    end_ = batches_;
    changed_.notify_all();
  }

  const Batch* next() {
    const ProfileRange range("next batch", ProfilePhase::Data);
    DLCUDA_CHECK(started_, Error, "data loader: call start_epoch() before next()");
    if (delivered_ == end_) return nullptr;
    const bool release = delivered_ - released_ >= held_;
    if (release) retire(slot_of(released_));
    std::unique_lock lock(mutex_);
    if (release) ++released_;
    Slot& slot = slot_of(delivered_);
    if (threads_.empty()) {
      claimed_ = delivered_ + 1;
      assemble(slot, delivered_, own_);
      slot.done = delivered_;
    } else {
      changed_.notify_all();
      changed_.wait(lock, [&] { return slot.done == delivered_; });
    }
    if (slot.error) {
      end_ = delivered_;
      std::rethrow_exception(std::exchange(slot.error, nullptr));
    }
    const bool full = (delivered_ + 1) * batch_size_ <= images_;
    ++delivered_;
    lock.unlock();  // the workers go on meanwhile; this slot is not theirs before it is retired
    deliver(slot, full ? slot.full : slot.tail);
    return &delivered_batch_;
  }

 private:
  /// A batch as the workers leave it.
  struct Stored {
    Batch batch;        // its images u8, of stored_shape()
    Tensor placements;  // i32 (N, kPlacementFields)
  };
  struct Slot {
    Stored full;
    Stored tail;             // the first rows of the same memory, for a last batch that is not full
    std::int64_t done = -1;  // the batch that it holds
    std::exception_ptr error;
    std::optional<Event> uploaded;
  };

  void check_options() const {
    DLCUDA_CHECK(dataset_ != nullptr && dataset_->size() > 0, ArgumentError,
                 "data loader: the dataset is empty");
    DLCUDA_CHECK(options_.batch_size >= 1, ArgumentError,
                 "data loader: the batch size must be at least 1, got {}", options_.batch_size);
    DLCUDA_CHECK(options_.workers >= 0 && options_.workers <= 256, ArgumentError,
                 "data loader: the number of workers must be 0 to 256, got {}", options_.workers);
    DLCUDA_CHECK(options_.prefetch >= 1 && options_.prefetch <= 64, ArgumentError,
                 "data loader: prefetch must be 1 to 64 batches, got {}", options_.prefetch);
    DLCUDA_CHECK(
        options_.dtype == DType::F32 || options_.dtype == DType::F16 || options_.dtype == DType::BF16,
        DTypeError, "data loader: images can be f32, f16 or bf16, not {}", to_string(options_.dtype));
    DLCUDA_CHECK(pipeline_.input_shape() == dataset_->image_shape(), ArgumentError,
                 "data loader: the pipeline takes images of {}, but the dataset has {}",
                 to_string(pipeline_.input_shape()), to_string(dataset_->image_shape()));
    DLCUDA_CHECK(!options_.drop_last || options_.batch_size <= dataset_->size(), ArgumentError,
                 "data loader: with drop_last and a batch size of {}, a dataset of {} gives no batch at all",
                 options_.batch_size, dataset_->size());
  }

  void prepare(Slot& slot) {
    const MemoryTagScope scope(tag_);
    const bool uploads = options_.device.is_cuda();
    const auto allocate = [&](const Shape& shape, DType dtype) {
      return uploads ? page_locked(shape, dtype) : Tensor::empty(shape, dtype);
    };
    const ImageShape& stored = pipeline_.stored_shape();
    Batch& batch = slot.full.batch;
    batch = make_targets(batch_size_, pipeline_.output_shape(), format_, allocate);
    batch.images = allocate({batch_size_, stored.channels, stored.height, stored.width}, DType::U8);
    slot.full.placements = allocate({batch_size_, kernels::kPlacementFields}, DType::I32);
    if (uploads) slot.uploaded.emplace(options_.device);
    if (const std::int64_t rest = images_ % batch_size_; rest != 0) {
      slot.tail.batch = batch.map([&](const Tensor& tensor) { return tensor.slice(0, rest); });
      slot.tail.placements = slot.full.placements.slice(0, rest);
    }
  }

  void prepare_levels() {
    const MemoryTagScope scope(tag_);
    levels_ =
        Tensor::from_values(pipeline_.levels(), {pipeline_.output_shape().channels, 256}, options_.device);
    // Batches may be asked for on any stream.
    if (options_.device.is_cuda()) current_stream(options_.device).synchronize();
  }

  Slot& slot_of(std::int64_t batch) { return slots_[static_cast<std::size_t>(batch) % slots_.size()]; }

  /// Fisher-Yates.
  void shuffle() {
    RandomStream random(random_key(options_.seed, RandomDomain::Shuffle), epoch_, 0);
    for (std::size_t i = order_.size() - 1; i > 0; --i) std::swap(order_[i], order_[random.below(i + 1)]);
  }

  void work(int worker) {
    name_profile_thread(fmt::format("loader worker {}", worker));
    Workspace workspace;
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] {
        return stopping_ ||
               (claimed_ < end_ && claimed_ < released_ + static_cast<std::int64_t>(slots_.size()));
      });
      if (stopping_) return;
      const std::int64_t batch = claimed_++;
      Slot& slot = slot_of(batch);
      ++busy_;
      lock.unlock();
      assemble(slot, batch, workspace);
      lock.lock();
      --busy_;
      slot.done = batch;
      changed_.notify_all();
    }
  }

  /// Fills the slot's memory with a batch, or keeps what went wrong.
  void assemble(Slot& slot, std::int64_t batch, Workspace& workspace) noexcept {
    try {
      const ProfileRange range("assemble batch", ProfilePhase::Data);
      const std::int64_t first = batch * batch_size_, count = std::min(batch_size_, images_ - first);
      const std::size_t pixels = pipeline_.stored_shape().pixels();
      auto* images = slot.full.batch.images.data<std::uint8_t>();
      auto* placements = static_cast<kernels::Placement*>(slot.full.placements.data());
      const std::uint64_t key = random_key(options_.seed, RandomDomain::Augmentation);
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t index = order_[static_cast<std::size_t>(first + i)];
        RandomStream random(key, static_cast<std::uint64_t>(index), static_cast<std::uint32_t>(epoch_));
        const std::span image(images + static_cast<std::size_t>(i) * pixels, pixels);
        placements[i] = store_image(index, image, random, workspace);
        write_target(slot.full.batch, i, workspace.target, format_, dataset_->class_count(), index);
      }
    } catch (...) {
      slot.error = std::current_exception();
    }
  }

  /// Writes an image and fills the workspace's target; returns what is left to do with the image.
  kernels::Placement store_image(std::int64_t index, std::span<std::uint8_t> image, RandomStream& random,
                                 Workspace& workspace) const {
    if (pipeline_.is_placement()) {
      dataset_->read(index, image, workspace.target);
      return pipeline_.place(workspace.target, random, workspace.scratch);
    }
    workspace.pixels.resize(pipeline_.input_shape().pixels());
    dataset_->read(index, workspace.pixels, workspace.target);
    pipeline_.transform(workspace.pixels, image, workspace.target, random, workspace.scratch);
    return pipeline_.identity();
  }

  /// Nobody may read the slot any more: waits for its upload, and lets autograd notice a graph that still
  /// wants to.
  void retire(Slot& slot) {
    if (slot.uploaded) slot.uploaded->synchronize();
    slot.full.batch.map([](const Tensor& tensor) {
      tensor.bump_version();
      return tensor;
    });
  }

  void deliver(Slot& slot, const Stored& stored) {
    const MemoryTagScope scope(tag_);
    const auto there = [&](const Tensor& tensor) {
      return options_.device.is_cuda() ? tensor.to(options_.device) : tensor;
    };
    Tensor placements;
    try {
      delivered_batch_ = stored.batch.map(there);
      placements = there(stored.placements);
    } catch (...) {
      // Copies that were queued before it still read the slot.
      if (slot.uploaded) current_stream(options_.device).synchronize();
      throw;
    }
    if (slot.uploaded) slot.uploaded->record(current_stream(options_.device));
    const ImageShape& output = pipeline_.output_shape();
    delivered_batch_.images = kernels::augment(
        delivered_batch_.images, placements, levels_,
        {.height = output.height, .width = output.width, .dtype = options_.dtype, .format = options_.format});
  }

  void wait_for_uploads() {
    for (Slot& slot : slots_) {
      if (slot.uploaded) slot.uploaded->synchronize();
    }
  }

  void stop() noexcept {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
  }

  std::shared_ptr<const ImageDataset> dataset_;
  ImagePipeline pipeline_;
  LoaderOptions options_;
  TargetFormat format_;
  const MemoryTag tag_{"data"};
  std::int64_t batch_size_ = 0, batches_ = 0, images_ = 0, held_ = 1;
  std::vector<Slot> slots_;
  Tensor levels_;          // the pipeline's, on the device
  Workspace own_;          // of the thread that calls next(), where there are no workers
  Batch delivered_batch_;  // the last one that next() returned
  bool started_ = false;

  // Written only while no worker is busy.
  std::vector<std::int64_t> order_;
  std::uint64_t epoch_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t claimed_ = 0,
               released_ = 0;  // the latter and the next two are written by next() and start_epoch()
  std::int64_t delivered_ = 0, end_ = 0;
  int busy_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

DataLoader::DataLoader(std::shared_ptr<const ImageDataset> dataset, ImagePipeline pipeline,
                       const LoaderOptions& options)
    : impl_(std::make_unique<Impl>(std::move(dataset), std::move(pipeline), options)) {}
DataLoader::~DataLoader() = default;

const ImageDataset& DataLoader::dataset() const { return impl_->dataset(); }
std::int64_t DataLoader::batches() const { return impl_->batches(); }
std::int64_t DataLoader::images() const { return impl_->images(); }
void DataLoader::start_epoch(std::uint64_t epoch) { impl_->start_epoch(epoch); }
const Batch* DataLoader::next() { return impl_->next(); }

}  // namespace dlcuda
