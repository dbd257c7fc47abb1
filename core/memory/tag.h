// Tags: every allocation knows who asked for it, so that an out-of-memory message and a snapshot can say it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// A name, stored once per process; copying it costs nothing. Make it once (a layer's constructor) and use it
/// often.
class MemoryTag {
 public:
  /// The tag of what nobody claims: "(untagged)".
  MemoryTag() = default;
  explicit MemoryTag(std::string_view name);

  const std::string& name() const;
  /// Small and dense: 0 for the untagged, then 1, 2, ... in the order of their making.
  std::uint32_t id() const { return id_; }
  static MemoryTag from_id(std::uint32_t id);
  bool operator==(const MemoryTag&) const = default;

 private:
  std::uint32_t id_ = 0;
};

/// What this thread allocates is tagged with this.
MemoryTag current_memory_tag() noexcept;

/// Tags what this thread allocates until the scope ends; the innermost scope counts.
class MemoryTagScope {
 public:
  explicit MemoryTagScope(MemoryTag tag) noexcept;
  explicit MemoryTagScope(std::string_view name) : MemoryTagScope(MemoryTag(name)) {}
  ~MemoryTagScope();
  MemoryTagScope(const MemoryTagScope&) = delete;
  MemoryTagScope& operator=(const MemoryTagScope&) = delete;

 private:
  MemoryTag previous_;
};

}  // namespace dlcuda
