// The caching allocator on host memory against malloc and std::pmr's pool: one warm block, and a trace that
// looks like a training step. Nothing touches the memory, so what is measured is bookkeeping (and, for
// malloc, the pages that it maps and unmaps for big blocks).
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory_resource>
#include <random>
#include <vector>

#include "dlcuda/core/memory/caching_allocator.h"

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

class Pool {
 public:
  void* allocate(std::size_t bytes) { return pool_.allocate(bytes, 256); }
  void deallocate(void* pointer, std::size_t bytes) { pool_.deallocate(pointer, bytes, 256); }

 private:
  std::pmr::unsynchronized_pool_resource pool_;
};

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

struct Operation {
  std::size_t slot;
  std::size_t bytes;  // 0: free what the slot holds
};

/// Layers of a forward pass that keep an activation and use a workspace, then backward in the opposite order.
std::vector<Operation> training_step(std::size_t layers) {
  std::mt19937 random(1);
  std::vector<Operation> trace;
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < layers; ++i) {
    sizes.push_back(random() % 3 == 0 ? 256 + random() % 65'536 : (64 << 10) + random() % (4 << 20));
  }
  const std::size_t workspace = layers, gradient = layers + 1, next_gradient = layers + 2;
  for (std::size_t i = 0; i < layers; ++i) {
    trace.push_back({i, sizes[i]});
    trace.push_back({workspace, sizes[i] / 2 + 1});
    trace.push_back({workspace, 0});
  }
  for (std::size_t i = layers; i-- > 0;) {
    const std::size_t mine = i % 2 == 0 ? gradient : next_gradient;
    if (i + 2 < layers) trace.push_back({mine, 0});
    trace.push_back({mine, sizes[i]});
    trace.push_back({i, 0});
  }
  trace.push_back({gradient, 0});
  trace.push_back({next_gradient, 0});
  return trace;
}

template <typename Allocator>
void training_trace(benchmark::State& state) {
  Allocator allocator;
  const auto trace = training_step(std::size_t(state.range(0)));
  std::vector<std::pair<void*, std::size_t>> slots(std::size_t(state.range(0)) + 3);
  for (auto _ : state) {
    for (const auto& [slot, bytes] : trace) {
      if (bytes == 0) {
        allocator.deallocate(slots[slot].first, slots[slot].second);
      } else {
        slots[slot] = {allocator.allocate(bytes), bytes};
      }
    }
  }
  state.SetItemsProcessed(std::int64_t(state.iterations()) * std::int64_t(trace.size()));
}
BENCHMARK(training_trace<Caching>)->Arg(16)->Arg(160);
BENCHMARK(training_trace<Malloc>)->Arg(16)->Arg(160);
BENCHMARK(training_trace<Pool>)->Arg(16)->Arg(160);

}  // namespace
}  // namespace dlcuda
