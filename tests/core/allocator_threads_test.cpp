// Many threads on one allocator: nobody's block is anybody else's, and the numbers add up. A million
// operations in each thread under ThreadSanitizer or where DLCUDA_LONG_TESTS is set, fewer otherwise.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "memory_fakes.h"

namespace dlcuda {
namespace {

using testing::fake_stream;
using testing::kMiB;

constexpr unsigned kThreads = 8;

int operations_of_each_thread() {
#ifdef __SANITIZE_THREAD__
  return 1'000'000;
#else
  return std::getenv("DLCUDA_LONG_TESTS") != nullptr ? 1'000'000 : 5'000;
#endif
}

/// Host memory that counts what is out.
class CountingResource final : public MemoryResource {
 public:
  void* allocate(std::size_t bytes) override {
    void* pointer = host_memory().allocate(bytes);
    if (pointer != nullptr) used += bytes;
    return pointer;
  }
  void deallocate(void* pointer, std::size_t bytes) noexcept override {
    used -= bytes;
    host_memory().deallocate(pointer, bytes);
  }
  std::string name() const override { return "counting"; }

  std::atomic<std::size_t> used = 0;
};

/// Events that have happened when they are asked for the third time. Called under the allocator's lock only.
class SlowEvents final : public EventSource {
 public:
  Handle record(const Stream&) override {
    ++live;
    return new int(0);
  }
  bool finished(Handle event) override { return ++*static_cast<int*>(event) >= 3; }
  void synchronize(Handle) override {}
  void release(Handle event) noexcept override {
    --live;
    delete static_cast<int*>(event);
  }

  int live = 0;
};

/// A block with its holder's mark at both of its ends: whoever else were given a part of it would be seen.
class MarkedBlock {
 public:
  MarkedBlock(void* pointer, std::size_t bytes, std::uint64_t mark)
      : pointer_(static_cast<std::byte*>(pointer)), bytes_(bytes), mark_(mark) {
    std::memcpy(pointer_, &mark_, sizeof mark_);
    std::memcpy(pointer_ + bytes_ - sizeof mark_, &mark_, sizeof mark_);
  }
  void* pointer() const { return pointer_; }
  bool intact() const {
    return std::memcmp(pointer_, &mark_, sizeof mark_) == 0 &&
           std::memcmp(pointer_ + bytes_ - sizeof mark_, &mark_, sizeof mark_) == 0;
  }

 private:
  std::byte* pointer_;
  std::size_t bytes_;
  std::uint64_t mark_;
};

/// Through which threads hand blocks to others, who free them.
using Exchange = std::array<std::atomic<MarkedBlock*>, 16>;

class Worker {
 public:
  Worker(unsigned id, CachingAllocator& allocator, Exchange& exchange)
      : id_(id), allocator_(allocator), exchange_(exchange), random_(id) {}

  void run(int operations) {
    const MemoryTagScope scope("worker " + std::to_string(id_));
    for (int i = 0; i < operations; ++i) {
      const unsigned choice = random_() % 10'000;
      if (choice < 4800) {
        allocate(i);
      } else if (choice < 9000) {
        free_one();
      } else if (choice < 9600) {
        if (!held_.empty()) allocator_.record_stream(any()->pointer(), stream());
      } else if (choice < 9900) {
        if (!held_.empty()) swap_one();
      } else if (choice < 9995) {
        check_stats();
      } else {
        allocator_.empty_cache();
      }
    }
    while (!held_.empty()) free_one();
  }

  std::uint64_t damaged = 0, wrong_stats = 0, refused = 0;

 private:
  static Stream stream_of(unsigned number) { return fake_stream(1 + number % 3); }
  Stream stream() { return stream_of(unsigned(random_())); }
  std::unique_ptr<MarkedBlock>& any() {
    std::swap(held_[random_() % held_.size()], held_.back());
    return held_.back();
  }

  void allocate(int number) {
    if (held_.size() >= 48) return free_one();
    const std::size_t bytes = random_() % 40 != 0 ? 16 + random_() % 50'000 : kMiB + random_() % (3 * kMiB);
    try {
      void* pointer = allocator_.allocate(bytes, stream());
      const std::uint64_t mark = std::uint64_t(id_) << 56 | std::uint64_t(number);
      held_.push_back(std::make_unique<MarkedBlock>(pointer, bytes, mark));
    } catch (const OutOfMemoryError&) {
      ++refused;
      free_one();
    }
  }

  void free_one() {
    if (held_.empty()) return;
    release(*any());
    held_.pop_back();
  }

  void release(const MarkedBlock& block) {
    if (!block.intact()) ++damaged;
    allocator_.deallocate(block.pointer());
  }

  void swap_one() {
    const std::unique_ptr<MarkedBlock> theirs(
        exchange_[random_() % exchange_.size()].exchange(any().release()));
    held_.pop_back();
    if (theirs) release(*theirs);
  }

  void check_stats() {
    const MemoryStats stats = allocator_.stats();
    const MemoryUse& use = stats.total;
    bool right = use.requested.current <= use.active.current && use.active.current <= use.reserved.current;
    for (const MemoryCounter MemoryUse::*counter :
         {&MemoryUse::requested, &MemoryUse::active, &MemoryUse::blocks, &MemoryUse::reserved,
          &MemoryUse::segments}) {
      const MemoryCounter& total = use.*counter;
      right &= total.allocated - total.freed == total.current && total.current <= total.peak;
      right &= (stats.small.*counter).current + (stats.large.*counter).current == total.current;
    }
    if (!right) ++wrong_stats;
  }

  unsigned id_;
  CachingAllocator& allocator_;
  Exchange& exchange_;
  std::mt19937 random_;
  std::vector<std::unique_ptr<MarkedBlock>> held_;
};

TEST(AllocatorThreads, BlocksStayApartAndTheNumbersAddUp) {
  CountingResource resource;
  SlowEvents events;
  CachingAllocator allocator(resource, {.limit = 40 * kMiB}, &events);
  Exchange exchange{};
  std::vector<Worker> workers;
  for (unsigned id = 0; id < kThreads; ++id) workers.emplace_back(id, allocator, exchange);
  {
    std::vector<std::thread> threads;
    for (Worker& worker : workers) {
      threads.emplace_back([&worker] { worker.run(operations_of_each_thread()); });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::uint64_t refused = 0;
  for (const Worker& worker : workers) {
    EXPECT_EQ(worker.damaged, 0u);
    EXPECT_EQ(worker.wrong_stats, 0u);
    refused += worker.refused;
  }
  for (auto& left : exchange) {
    const std::unique_ptr<MarkedBlock> block(left.load());
    if (!block) continue;
    EXPECT_TRUE(block->intact());
    allocator.deallocate(block->pointer());
  }
  // Each call asks for few of the events.
  for (int i = 0; i < 10'000 && allocator.stats().deferred != 0; ++i) allocator.empty_cache();
  allocator.empty_cache();
  const MemoryStats stats = allocator.stats();
  EXPECT_GT(stats.flushes, 0u) << "the limit must be felt for this test to mean anything";
  EXPECT_EQ(stats.out_of_memory, refused);
  EXPECT_EQ(stats.deferred, 0u);
  EXPECT_EQ(events.live, 0);
  EXPECT_EQ(stats.total.requested.current, 0u);
  EXPECT_EQ(stats.total.active.current, 0u);
  EXPECT_EQ(stats.total.blocks.current, 0u);
  EXPECT_EQ(stats.total.reserved.current, 0u);
  EXPECT_EQ(stats.total.requested.allocated, stats.total.requested.freed);
  EXPECT_TRUE(allocator.tags().empty());
  EXPECT_EQ(resource.used, 0u);
}

}  // namespace
}  // namespace dlcuda
