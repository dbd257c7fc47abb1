// The prefetching loader: worker threads assemble batches ahead of the one that trains.
//
//   loader.start_epoch(epoch);
//   while (const Batch* batch = loader.next()) step(batch->images, batch->labels);
//
// Workers read 8-bit pictures and draw what happens to them; the device that trains moves, normalises and
// converts them (kernels/augment.h), so that a quarter of the bytes of an f32 batch is uploaded. What the
// batches hold and their order follow from the dataset, the seed and the epoch alone: neither the number of
// workers nor the device changes anything.
#pragma once

#include <cstdint>
#include <memory>

#include "dlcuda/core/device.h"
#include "dlcuda/core/dtype.h"
#include "dlcuda/core/macros.h"
#include "dlcuda/core/shape.h"
#include "dlcuda/data/batch.h"
#include "dlcuda/data/dataset.h"
#include "dlcuda/data/transforms.h"

namespace dlcuda DLCUDA_API {

struct LoaderOptions {
  std::int64_t batch_size = 64;
  bool shuffle = false;    ///< a new order each epoch, from (seed, epoch)
  bool drop_last = false;  ///< leave out a last batch that is not full
  int workers = 1;         ///< threads that assemble batches; 0: next() does it
  int prefetch = 2;        ///< batches that are ready, at most, for each worker
  std::uint64_t seed = 0;
  /// Where the batches should lie. For a CUDA device they are assembled in page-locked memory, and uploaded
  /// and converted on the stream that is current when next() is called.
  Device device = Device::cpu();
  DType dtype = DType::F32;                        ///< of the images: f32, f16 or bf16
  MemoryFormat format = MemoryFormat::Contiguous;  ///< of the images
};

class DataLoader {
 public:
  /// Throws ArgumentError for an empty dataset, options out of range, a pipeline for images of another shape,
  /// and drop_last where not even one batch is full; DTypeError for another dtype of images.
  DataLoader(std::shared_ptr<const ImageDataset> dataset, ImagePipeline pipeline,
             const LoaderOptions& options);
  /// Waits for the batches that are just being assembled, for no others.
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  const ImageDataset& dataset() const;
  /// Batches and images in an epoch.
  std::int64_t batches() const;
  std::int64_t images() const;

  /// Begins an epoch, whether or not the one before was read to its end.
  void start_epoch(std::uint64_t epoch);

  /// The next batch, or nullptr at the end of the epoch. On the CPU the memory of its targets is used again
  /// by the call after: they are valid until then. What a dataset throws while a batch is assembled is thrown
  /// here, when that batch's turn comes, and ends the epoch; a target that write_target() refuses is a
  /// FormatError. Throws Error before the first start_epoch(). To be called from one thread.
  const Batch* next();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dlcuda
