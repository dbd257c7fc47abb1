#include "dlcuda/kernels/cpu/scratch.h"

#include <cstdint>
#include <vector>

#include "dlcuda/core/memory/tag.h"
#include "dlcuda/core/tensor.h"

namespace dlcuda::kernels::cpu {
namespace {

struct Slots {
  std::vector<Tensor> memory;
  std::size_t lent = 0;
};
thread_local Slots slots;

}  // namespace

Scratch::Scratch(std::size_t bytes) {
  if (slots.lent == slots.memory.size()) slots.memory.push_back(Tensor::empty({0}, DType::U8));
  Tensor& memory = slots.memory[slots.lent];
  if (memory.nbytes() < bytes) {
    static const MemoryTag tag("scratch");
    const MemoryTagScope scope(tag);
    memory = Tensor::empty({0}, DType::U8);  // gives the smaller one back first
    memory = Tensor::empty({std::int64_t(bytes)}, DType::U8);
  }
  ++slots.lent;
  data_ = memory.data();
}

Scratch::~Scratch() { --slots.lent; }

}  // namespace dlcuda::kernels::cpu
