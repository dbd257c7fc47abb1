#include "dlcuda/kernels/cpu/onednn.h"

#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels::cpu {

dnnl::engine& onednn_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& onednn_stream() {
  thread_local dnnl::stream stream(onednn_engine());
  return stream;
}

dnnl::memory::data_type onednn_type(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return dnnl::memory::data_type::f32;
    case DType::BF16:
      return dnnl::memory::data_type::bf16;
    case DType::U8:
      return dnnl::memory::data_type::u8;
    default:
      DLCUDA_THROW(DTypeError, "oneDNN: no counterpart of {}", to_string(dtype));
  }
}

dnnl::memory::desc onednn_desc(const TensorView& view) {
  const dnnl::memory::dims extents(view.shape, view.shape + view.rank),
      strides(view.strides, view.strides + view.rank);
  return dnnl::memory::desc(extents, onednn_type(view.dtype), strides);
}

OnednnKey& OnednnKey::add(const TensorView& view) {
  values_.push_back((std::int64_t(view.dtype) << 8) | view.rank);
  values_.insert(values_.end(), view.shape, view.shape + view.rank);
  values_.insert(values_.end(), view.strides, view.strides + view.rank);
  return *this;
}

std::size_t OnednnKey::Hash::operator()(const OnednnKey& key) const {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const auto value : key.values_) {
    hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return hash;
}

dnnl::primitive_attr onednn_attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

void onednn_run(const char* op, const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
                std::unordered_map<int, dnnl::memory> arguments) {
  const OnednnScratch scratch(scratchpad);
  arguments.insert({DNNL_ARG_SCRATCHPAD, scratch.memory()});
  onednn_guard(op, [&] { primitive.execute(onednn_stream(), arguments); });
  onednn_stream().wait();
}

void onednn_reorder(const char* op, const dnnl::memory& from, const dnnl::memory& to) {
  struct Reorder {
    dnnl::reorder::primitive_desc desc;
    dnnl::reorder primitive;
  };
  // Few layouts meet in a program, and descriptors compare cheaply: a list is enough.
  thread_local std::vector<Reorder> made;
  for (const Reorder& reorder : made) {
    if (reorder.desc.src_desc() == from.get_desc() && reorder.desc.dst_desc() == to.get_desc()) {
      onednn_run(op, reorder.primitive, reorder.desc.scratchpad_desc(),
                 {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
      return;
    }
  }
  if (made.size() >= 256) made.clear();
  made.push_back(onednn_guard(op, [&] {
    const dnnl::reorder::primitive_desc desc(from, to, onednn_attributes());
    return Reorder{desc, dnnl::reorder(desc)};
  }));
  onednn_run(op, made.back().primitive, made.back().desc.scratchpad_desc(),
             {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

Tensor onednn_f32_like(const TensorView& view) {
  const Shape shape(std::span<const std::int64_t>(view.shape, std::size_t(view.rank)));
  const bool channels_last = view.rank == 4 && view.strides[1] == 1 && view.strides[3] == view.shape[1];
  return Tensor::empty(shape, DType::F32, Device::cpu(),
                       channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
}

Tensor onednn_to_f32(const TensorView& view) {
  const Tensor result = onednn_f32_like(view);
  DLCUDA_BEST_LOOP(copy)(view, result.raw());
  return result;
}

void onednn_from_f32(const Tensor& from, const TensorView& to) { DLCUDA_BEST_LOOP(copy)(from.raw(), to); }

}  // namespace dlcuda::kernels::cpu
