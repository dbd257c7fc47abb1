// What the caching allocator tells: numbers, tags, snapshots, traces, and who holds the memory when it is
// exhausted.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "dlcuda/core/check.h"
#include "dlcuda/core/memory/allocator_impl.h"

namespace dlcuda {

using memory::Block;
using memory::BlockState;
using memory::Segment;

namespace {

constexpr std::size_t kNamedTags = 5;

}  // namespace

std::vector<MemoryTagUse> CachingAllocator::Impl::tags_locked() const {
  std::vector<MemoryTagUse> result;
  for (std::size_t id = 0; id < tag_bytes_.size(); ++id) {
    if (tag_bytes_[id] != 0) result.push_back({MemoryTag::from_id(std::uint32_t(id)).name(), tag_bytes_[id]});
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return result;
}

std::vector<MemoryTagUse> CachingAllocator::Impl::tags() const {
  const std::lock_guard lock(mutex_);
  return tags_locked();
}

void CachingAllocator::Impl::throw_out_of_memory(const memory::RequestPlan& plan, MemoryTag tag) {
  ++stats_.out_of_memory;
  std::string free = "unknown";
  try {
    if (const auto bytes = upstream_.free_bytes()) free = format_bytes(*bytes);
  } catch (const Error&) {
    // A failing device must not hide the message.
  }
  const MemoryUse& use = stats_.total;
  const bool limited = options_.limit != std::numeric_limits<std::size_t>::max();
  std::string message = fmt::format(
      "out of memory ({}): {} asked for {} ({} bytes). Free there: {}; reserved here: {}", upstream_.name(),
      tag.name(), format_bytes(plan.requested), plan.requested, free, format_bytes(use.reserved.current));
  if (limited) message += fmt::format(" (limit {})", format_bytes(options_.limit));
  message += fmt::format(", of which active {} and cached {}. ", format_bytes(use.active.current),
                         format_bytes(use.cached()));
  const auto holders = tags_locked();
  for (std::size_t i = 0; i < std::min(holders.size(), kNamedTags); ++i) {
    message +=
        fmt::format("{}{} {}", i == 0 ? "Held by: " : ", ", holders[i].tag, format_bytes(holders[i].bytes));
  }
  message += fmt::format(
      "{}Try a smaller batch, a lower precision (--precision bf16), NoGrad where no gradients are needed, or "
      "{}",
      holders.empty() ? "" : ". ", limited ? "a higher limit" : "ending other programs that use this memory");
  throw OutOfMemoryError(message, plan.requested);
}

std::string CachingAllocator::Impl::snapshot() const {
  const std::lock_guard lock(mutex_);
  auto segments = nlohmann::ordered_json::array();
  for (const Segment* segment = segments_; segment != nullptr; segment = segment->next) {
    auto blocks = nlohmann::ordered_json::array();
    for (const Block* block = segment->first; block != nullptr; block = block->higher) {
      const char* state = block->state == BlockState::Free     ? "free"
                          : block->state == BlockState::Active ? "active"
                                                               : "deferred";
      auto entry = nlohmann::ordered_json{
          {"offset", block->pointer - segment->base}, {"bytes", block->bytes}, {"state", state}};
      if (block->state != BlockState::Free) {
        entry["requested"] = block->requested;
        entry["tag"] = MemoryTag::from_id(block->tag).name();
      }
      blocks.push_back(std::move(entry));
    }
    segments.push_back({{"address", fmt::format("{}", fmt::ptr(segment->base))},
                        {"bytes", segment->bytes},
                        {"pool", segment->small ? "small" : "large"},
                        {"private_pool", segment->arena->pool},
                        {"stream", fmt::format("{}/{}", to_string(segment->arena->stream.device()),
                                               fmt::ptr(segment->arena->stream.native()))},
                        {"blocks", std::move(blocks)}});
  }
  nlohmann::ordered_json result{{"resource", upstream_.name()},
                                {"reserved", stats_.total.reserved.current},
                                {"active", stats_.total.active.current},
                                {"deferred", stats_.deferred},
                                {"segments", std::move(segments)}};
  if (options_.limit != std::numeric_limits<std::size_t>::max()) result["limit"] = options_.limit;
  return result.dump(1);
}

void CachingAllocator::Impl::start_trace(std::size_t capacity) {
  const std::lock_guard lock(mutex_);
  DLCUDA_CHECK(!trace_.recording(), Error, "start_trace: the {} allocator writes a trace already",
               upstream_.name());
  MemoryTrace trace;
  trace.resource = upstream_.name();
  trace.reserved_at_start = stats_.total.reserved.current;
  trace.held_at_start = tags_locked();
  trace_.start(std::move(trace), capacity);
}

MemoryTrace CachingAllocator::Impl::stop_trace() {
  const std::lock_guard lock(mutex_);
  DLCUDA_CHECK(trace_.recording(), Error,
               "stop_trace: the {} allocator writes no trace: call start_trace() first", upstream_.name());
  return trace_.stop();
}

std::optional<std::size_t> CachingAllocator::capacity() const {
  const std::optional<std::size_t> free = impl_->upstream_.free_bytes();
  const std::lock_guard lock(impl_->mutex_);
  const std::size_t limit = impl_->options_.limit;
  if (free) return std::min(limit, impl_->stats_.total.reserved.current + *free);
  if (limit == std::numeric_limits<std::size_t>::max()) return std::nullopt;
  return limit;
}

MemoryStats CachingAllocator::stats() const {
  const std::lock_guard lock(impl_->mutex_);
  return impl_->stats_;
}

void CachingAllocator::reset_peaks() {
  const std::lock_guard lock(impl_->mutex_);
  for (MemoryUse* use : {&impl_->stats_.total, &impl_->stats_.small, &impl_->stats_.large}) {
    for (MemoryCounter* counter :
         {&use->requested, &use->active, &use->blocks, &use->reserved, &use->segments}) {
      counter->peak = counter->current;
    }
  }
}

std::vector<MemoryTagUse> CachingAllocator::tags() const { return impl_->tags(); }
std::string CachingAllocator::snapshot() const { return impl_->snapshot(); }
void CachingAllocator::start_trace(std::size_t capacity) { impl_->start_trace(capacity); }
MemoryTrace CachingAllocator::stop_trace() { return impl_->stop_trace(); }

std::string CachingAllocator::name() const { return impl_->upstream_.name(); }
bool CachingAllocator::pass_through() const { return impl_->options_.pass_through; }

}  // namespace dlcuda
