#include "dlcuda/models/yolov2/anchors.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "dlcuda/core/check.h"
#include "dlcuda/data/random_stream.h"

namespace dlcuda {
namespace {

void check(std::span<const BoxSize> sizes, std::int64_t count) {
  DLCUDA_CHECK(count >= 1, ArgumentError, "cluster_anchors: count must be at least 1, got {}", count);
  std::set<std::pair<double, double>> different;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto [width, height] = sizes[i];
    DLCUDA_CHECK(width > 0 && height > 0 && std::isfinite(width) && std::isfinite(height), ArgumentError,
                 "cluster_anchors: sizes must be positive and finite, got {} x {} for box {}", width, height,
                 i);
    different.emplace(width, height);
  }
  DLCUDA_CHECK(std::int64_t(different.size()) >= count, ArgumentError,
               "cluster_anchors: {} anchors need as many different sizes, got {}", count, different.size());
}

/// Which anchor fits best, the first of equals, and how well.
std::pair<std::size_t, double> best_fit(const std::vector<BoxSize>& anchors, const BoxSize& size) {
  std::pair<std::size_t, double> best{0, -1};
  for (std::size_t a = 0; a < anchors.size(); ++a) {
    const double overlap = size_overlap(anchors[a], size);
    if (overlap > best.second) best = {a, overlap};
  }
  return best;
}

std::vector<BoxSize> first_anchors(std::span<const BoxSize> sizes, std::size_t count, std::uint64_t seed) {
  RandomStream random(random_key(seed, RandomDomain::Clustering), 0, 0);
  std::vector<BoxSize> anchors{sizes[std::size_t(random.below(sizes.size()))]};
  std::vector<double> until(sizes.size());  // running sums of the weights
  while (anchors.size() < count) {
    double sum = 0;
    std::size_t last = 0;  // with a weight
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const double distance = 1 - best_fit(anchors, sizes[i]).second;
      if (distance > 0) last = i;
      until[i] = sum += distance * distance;
    }
    const auto drawn = std::upper_bound(until.begin(), until.end(), random.uniform() * sum);
    anchors.push_back(sizes[std::min(std::size_t(drawn - until.begin()), last)]);
  }
  return anchors;
}

}  // namespace

double size_overlap(const BoxSize& a, const BoxSize& b) {
  const double both = std::min(a.width, b.width) * std::min(a.height, b.height);
  return both / (a.width * a.height + b.width * b.height - both);
}

AnchorClusters cluster_anchors(std::span<const BoxSize> sizes, std::int64_t count, std::uint64_t seed,
                               int most_iterations) {
  check(sizes, count);
  AnchorClusters result{.anchors = first_anchors(sizes, std::size_t(count), seed)};
  std::vector<std::size_t> groups(sizes.size(), std::size_t(count));
  bool changed = true;
  while (changed && result.iterations < most_iterations) {
    ++result.iterations;
    changed = false;
    std::vector<BoxSize> sums(std::size_t(count), BoxSize{});
    std::vector<double> members(std::size_t(count), 0);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const std::size_t group = best_fit(result.anchors, sizes[i]).first;
      changed |= group != std::exchange(groups[i], group);
      sums[group].width += sizes[i].width;
      sums[group].height += sizes[i].height;
      ++members[group];
    }
    for (std::size_t a = 0; a < sums.size(); ++a) {
      if (members[a] > 0) result.anchors[a] = {sums[a].width / members[a], sums[a].height / members[a]};
    }
  }
  for (const BoxSize& size : sizes) {
    result.mean_overlap += best_fit(result.anchors, size).second / double(sizes.size());
  }
  std::sort(result.anchors.begin(), result.anchors.end(), [](const BoxSize& a, const BoxSize& b) {
    return std::pair(a.width * a.height, a.width) < std::pair(b.width * b.height, b.width);
  });
  return result;
}

}  // namespace dlcuda
