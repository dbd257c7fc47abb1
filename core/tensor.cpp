#include "dlcuda/core/tensor.h"

#include <algorithm>
#include <cstring>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/capture.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/runtime.h"
#include "dlcuda/core/memory/storage.h"
#include "dlcuda/core/stream.h"
#include "dlcuda/core/transfer.h"

namespace dlcuda {

struct Tensor::Impl {
  std::shared_ptr<Storage> storage;
  std::size_t offset = 0;  // bytes
  Shape shape;
  Strides strides{};
  DType dtype = DType::F32;
  MemoryFormat format = MemoryFormat::Contiguous;
  autograd::Meta meta;

  /// Empty tensors may have no memory at all, and then nothing to be offset.
  std::byte* data() const {
    const auto begin = static_cast<std::byte*>(storage->data());
    return begin == nullptr ? nullptr : begin + offset;
  }
};

namespace {

/// Strides of axes with fewer than two elements never matter, and no elements lie in every order.
bool same_layout(const Shape& shape, const Strides& a, const Strides& b) {
  if (shape.numel() == 0) return true;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] > 1 && a[axis] != b[axis]) return false;
  }
  return true;
}

/// Whether a plan copies nothing here.
bool is_left_out(Device to, Device from) {
  return to.is_cuda() && from.is_cuda() ? !capture::queues_cuda_work() : capture::planning() != nullptr;
}

/// `source`: what keeps the host memory that is copied from, if anything does.
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes,
                Storage* source = nullptr) {
  if (bytes == 0 || is_left_out(to_device, from_device)) return;
  const RowCopy row{static_cast<std::byte*>(to), bytes, static_cast<const std::byte*>(from), bytes, bytes, 1};
  if (to_device.is_cpu() && from_device.is_cpu()) {
    copy_rows(row);
  } else {
    transfer(row, to_device, from_device, source);
  }
}

// What copies between tensors of the host and fills them is recorded; reading values, or making a tensor of
// values, is not: they would be those of the first step for ever.
constexpr const char* kReadsValues = "a tensor's values are read on the host";
constexpr const char* kTakesValues =
    "a tensor is made of values on the host: keep what changes from step to step in a tensor, and make what "
    "does not before the step";
constexpr const char* kCrossesDevices = "a tensor is copied between two devices";

std::byte* bytes_of(const Tensor& tensor) { return static_cast<std::byte*>(tensor.data()); }

void clear_bytes(void* to, std::size_t bytes) { std::memset(to, 0, bytes); }

/// Elements of a view in logical order. `from` is host memory.
void gather_to_host(const TensorView& view, std::size_t element, const std::byte* from, std::byte* to) {
  std::int64_t index[kMaxRank] = {};
  const std::int64_t count = view.numel();
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t position = 0;
    for (int axis = 0; axis < view.rank; ++axis) position += index[axis] * view.strides[axis];
    std::memcpy(to + std::size_t(i) * element, from + std::size_t(position) * element, element);
    for (int axis = view.rank - 1; axis >= 0 && ++index[axis] == view.shape[axis]; --axis) index[axis] = 0;
  }
}

/// Elements from the first to the last one of a view, gaps included.
std::size_t span_of(const TensorView& view) {
  if (view.numel() == 0) return 0;
  std::int64_t last = 0;
  for (int axis = 0; axis < view.rank; ++axis) last += (view.shape[axis] - 1) * view.strides[axis];
  return std::size_t(last) + 1;
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device, MemoryFormat format) {
  auto impl = std::make_shared<Impl>();
  if (shape.rank() != 4) format = MemoryFormat::Contiguous;
  impl->strides = dense_strides(shape, format);
  impl->storage = Storage::allocate(checked_bytes(shape, size_of(dtype)), device);
  impl->shape = shape;
  impl->dtype = dtype;
  impl->format = format;
  return Tensor(std::move(impl));
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device, MemoryFormat format) {
  Tensor result = empty(shape, dtype, device, format);
  result.zero();
  return result;
}

Tensor Tensor::from_blob(void* data, const Shape& shape, DType dtype, Device device,
                         std::function<void(void*)> deleter, MemoryFormat format) {
  auto impl = std::make_shared<Impl>();
  impl->strides = dense_strides(shape, format);
  impl->storage = Storage::borrow(data, checked_bytes(shape, size_of(dtype)), device, std::move(deleter));
  impl->shape = shape;
  impl->dtype = dtype;
  impl->format = format;
  return Tensor(std::move(impl));
}

Tensor Tensor::from_host(const void* values, std::size_t count, DType dtype, const Shape& shape,
                         Device device) {
  DLCUDA_CHECK(count == std::size_t(shape.numel()), ShapeError,
               "from_values: shape {} has {} elements, got {} values", to_string(shape), shape.numel(),
               count);
  capture::refuse(kTakesValues);
  Tensor result = empty(shape, dtype, device);
  copy_bytes(result.data(), device, values, Device::cpu(), result.nbytes());
  return result;
}

Tensor Tensor::empty_like(const Tensor& other) {
  return empty(other.shape(), other.dtype(), other.device(), other.format());
}

Tensor Tensor::zeros_like(const Tensor& other) {
  return zeros(other.shape(), other.dtype(), other.device(), other.format());
}

const Tensor::Impl& Tensor::impl() const {
  DLCUDA_CHECK(impl_ != nullptr, Error, "an undefined tensor was used");
  return *impl_;
}

const Shape& Tensor::shape() const { return impl().shape; }
std::size_t Tensor::nbytes() const {
  const Impl& self = impl();
  return std::size_t(self.shape.numel()) * size_of(self.dtype);
}
DType Tensor::dtype() const { return impl().dtype; }
Device Tensor::device() const { return impl().storage->device(); }
MemoryFormat Tensor::format() const { return impl().format; }
const Strides& Tensor::strides() const { return impl().strides; }

bool Tensor::is_dense() const {
  const Impl& self = impl();
  return same_layout(self.shape, self.strides, dense_strides(self.shape, self.format));
}

bool Tensor::is_contiguous() const {
  const Impl& self = impl();
  return same_layout(self.shape, self.strides, dense_strides(self.shape, MemoryFormat::Contiguous));
}

bool Tensor::is_channels_last() const {
  const Impl& self = impl();
  return self.shape.rank() == 4 &&
         same_layout(self.shape, self.strides, dense_strides(self.shape, MemoryFormat::ChannelsLast));
}

void* Tensor::data() const { return impl().data(); }

TensorView Tensor::raw() const {
  const Impl& self = impl();
  TensorView view;
  view.data = self.data();
  view.rank = self.shape.rank();
  view.dtype = self.dtype;
  std::copy(self.shape.extents().begin(), self.shape.extents().end(), view.shape);
  std::copy(self.strides.begin(), self.strides.end(), view.strides);
  return view;
}

void Tensor::require_dtype(DType expected) const {
  DLCUDA_CHECK(dtype() == expected, DTypeError, "expected a tensor of {}, got {}; cast it first",
               to_string(expected), to_string(dtype()));
}

void Tensor::require_outside_graph(const char* operation) const {
  DLCUDA_CHECK(!(autograd::grad_enabled() && requires_grad()), Error,
               "{} is not differentiable: take it of detach(), or under NoGrad", operation);
}

Tensor Tensor::view(std::initializer_list<std::int64_t> extents) const {
  std::vector<std::int64_t> wanted(extents);
  std::int64_t known = 1, *inferred = nullptr;
  for (auto& extent : wanted) {
    if (extent != -1) {
      DLCUDA_CHECK(!__builtin_mul_overflow(known, extent, &known), ShapeError,
                   "view: the shape [{}] has more than 2^63 - 1 elements", fmt::join(extents, ", "));
      continue;
    }
    DLCUDA_CHECK(inferred == nullptr, ShapeError, "view: only one extent can be -1, got [{}]",
                 fmt::join(extents, ", "));
    inferred = &extent;
  }
  if (inferred) {
    DLCUDA_CHECK(known > 0 && numel() % known == 0, ShapeError, "view: {} cannot take shape [{}]",
                 to_string(shape()), fmt::join(extents, ", "));
    *inferred = numel() / known;
  }
  return view(Shape(std::span<const std::int64_t>(wanted)));
}

Tensor Tensor::view(const Shape& shape) const {
  DLCUDA_CHECK(
      is_contiguous(), ShapeError,
      "view: a {} tensor of shape {} does not lie in N, C, H, W order; take kernels::contiguous() first",
      is_dense() ? to_string(format()) : "sliced", to_string(this->shape()));
  DLCUDA_CHECK(shape.numel() == numel(), ShapeError, "view: {} has {} elements, shape {} has {}",
               to_string(this->shape()), numel(), to_string(shape), shape.numel());
  auto impl = std::make_shared<Impl>(*impl_);
  impl->meta = {};
  impl->shape = shape;
  impl->strides = dense_strides(shape, MemoryFormat::Contiguous);
  impl->format = MemoryFormat::Contiguous;
  return autograd::record(
      "view", Tensor(std::move(impl)), {*this},
      [before = this->shape(), format = this->format()](const autograd::BackwardContext& context) {
        return std::vector{context.grad.view(before).with_format(format)};
      });
}

Tensor Tensor::with_format(MemoryFormat format) const {
  if (this->format() == format || rank() != 4) return *this;
  DLCUDA_CHECK(same_layout(shape(), strides(), dense_strides(shape(), format)), ShapeError,
               "with_format: shape {} lies differently in {} memory; use kernels::to_format",
               to_string(shape()), to_string(format));
  auto impl = std::make_shared<Impl>(*impl_);
  impl->meta = {};
  impl->format = format;
  impl->strides = dense_strides(shape(), format);
  return autograd::record("with_format", Tensor(std::move(impl)), {*this},
                          [before = this->format()](const autograd::BackwardContext& context) {
                            return std::vector{context.grad.with_format(before)};
                          });
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  require_outside_graph("slice");
  DLCUDA_CHECK(rank() >= 1 && 0 <= begin && begin <= end && end <= size(0), ShapeError,
               "slice: rows {}..{} are not within shape {}", begin, end, to_string(shape()));
  auto impl = std::make_shared<Impl>(*impl_);
  impl->meta = {};
  std::vector<std::int64_t> extents(shape().extents().begin(), shape().extents().end());
  extents[0] = end - begin;
  impl->shape = Shape(std::span<const std::int64_t>(extents));
  impl->offset += std::size_t(begin * impl->strides[0]) * size_of(impl->dtype);
  return Tensor(std::move(impl));
}

Tensor Tensor::channel_slice(std::int64_t begin, std::int64_t end) const {
  require_outside_graph("channel_slice");
  DLCUDA_CHECK(rank() >= 2 && 0 <= begin && begin <= end && end <= size(1), ShapeError,
               "channel_slice: channels {}..{} are not within shape {}", begin, end, to_string(shape()));
  auto impl = std::make_shared<Impl>(*impl_);
  impl->meta = {};
  std::vector<std::int64_t> extents(shape().extents().begin(), shape().extents().end());
  extents[1] = end - begin;
  impl->shape = Shape(std::span<const std::int64_t>(extents));
  impl->offset += std::size_t(begin * impl->strides[1]) * size_of(impl->dtype);
  return Tensor(std::move(impl));
}

Tensor Tensor::to(Device device) const {
  if (device == this->device()) return *this;
  Tensor result = empty(shape(), dtype(), device, format());
  result.copy_from(*this);
  return autograd::record("to", std::move(result), {*this},
                          [before = this->device()](const autograd::BackwardContext& context) {
                            return std::vector{context.grad.to(before)};
                          });
}

Tensor Tensor::clone() const {
  Tensor result = empty_like(*this);
  result.copy_from(*this);
  return result;
}

void Tensor::copy_from(const Tensor& source) {
  DLCUDA_CHECK(source.shape() == shape(), ShapeError, "copy_from: expected shape {}, got {}",
               to_string(shape()), to_string(source.shape()));
  DLCUDA_CHECK(source.dtype() == dtype(), DTypeError, "copy_from: expected {}, got {}; cast it first",
               to_string(dtype()), to_string(source.dtype()));
  const bool on_host = device().is_cpu() && source.device().is_cpu();
  if (!(device() == source.device())) capture::refuse(kCrossesDevices);
  const bool dense = is_dense() && source.is_dense();
  if (dense && same_layout(shape(), strides(), source.strides())) {
    if (on_host) {
      capture::call(copy_rows, RowCopy{bytes_of(*this), nbytes(), bytes_of(source), nbytes(), nbytes(),
                                       nbytes() == 0 ? 0 : 1});
    } else {
      copy_bytes(data(), device(), source.data(), source.device(), nbytes(), source.impl().storage.get());
    }
  } else {
    // A slice: rows of the dense part, one pitch apart. In N, C, H, W order a row is an image's channels, in
    // channels-last a pixel's.
    const bool last = format() == MemoryFormat::ChannelsLast;
    DLCUDA_CHECK(format() == source.format(), ShapeError,
                 "copy_from: the memory formats differ ({} and {}); use kernels::to_format",
                 to_string(format()), to_string(source.format()));
    const std::int64_t rows = last ? size(0) * size(2) * size(3) : size(0);
    const std::size_t width = rows == 0 ? 0 : nbytes() / std::size_t(rows);
    const auto pitch_of = [&](const Tensor& tensor) {
      return std::size_t(last ? tensor.strides()[3] : tensor.strides()[0]) * size_of(dtype());
    };
    const RowCopy copy{bytes_of(*this), pitch_of(*this), bytes_of(source), pitch_of(source), width, rows};
    if (rows == 0 || width == 0) {
      // Nothing to copy.
    } else if (on_host) {
      capture::call(copy_rows, copy);
    } else if (!is_left_out(device(), source.device())) {
      transfer(copy, device(), source.device(), source.impl().storage.get());
    }
  }
  bump_version();
}

void Tensor::zero() {
  DLCUDA_CHECK(is_dense(), ShapeError, "zero: shape {} is a slice; fill it with kernels::fill",
               to_string(shape()));
  if (nbytes() > 0) {
    if (device().is_cpu()) {
      capture::call(clear_bytes, data(), nbytes());
    } else if (capture::queues_cuda_work()) {
      cuda::fill_bytes(device().index, data(), 0, nbytes(), current_stream(device()).native());
    }
  }
  bump_version();
}

void Tensor::copy_to_host(void* to) const {
  if (numel() == 0) return;
  capture::refuse(kReadsValues);
  if (capture::planning() != nullptr) {
    std::memset(to, 0, nbytes());
    return;
  }
  if (is_contiguous()) {
    copy_bytes(to, Device::cpu(), data(), device(), nbytes());
    return;
  }
  const TensorView view = raw();
  if (device().is_cpu()) {
    gather_to_host(view, size_of(dtype()), static_cast<const std::byte*>(data()),
                   static_cast<std::byte*>(to));
    return;
  }
  std::vector<std::byte> staged(span_of(view) * size_of(dtype()));
  copy_bytes(staged.data(), Device::cpu(), data(), device(), staged.size());
  gather_to_host(view, size_of(dtype()), staged.data(), static_cast<std::byte*>(to));
}

void Tensor::copy_item(void* to) const {
  DLCUDA_CHECK(numel() == 1, ShapeError, "item: expected one element, got shape {}", to_string(shape()));
  copy_to_host(to);
}

bool Tensor::requires_grad() const { return impl().meta.requires_grad; }

Tensor& Tensor::set_requires_grad(bool value) {
  DLCUDA_CHECK(!impl().meta.node, Error,
               "set_requires_grad: a computed tensor has its gradient by its inputs; detach() it");
  DLCUDA_CHECK(!value || is_floating_point(dtype()), DTypeError,
               "set_requires_grad: only floating-point tensors have gradients, got {}", to_string(dtype()));
  impl_->meta.requires_grad = value;
  return *this;
}

Tensor Tensor::grad() const { return impl().meta.grad; }
std::uint64_t Tensor::grad_stamp() const { return impl().meta.grad_stamp; }

Tensor Tensor::detach() const {
  auto copy = std::make_shared<Impl>(impl());
  copy->meta = {};
  return Tensor(std::move(copy));
}

std::uint64_t Tensor::version() const { return impl().storage->version(); }
void Tensor::bump_version() const { impl().storage->bump_version(); }
bool Tensor::unique() const { return impl_.use_count() == 1 && impl().storage.use_count() == 1; }

autograd::Meta& Tensor::meta() const {
  (void)impl();
  return impl_->meta;
}

}  // namespace dlcuda
