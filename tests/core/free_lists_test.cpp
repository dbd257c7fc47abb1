// How the allocator finds a block that fits, and the block of a pointer.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "dlcuda/core/memory/block.h"
#include "dlcuda/core/memory/pointer_table.h"
#include "dlcuda/core/memory/pool.h"

namespace dlcuda {
namespace {

// Against the definition, over sizes that fall into the same and into different bins.
TEST(FreeLists, BestFitIsExact) {
  std::mt19937_64 random(7);
  std::vector<memory::Block> blocks(400);
  memory::FreeLists lists;
  std::multiset<std::size_t> sizes;
  const auto draw = [&] {
    return memory::kRounding * (1 + (random() >> 24) % (std::size_t(1) << random() % 36));
  };
  for (int i = 0; i < 50'000; ++i) {
    memory::Block& block = blocks[random() % blocks.size()];
    if (block.bytes == 0) {
      block.bytes = draw();
      lists.insert(&block);
      sizes.insert(block.bytes);
    } else {
      lists.remove(&block);
      sizes.erase(sizes.find(block.bytes));
      block.bytes = 0;
    }
    const std::size_t wanted = random() % 2 == 0 || sizes.empty() ? draw() : *sizes.begin();
    const memory::Block* found = lists.best_fit(wanted);
    const auto expected = sizes.lower_bound(wanted);
    ASSERT_EQ(found == nullptr, expected == sizes.end());
    if (found != nullptr) {
      ASSERT_EQ(found->bytes, *expected);
    }
  }
}

TEST(FreeLists, AmongEqualsTheLastFreedComesFirst) {
  std::vector<memory::Block> blocks(3);
  memory::FreeLists lists;
  for (auto& block : blocks) {
    block.bytes = 4096;
    lists.insert(&block);
  }
  EXPECT_EQ(lists.best_fit(4096), &blocks[2]);
  lists.remove(&blocks[2]);
  EXPECT_EQ(lists.best_fit(512), &blocks[1]);
}

TEST(PointerTable, FindsWhatItHolds) {
  std::mt19937 random(5);
  std::vector<memory::Block> blocks(5'000);
  memory::PointerTable table;
  std::vector<bool> inside(blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i)
    blocks[i].pointer = reinterpret_cast<std::byte*>((i + 1) * 512);
  for (int i = 0; i < 100'000; ++i) {
    const std::size_t at = random() % blocks.size();
    ASSERT_EQ(table.find(blocks[at].pointer), inside[at] ? &blocks[at] : nullptr);
    if (inside[at]) {
      ASSERT_EQ(table.erase(blocks[at].pointer), &blocks[at]);
    } else {
      ASSERT_EQ(table.erase(blocks[at].pointer), nullptr);
      table.reserve_one();
      table.insert(&blocks[at]);
    }
    inside[at] = !inside[at];
  }
  EXPECT_EQ(table.size(), std::size_t(std::count(inside.begin(), inside.end(), true)));
}

}  // namespace
}  // namespace dlcuda
