#include "dlcuda/kernels/nms.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "dlcuda/kernels/functors/boxes.h"

namespace dlcuda::kernels::cpu {
namespace {

/// One picture.
template <typename T>
void suppress(const T* boxes, const T* scores, const std::int64_t* classes, std::int64_t count,
              const NmsParams& params, std::int64_t* indices, std::int32_t* kept) {
  using C = compute_t<T>;
  const auto score = [&](std::int64_t i) { return static_cast<C>(scores[i]); };
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < count; ++i) {
    if (score(i) >= static_cast<C>(params.score)) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t i, std::int64_t j) { return score(i) > score(j); });

  std::int32_t n = 0;
  for (const std::int64_t candidate : order) {
    if (n == params.most) break;
    const auto box = [&](std::int64_t i) {
      const T* b = boxes + 4 * i;
      return functors::Box<C>{
          {static_cast<C>(b[0]), static_cast<C>(b[1]), static_cast<C>(b[2]), static_cast<C>(b[3])}};
    };
    const bool suppressed = std::any_of(indices, indices + n, [&](std::int64_t better) {
      return (!classes || classes[better] == classes[candidate]) &&
             functors::Overlap<C, false>(box(better), box(candidate)).value() >
                 static_cast<C>(params.overlap);
    });
    if (!suppressed) indices[n++] = candidate;
  }
  std::fill(indices + n, indices + params.most, -1);
  *kept = n;
}

}  // namespace

void nms(const TensorView& boxes, const TensorView& scores, const TensorView& classes,
         const TensorView& indices, const TensorView& count, const NmsParams& params) {
  const std::int64_t pictures = boxes.shape[0], each = boxes.shape[1];
  const auto run = [&]<typename T>() {
    for (std::int64_t n = 0; n < pictures; ++n) {
      suppress(boxes.as<const T>() + n * each * 4, scores.as<const T>() + n * each,
               classes.data ? classes.as<const std::int64_t>() + n * each : nullptr, each, params,
               indices.as<std::int64_t>() + n * params.most, count.as<std::int32_t>() + n);
    }
  };
  switch (boxes.dtype) {
    case DType::F64:
      return run.operator()<double>();
    case DType::F16:
      return run.operator()<Half>();
    case DType::BF16:
      return run.operator()<BFloat16>();
    default:
      return run.operator()<float>();
  }
}

}  // namespace dlcuda::kernels::cpu
