// What device functions ask of the machinery that runs a block (execution.cpp).
#pragma once

#include <cstdint>
#include <source_location>

namespace dlcuda::hostcuda {

using Where = std::source_location;

enum class BlockOperation { Sync, Count, And, Or };
enum class WarpOperation { Sync, Shuffle, ShuffleUp, ShuffleDown, ShuffleXor, Ballot, Any, All };

/// Waits until every thread of the block has come to the same place; returns what `operation` makes of the
/// predicates.
int block_barrier(BlockOperation operation, bool predicate, Where where);

/// Waits until every lane of `mask` has come to the same place with the same mask. For shuffles `value` holds
/// the bits handed over and `argument` the source lane, distance or lane mask; for votes `value` is the
/// predicate.
std::uint64_t warp_operation(WarpOperation operation, unsigned mask, std::uint64_t value, unsigned argument,
                             int width, Where where);

/// The bit of the running thread's lane.
unsigned lane_bit();

/// The running block's dynamic shared memory.
void* dynamic_shared_memory();

}  // namespace dlcuda::hostcuda
