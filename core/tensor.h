// Tensor: a cheap handle to shared storage with a shape, a dtype, a memory format and, when it needs one, a
// gradient.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "dlcuda/core/device.h"
#include "dlcuda/core/dtype.h"
#include "dlcuda/core/shape.h"
#include "dlcuda/core/tensor_view.h"

namespace dlcuda DLCUDA_API {

class Storage;
namespace autograd {
class Node;
struct Meta;
}  // namespace autograd

/// Whether backward() replaces the gradients of the step before, or adds to what this step has gathered so
/// far.
enum class GradientMode { Overwrite, Accumulate };

/// Copying a Tensor copies the handle: both see the same elements. A public tensor is dense contiguous, dense
/// channels-last, or a channel slice of either. Reading one tensor from several threads is safe; writing is
/// not.
class Tensor {
 public:
  /// Undefined: no shape, no storage; only defined() may be asked.
  Tensor() = default;

  /// @name Making tensors
  /// @{
  /// Elements are not initialised.
  static Tensor empty(const Shape& shape, DType dtype = DType::F32, Device device = Device::cpu(),
                      MemoryFormat format = MemoryFormat::Contiguous);
  static Tensor zeros(const Shape& shape, DType dtype = DType::F32, Device device = Device::cpu(),
                      MemoryFormat format = MemoryFormat::Contiguous);
  /// Copies `values`, given in logical order. Throws ShapeError unless there are shape.numel() of them.
  template <typename T>
  static Tensor from_values(std::span<const T> values, const Shape& shape, Device device = Device::cpu()) {
    return from_host(values.data(), values.size(), dtype_of<T>, shape, device);
  }
  template <typename T>
  static Tensor from_values(const std::vector<T>& values, const Shape& shape, Device device = Device::cpu()) {
    return from_values(std::span<const T>(values), shape, device);
  }
  template <typename T>
  static Tensor from_values(std::initializer_list<T> values, const Shape& shape,
                            Device device = Device::cpu()) {
    return from_values(std::span<const T>(values.begin(), values.size()), shape, device);
  }
  template <typename T>
  static Tensor scalar(T value, Device device = Device::cpu()) {
    return from_host(&value, 1, dtype_of<T>, Shape{}, device);
  }
  /// Borrows memory of the application; `deleter` runs when the last handle has gone.
  static Tensor from_blob(void* data, const Shape& shape, DType dtype, Device device = Device::cpu(),
                          std::function<void(void*)> deleter = {},
                          MemoryFormat format = MemoryFormat::Contiguous);
  /// Uninitialised, with the shape, dtype, device and format of `other` (dense, also for a slice).
  static Tensor empty_like(const Tensor& other);
  static Tensor zeros_like(const Tensor& other);
  /// @}

  bool defined() const noexcept { return impl_ != nullptr; }
  const Shape& shape() const;
  std::int64_t size(int axis) const { return shape()[axis]; }
  int rank() const { return shape().rank(); }
  std::int64_t numel() const { return shape().numel(); }
  /// Bytes of the elements themselves, whatever lies between them in a slice.
  std::size_t nbytes() const;
  DType dtype() const;
  Device device() const;
  MemoryFormat format() const;
  const Strides& strides() const;
  /// False for a channel slice of a larger tensor.
  bool is_dense() const;
  /// Dense in N, C, H, W order.
  bool is_contiguous() const;
  bool is_channels_last() const;

  /// The first element; device memory for a CUDA tensor.
  void* data() const;
  /// The same, checked: throws DTypeError when T is not the element type.
  template <typename T>
  T* data() const {
    require_dtype(dtype_of<T>);
    return static_cast<T*>(data());
  }
  TensorView raw() const;

  /// The same elements under another shape, sharing storage; differentiable. One extent may be -1. Throws
  /// ShapeError unless the tensor is contiguous (use kernels::contiguous) and the element counts agree.
  Tensor view(std::initializer_list<std::int64_t> shape) const;
  Tensor view(const Shape& shape) const;
  /// Rows begin..end-1 of the leading axis, sharing storage. Not differentiable: throws Error inside a graph.
  Tensor slice(std::int64_t begin, std::int64_t end) const;
  /// Channels begin..end-1 (axis 1), sharing storage: not dense. Not differentiable: throws Error inside a
  /// graph.
  Tensor channel_slice(std::int64_t begin, std::int64_t end) const;
  /// The same elements under another format's name, without a copy; throws ShapeError when the two differ in
  /// memory (kernels::to_format copies).
  Tensor with_format(MemoryFormat format) const;

  /// A copy on another device (the same handle if it is there already); differentiable.
  Tensor to(Device device) const;
  /// A dense copy with storage of its own; outside any graph.
  Tensor clone() const;
  /// Copies elements of a tensor of the same shape, dtype and memory layout, from any device.
  void copy_from(const Tensor& source);
  /// Sets all bytes to zero.
  void zero();
  /// All elements in logical order, copied to the host; waits for the device.
  template <typename T>
  std::vector<T> values() const {
    require_dtype(dtype_of<T>);
    const auto count = static_cast<std::size_t>(numel());
    if constexpr (std::is_same_v<T, bool>) {  // std::vector<bool> packs bits and has no data()
      const auto elements = std::make_unique<bool[]>(count);
      copy_to_host(elements.get());
      return std::vector<bool>(elements.get(), elements.get() + count);
    } else {
      std::vector<T> result(count);
      copy_to_host(result.data());
      return result;
    }
  }
  /// The same into host memory of nbytes() bytes, whatever the dtype.
  void copy_to_host(void* to) const;
  /// The one element of a tensor with one element; waits for the device. Throws ShapeError for others.
  template <typename T>
  T item() const {
    require_dtype(dtype_of<T>);
    T value;
    copy_item(&value);
    return value;
  }

  /// @name Gradients
  /// @{
  bool requires_grad() const;
  /// Marks a leaf as a variable to differentiate by. Throws Error for a computed tensor, DTypeError for
  /// integers.
  Tensor& set_requires_grad(bool value = true);
  /// The gradient of the last backward() that reached this leaf; undefined before, and after one that failed.
  Tensor grad() const;
  /// Counts the steps in which a gradient was written; optimisers use it to skip stale gradients.
  std::uint64_t grad_stamp() const;
  /// The same elements, outside the graph.
  Tensor detach() const;
  /// Differentiates this scalar by all leaves it was computed from. Frees the graph as it goes.
  void backward(GradientMode mode = GradientMode::Overwrite) const;
  /// @}

  /// Counts in-place changes of the storage; see autograd::Saved.
  std::uint64_t version() const;
  /// To be called by whoever writes through data().
  void bump_version() const;
  /// True when no other handle shares the storage.
  bool unique() const;
  /// The autograd record of this tensor; for core/autograd.h.
  autograd::Meta& meta() const;

 private:
  struct Impl;
  explicit Tensor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  static Tensor from_host(const void* values, std::size_t count, DType dtype, const Shape& shape,
                          Device device);
  const Impl& impl() const;
  void require_dtype(DType expected) const;
  void require_outside_graph(const char* operation) const;
  void copy_item(void* to) const;

  std::shared_ptr<Impl> impl_;
};

}  // namespace dlcuda
