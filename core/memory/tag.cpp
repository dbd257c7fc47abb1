#include "dlcuda/core/memory/tag.h"

#include <deque>
#include <mutex>
#include <unordered_map>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

struct TagNames {
  std::mutex mutex;
  std::deque<std::string> names{"(untagged)"};  // a deque: references stay valid
  std::unordered_map<std::string_view, std::uint32_t> ids{{names.front(), 0}};
};

TagNames& tag_names() {
  static auto* names = new TagNames;
  return *names;
}

thread_local MemoryTag current_tag;

}  // namespace

MemoryTag::MemoryTag(std::string_view name) {
  TagNames& all = tag_names();
  const std::lock_guard lock(all.mutex);
  const auto found = all.ids.find(name);
  if (found != all.ids.end()) {
    id_ = found->second;
    return;
  }
  all.names.emplace_back(name);
  id_ = std::uint32_t(all.names.size() - 1);
  all.ids.emplace(all.names.back(), id_);
}

const std::string& MemoryTag::name() const {
  TagNames& all = tag_names();
  const std::lock_guard lock(all.mutex);
  return all.names[id_];
}

MemoryTag MemoryTag::from_id(std::uint32_t id) {
  TagNames& all = tag_names();
  const std::lock_guard lock(all.mutex);
  DLCUDA_CHECK(id < all.names.size(), ArgumentError, "there is no memory tag {}: {} are known", id,
               all.names.size());
  MemoryTag tag;
  tag.id_ = id;
  return tag;
}

MemoryTag current_memory_tag() noexcept { return current_tag; }

MemoryTagScope::MemoryTagScope(MemoryTag tag) noexcept : previous_(current_tag) { current_tag = tag; }
MemoryTagScope::~MemoryTagScope() { current_tag = previous_; }

}  // namespace dlcuda
