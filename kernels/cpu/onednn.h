// oneDNN behind one door: engine and stream, descriptors of views, primitives by key, and the differences
// between its versions 2 and 3.
#pragma once

#include <dnnl.hpp>

#include <unordered_map>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/core/tensor.h"
#include "dlcuda/kernels/cpu/scratch.h"

namespace dlcuda::kernels::cpu {

dnnl::engine& onednn_engine();
/// Of the calling thread.
dnnl::stream& onednn_stream();

/// f32 or bf16; others are handled before oneDNN is asked.
dnnl::memory::data_type onednn_type(DType dtype);
/// A descriptor with the view's own strides.
dnnl::memory::desc onednn_desc(const TensorView& view);

/// What tells two primitives of one kind apart: dtypes, extents, strides, parameters, threads.
class OnednnKey {
 public:
  OnednnKey& add(std::int64_t value) {
    values_.push_back(value);
    return *this;
  }
  OnednnKey& add(const TensorView& view);
  bool operator==(const OnednnKey&) const = default;
  struct Hash {
    std::size_t operator()(const OnednnKey& key) const;
  };

 private:
  std::vector<std::int64_t> values_;
};

/// Primitives made so far by this thread, by key: making one takes far longer than running it.
template <typename Entry>
class OnednnCache {
 public:
  template <typename Make>
  Entry& get(const OnednnKey& key, const Make& make) {
    const auto found = entries_.find(key);
    if (found != entries_.end()) return found->second;
    // A bound for programs whose shapes never repeat; shapes that do are soon back.
    if (entries_.size() >= kCapacity) entries_.clear();
    return entries_.emplace(key, make()).first->second;
  }

 private:
  static constexpr std::size_t kCapacity = 1024;
  std::unordered_map<OnednnKey, Entry, OnednnKey::Hash> entries_;
};

/// Attributes with a scratchpad of ours, so that it comes from the caching allocator.
dnnl::primitive_attr onednn_attributes();

/// A primitive descriptor from the arguments that both versions take in the same order.
template <typename Primitive, typename... Arguments>
typename Primitive::primitive_desc onednn_describe_with(const dnnl::primitive_attr& attributes,
                                                        const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(onednn_engine(), arguments..., attributes);
#else
  return
      typename Primitive::primitive_desc(typename Primitive::desc(arguments...), attributes, onednn_engine());
#endif
}
template <typename Primitive, typename... Arguments>
typename Primitive::primitive_desc onednn_describe(const Arguments&... arguments) {
  return onednn_describe_with<Primitive>(onednn_attributes(), arguments...);
}

/// An activation on what a primitive computes.
inline void onednn_append_eltwise(dnnl::post_ops& to, dnnl::algorithm kind, float alpha, float beta) {
#if DNNL_VERSION_MAJOR >= 3
  to.append_eltwise(kind, alpha, beta);
#else
  to.append_eltwise(1.0f, kind, alpha, beta);
#endif
}

/// The same for a backward primitive, which wants the forward one as a hint.
template <typename Primitive, typename Hint, typename... Arguments>
typename Primitive::primitive_desc onednn_describe_backward(const Hint& hint, const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(onednn_engine(), arguments..., hint, onednn_attributes());
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(arguments...), onednn_attributes(),
                                            onednn_engine(), hint);
#endif
}

/// Memory for a descriptor: `data` as it is.
inline dnnl::memory onednn_memory(const dnnl::memory::desc& desc, void* data) {
  return dnnl::memory(desc, onednn_engine(), data);
}

/// Scratch memory for a descriptor.
class OnednnScratch {
 public:
  explicit OnednnScratch(const dnnl::memory::desc& desc)
      : bytes_(desc.get_size()), memory_(onednn_memory(desc, bytes_.data())) {}
  const dnnl::memory& memory() const { return memory_; }

 private:
  Scratch bytes_;
  dnnl::memory memory_;
};

/// Runs a primitive with its scratchpad; turns oneDNN's exceptions into Error.
void onednn_run(const char* op, const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
                std::unordered_map<int, dnnl::memory> arguments);
/// Copies between layouts (and f32/bf16).
void onednn_reorder(const char* op, const dnnl::memory& from, const dnnl::memory& to);

/// A new dense f32 tensor of the view's shape and format, for what will be written.
Tensor onednn_f32_like(const TensorView& view);
/// The view's elements in one, and back: how f16 is computed.
Tensor onednn_to_f32(const TensorView& view);
void onednn_from_f32(const Tensor& from, const TensorView& to);

/// Turns what oneDNN throws within `call` into Error, or OutOfMemoryError.
template <typename Call>
auto onednn_guard(const char* op, const Call& call) {
  try {
    return call();
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) {
      throw OutOfMemoryError(fmt::format("{}: oneDNN ran out of memory", op), 0);
    }
    DLCUDA_THROW(Error, "{}: oneDNN {}.{} refused: {} (status {})", op, DNNL_VERSION_MAJOR,
                 DNNL_VERSION_MINOR, error.what(), int(error.status));
  }
}

}  // namespace dlcuda::kernels::cpu
