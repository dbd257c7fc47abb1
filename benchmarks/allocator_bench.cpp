// The caching allocator on host memory against malloc and std::pmr's pools: one warm block, and what training
// a ResNet-50 asks for. Nothing touches the memory, so what is measured is bookkeeping (and, for malloc, the
// pages that it maps and unmaps for big blocks).
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory_resource>
#include <utility>
#include <vector>

#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/tests/support/resnet_memory.h"

namespace dlcuda {
namespace {

class Caching {
 public:
  void* allocate(std::size_t bytes) { return allocator_.allocate(bytes, stream_); }
  void deallocate(void* pointer, std::size_t) { allocator_.deallocate(pointer); }

 private:
  CachingAllocator allocator_{host_memory()};
  Stream stream_;
};

class Malloc {
 public:
  void* allocate(std::size_t bytes) { return std::malloc(bytes); }
  void deallocate(void* pointer, std::size_t) { std::free(pointer); }
};

template <typename Resource>
class StandardPool {
 public:
  void* allocate(std::size_t bytes) { return pool_.allocate(bytes, 256); }
  void deallocate(void* pointer, std::size_t bytes) { pool_.deallocate(pointer, bytes, 256); }

 private:
  Resource pool_;
};
using Pool = StandardPool<std::pmr::unsynchronized_pool_resource>;
using SynchronizedPool = StandardPool<std::pmr::synchronized_pool_resource>;

template <typename Allocator>
void warm_block(benchmark::State& state) {
  Allocator allocator;
  const auto bytes = std::size_t(state.range(0));
  for (auto _ : state) {
    void* pointer = allocator.allocate(bytes);
    benchmark::DoNotOptimize(pointer);
    allocator.deallocate(pointer, bytes);
  }
}
BENCHMARK(warm_block<Caching>)->Arg(512)->Arg(256 << 10)->Arg(4 << 20);
BENCHMARK(warm_block<Malloc>)->Arg(512)->Arg(256 << 10)->Arg(4 << 20);
BENCHMARK(warm_block<Pool>)->Arg(512)->Arg(256 << 10)->Arg(4 << 20);
BENCHMARK(warm_block<SynchronizedPool>)->Arg(512)->Arg(256 << 10)->Arg(4 << 20);

/// Parameters, two steps of training a ResNet-50 at batch 8, and the end of it all; once more for each
/// iteration.
template <typename Allocator>
void resnet50_steps(benchmark::State& state) {
  Allocator allocator;
  const ResNetMemory memory = resnet50_memory({.batch = 8});
  std::vector<std::pair<void*, std::size_t>> slots(memory.slots);
  const auto replay = [&] {
    for (const auto& [slot, bytes] : memory.operations) {
      if (bytes == 0) {
        allocator.deallocate(slots[slot].first, slots[slot].second);
      } else {
        slots[slot] = {allocator.allocate(bytes), bytes};
      }
    }
  };
  replay();  // what an allocator keeps, it has then
  for (auto _ : state) replay();
  state.SetItemsProcessed(std::int64_t(state.iterations()) * std::int64_t(memory.operations.size()));
}
BENCHMARK(resnet50_steps<Caching>);
BENCHMARK(resnet50_steps<Malloc>);
BENCHMARK(resnet50_steps<Pool>);
BENCHMARK(resnet50_steps<SynchronizedPool>);

}  // namespace
}  // namespace dlcuda
