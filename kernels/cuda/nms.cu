// Non-maximum suppression of (N, K) boxes, picture by picture. f32, f16, bf16 with f32 arithmetic.
//
//   order[n, r]       the box of rank r: boxes whose score reaches the threshold come first, by falling score
//   and then
//                     by index. Ranks are counted, not sorted: K comparisons a box, any K, one result.
//   worse[n, r, w]    bit j: the box of rank 64 w + j lies behind rank r, in its class, and overlaps it too
//   much scan              from rank 0 on: a box that no kept one has struck out is kept, and strikes out
//   those in its row
//
// The scan is sequential in the ranks; a block does a picture, its threads share the words of a row. Outputs
// are overwritten: indices (N, most) with -1 behind the last, count (N).
#include "dlcuda/kernels/nms.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/launch.cuh"
#include "dlcuda/kernels/functors/boxes.h"

namespace dlcuda::kernels::cuda {
namespace {

constexpr int kWord = 64;

template <typename T>
__global__ void rank_kernel(const T* scores, std::int64_t pictures, std::int64_t each, float threshold,
                            std::int64_t* order) {
  for (std::int64_t item = global_thread(); item < pictures * each; item += global_threads()) {
    const std::int64_t picture = item / each, i = item % each;
    const T* in = scores + picture * each;
    const float mine = static_cast<float>(in[i]);
    const bool passes = mine >= threshold;  // false for NaN
    std::int64_t rank = 0;
    for (std::int64_t j = 0; j < each; ++j) {
      const float other = static_cast<float>(in[j]);
      const bool other_passes = other >= threshold;
      const bool before = passes && other_passes ? other > mine || (other == mine && j < i)
                                                 : other_passes || (!passes && j < i);
      rank += before ? 1 : 0;
    }
    order[picture * each + rank] = i;
  }
}

template <typename T>
__device__ __forceinline__ functors::Box<float> load_box(const T* boxes, std::int64_t row) {
  functors::Box<float> box;
#pragma unroll
  for (int i = 0; i < 4; ++i) box.v[i] = static_cast<float>(boxes[4 * row + i]);
  return box;
}

template <typename T>
__global__ void overlap_kernel(const T* boxes, const std::int64_t* classes, const std::int64_t* order,
                               std::int64_t pictures, std::int64_t each, std::int64_t words, float threshold,
                               std::uint64_t* worse) {
  for (std::int64_t item = global_thread(); item < pictures * each * words; item += global_threads()) {
    const std::int64_t word = item % words, rank = item / words % each, first = item / words / each * each;
    const std::int64_t better = order[first + rank];
    const functors::Box<float> box = load_box(boxes, first + better);
    std::uint64_t bits = 0;
    for (int j = 0; j < kWord; ++j) {
      const std::int64_t behind = word * kWord + j;
      if (behind <= rank || behind >= each) continue;
      const std::int64_t other = order[first + behind];
      if (classes != nullptr && classes[first + better] != classes[first + other]) continue;
      const functors::Overlap<float, false> overlap(box, load_box(boxes, first + other));
      if (overlap.value() > threshold) bits |= std::uint64_t{1} << j;
    }
    worse[item] = bits;
  }
}

template <typename T>
__global__ void scan_kernel(const T* scores, const std::int64_t* order, const std::uint64_t* worse,
                            std::int64_t each, std::int64_t words, std::int64_t most, float threshold,
                            std::uint64_t* struck, std::int64_t* indices, std::int32_t* count) {
  const std::int64_t picture = blockIdx.x;
  struck += picture * words;
  indices += picture * most;
  for (std::int64_t w = threadIdx.x; w < words; w += blockDim.x) struck[w] = 0;
  __syncthreads();
  std::int64_t kept = 0;
  for (std::int64_t rank = 0; rank < each && kept < most; ++rank) {
    const std::int64_t box = order[picture * each + rank];
    if (!(static_cast<float>(scores[picture * each + box]) >= threshold)) break;
    // All threads read the same word, and have read it before any of them changes it below.
    const bool out = (struck[rank / kWord] >> (rank % kWord) & 1) != 0;
    if (out) continue;
    __syncthreads();
    const std::uint64_t* row = worse + (picture * each + rank) * words;
    for (std::int64_t w = rank / kWord + threadIdx.x; w < words; w += blockDim.x) struck[w] |= row[w];
    if (threadIdx.x == 0) indices[kept] = box;
    ++kept;
    __syncthreads();
  }
  for (std::int64_t i = kept + threadIdx.x; i < most; i += blockDim.x) indices[i] = -1;
  if (threadIdx.x == 0) count[picture] = static_cast<std::int32_t>(kept);
}

}  // namespace

void nms(const TensorView& boxes, const TensorView& scores, const TensorView& classes,
         const TensorView& indices, const TensorView& count, const NmsParams& params) {
  const std::int64_t pictures = boxes.shape[0], each = boxes.shape[1], words = (each + kWord - 1) / kWord;
  const Tensor order = Tensor::empty({pictures, each}, DType::I64, this_device());
  // 64 bits each.
  const Tensor worse = Tensor::empty({pictures, each, words}, DType::I64, this_device());
  const Tensor struck = Tensor::empty({pictures, words}, DType::I64, this_device());
  const auto score = static_cast<float>(params.score);
  visit_float("nms", boxes.dtype, [&]<typename T>() {
    launch("nms rank", rank_kernel<T>, grid_for(pictures * each, kBlock), kBlock, 0, this_stream(),
           scores.as<const T>(), pictures, each, score, order.data<std::int64_t>());
    launch("nms overlap", overlap_kernel<T>, grid_for(pictures * each * words, kBlock), kBlock, 0,
           this_stream(), boxes.as<const T>(), classes.as<const std::int64_t>(), order.data<std::int64_t>(),
           pictures, each, words, static_cast<float>(params.overlap),
           static_cast<std::uint64_t*>(worse.data()));
    launch("nms scan", scan_kernel<T>, static_cast<unsigned>(pictures), kBlock, 0, this_stream(),
           scores.as<const T>(), order.data<std::int64_t>(), static_cast<std::uint64_t*>(worse.data()), each,
           words, params.most, score, static_cast<std::uint64_t*>(struck.data()), indices.as<std::int64_t>(),
           count.as<std::int32_t>());
  });
}

}  // namespace dlcuda::kernels::cuda
