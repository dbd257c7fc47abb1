// Bytes that kernels move, counted while they run on the shim.
//
// The kernels are compiled once more with GCC's -fsanitize=thread, which puts a call before each load and
// store; the functions that it calls are ours (traffic.cpp) and count. Accesses outside the device's
// allocations (stack, shared memory, kernel parameters) are left out. The model of the memory system:
//
//   - memory is read and written in sectors of 32 bytes;
//   - a thread block fetches each sector that it reads once, however often it reads it, and so for the
//   sectors
//     it writes: what one block has fetched serves no other one. (A GPU's L2 serves some of these, and its L1
//     forgets some; `distinct` counts each sector once a launch instead, as an L2 without end would.)
//   - the lanes of a warp that execute one access together request the sectors that their addresses lie in.
//     The ideal is as many sectors as hold the bytes that they ask for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dlcuda/tests/hostcuda/shim.h"

namespace dlcuda::hostcuda {

inline constexpr std::int64_t kSectorBytes = 32;

/// Sectors, but for `launches`.
struct Traffic {
  std::int64_t launches = 0;
  std::int64_t loads = 0, stores = 0;                    ///< a block each
  std::int64_t distinct_loads = 0, distinct_stores = 0;  ///< a launch each
  std::int64_t requested = 0, ideal = 0;                 ///< by warps

  std::int64_t moved_bytes() const { return (loads + stores) * kSectorBytes; }
  std::int64_t distinct_bytes() const { return (distinct_loads + distinct_stores) * kSectorBytes; }
};

/// One at a time in a process.
class TrafficCounter : public LaunchObserver {
 public:
  TrafficCounter();
  ~TrafficCounter() override;
  TrafficCounter(const TrafficCounter&) = delete;
  TrafficCounter& operator=(const TrafficCounter&) = delete;

  /// Since the last call.
  Traffic take();

  void launch_begins(const std::string& kernel, const std::vector<DeviceRange>& memory) override;
  void block_ends() override;
  void launch_ends() override;

  /// `place`: where in the program.
  void access(std::uintptr_t address, std::size_t bytes, bool store, const void* place);

 private:
  struct Access {
    std::uintptr_t address;
    const void* place;
    std::uint32_t bytes;
    std::uint32_t thread;  ///< of the block
    std::uint32_t turn;    ///< how often this thread has been at this place before
    bool store;
  };

  void count_sectors();
  void count_warps();

  std::vector<DeviceRange> memory_;
  DeviceRange recent_{0, 0};
  std::vector<Access> accesses_;                 // of the block
  std::vector<std::uintptr_t> loaded_, stored_;  // sectors: of the launch, once a block
  std::vector<std::uintptr_t> block_loads_, block_stores_;
  Traffic total_;
};

}  // namespace dlcuda::hostcuda
