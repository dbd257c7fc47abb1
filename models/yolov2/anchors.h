// Anchors from data: the box sizes of a data set in a few groups, alike in shape (Redmon & Farhadi, 2017,
// section 2).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// In whatever unit; both positive.
struct BoxSize {
  double width = 0, height = 0;
  bool operator==(const BoxSize&) const = default;
};

/// Intersection over union of two boxes with one centre.
double size_overlap(const BoxSize& a, const BoxSize& b);

struct AnchorClusters {
  std::vector<BoxSize> anchors;  ///< by rising area
  double mean_overlap = 0;       ///< of each box with the anchor that fits it best
  int iterations = 0;            ///< until nothing changed, or the limit
};

/// k-means with the distance 1 - IoU. Starts with one box drawn from `seed` and adds, each time, one drawn by
/// the square of its distance to what is there (k-means++: Arthur & Vassilvitskii, 2007); an anchor is then
/// the mean size of its boxes. The same arguments always give the same anchors. Throws ArgumentError for
/// count < 1, fewer different sizes than `count`, and sizes that are not positive and finite.
AnchorClusters cluster_anchors(std::span<const BoxSize> sizes, std::int64_t count, std::uint64_t seed = 0,
                               int most_iterations = 1000);

}  // namespace dlcuda
