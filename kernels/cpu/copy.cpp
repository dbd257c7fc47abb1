#include "dlcuda/kernels/copy.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/convert.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// Axes in the order in which `to` lies in memory, outermost first, without those of extent 1, and with
/// neighbours merged where both sides allow it.
struct Walk {
  int rank = 0;
  std::int64_t extent[kMaxRank], from_stride[kMaxRank], to_stride[kMaxRank];
};

DLCUDA_INLINE Walk plan(const TensorView& from, const TensorView& to) {
  Walk walk;
  for (int axis = 0; axis < to.rank; ++axis) {
    if (to.shape[axis] == 1) continue;
    int at = walk.rank++;
    for (; at > 0 && walk.to_stride[at - 1] < to.strides[axis]; --at) {
      walk.extent[at] = walk.extent[at - 1];
      walk.from_stride[at] = walk.from_stride[at - 1];
      walk.to_stride[at] = walk.to_stride[at - 1];
    }
    walk.extent[at] = to.shape[axis];
    walk.from_stride[at] = from.strides[axis];
    walk.to_stride[at] = to.strides[axis];
  }
  int kept = 0;
  for (int axis = 1; axis < walk.rank; ++axis) {
    const bool mergeable = walk.from_stride[kept] == walk.from_stride[axis] * walk.extent[axis] &&
                           walk.to_stride[kept] == walk.to_stride[axis] * walk.extent[axis];
    if (!mergeable) ++kept;
    walk.extent[kept] = mergeable ? walk.extent[kept] * walk.extent[axis] : walk.extent[axis];
    walk.from_stride[kept] = walk.from_stride[axis];
    walk.to_stride[kept] = walk.to_stride[axis];
  }
  if (walk.rank == 0) {
    walk.extent[0] = walk.from_stride[0] = walk.to_stride[0] = 1;
  }
  walk.rank = kept + 1;
  return walk;
}

}  // namespace

void copy(const TensorView& from, const TensorView& to) {
  if (to.numel() == 0) return;
  const Walk walk = plan(from, to);
  const int inner = walk.rank - 1;
  const std::int64_t length = walk.extent[inner];
  const std::int64_t from_step = walk.from_stride[inner], to_step = walk.to_stride[inner];
  visit_any(from.dtype, [&]<typename From>() {
    visit_any(to.dtype, [&]<typename To>() {
      const From* source = from.as<const From>();
      To* target = to.as<To>();
      if (inner == 0 && from_step == 1 && to_step == 1) {
        parallel_for(length, kGrain, [=](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) target[i] = functors::convert<To>(source[i]);
        });
        return;
      }
      const std::int64_t rows = to.numel() / length;
      parallel_for(rows, kGrain / length + 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          std::int64_t rest = row, from_at = 0, to_at = 0;
          for (int axis = inner - 1; axis >= 0; --axis) {
            const std::int64_t index = rest % walk.extent[axis];
            rest /= walk.extent[axis];
            from_at += index * walk.from_stride[axis];
            to_at += index * walk.to_stride[axis];
          }
          for (std::int64_t i = 0; i < length; ++i) {
            target[to_at + i * to_step] = functors::convert<To>(source[from_at + i * from_step]);
          }
        }
      });
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
