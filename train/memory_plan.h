// What a training step will need of a device's memory, known before any of it is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/layers/module.h"
#include "dlcuda/train/task.h"

namespace dlcuda DLCUDA_API {

/// A training whose memory is planned. The functions run, but no kernel does, and no tensor has memory behind
/// it: they may do whatever does not look at values.
struct PlannedTraining {
  std::function<std::unique_ptr<Module>()> make_model;
  /// A batch of the given size, on the device.
  std::function<Batch(std::int64_t batch_size)> make_batch;
  std::function<std::unique_ptr<Task>(Device)> make_task;
  std::string optimizer = "adam";                    ///< a name that make_optimizer() knows
  Device device = Device::cpu();                     ///< need not be there
  DType dtype = DType::F32;                          ///< of the model and its images: Module::to(DType)
  MemoryFormat format = MemoryFormat::ChannelsLast;  ///< of its images: Module::to(Device, MemoryFormat)
};

/// For images of f32 (C, H, W) in the given format, and targets of a kind.
PlannedTraining plan_training(std::function<std::unique_ptr<Module>()> make_model, const ImageShape& image,
                              const TargetFormat& targets,
                              std::function<std::unique_ptr<Task>(Device)> make_task, Device device,
                              MemoryFormat format = MemoryFormat::ChannelsLast);
/// The same for classification.
PlannedTraining plan_classification(std::function<std::unique_ptr<Module>()> make_model, const Shape& image,
                                    Device device, MemoryFormat format = MemoryFormat::ChannelsLast);

/// Bytes; blocks as the allocator cuts them.
struct LayerMemory {
  std::string layer;  ///< "block1.conv1"; "(model)": the model's own; "loss"; "optimizer": a step count
  std::size_t parameters = 0;       ///< and buffers
  std::size_t gradients = 0;        ///< of the parameters
  std::size_t optimizer_state = 0;  ///< and master weights
  std::size_t activations = 0;      ///< what the forward pass leaves for the backward pass

  std::size_t total() const { return parameters + gradients + optimizer_state + activations; }
};

struct MemoryPlan {
  std::int64_t batch_size = 0;
  std::vector<LayerMemory> layers;  ///< in the order in which the model names them
  LayerMemory all;                  ///< sums
  std::size_t batch = 0;            ///< images and targets
  /// What comes and goes at the step's peak besides all of these: temporaries of forward, backward and
  /// update.
  std::size_t workspace = 0;
  std::size_t peak = 0;      ///< most bytes in use at once
  std::size_t reserved = 0;  ///< what the allocator takes from the device for that
};

/// The memory of training steps with batches of `batch_size`, in the steady state: the second step. It is
/// that of steps that run as they are; a CapturedStep keeps what they need in a pool of its own. Workspaces
/// that cuDNN and cuBLASLt ask for are not known before they have chosen an algorithm, and are not in it.
/// Throws OutOfMemoryError where it is more than `limit`, and what the functions throw.
MemoryPlan plan_memory(const PlannedTraining& training, std::int64_t batch_size,
                       std::size_t limit = std::numeric_limits<std::size_t>::max());

/// The largest batch whose steps fit into `bytes` of memory, by the same arithmetic; 0 when not even one
/// sample does. At most `most`.
std::int64_t largest_batch(const PlannedTraining& training, std::size_t bytes,
                           std::int64_t most = std::int64_t(1) << 20);

/// A table for people.
std::string to_string(const MemoryPlan& plan);

}  // namespace dlcuda
