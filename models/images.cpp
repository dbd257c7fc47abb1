#include "dlcuda/models/images.h"

#include "dlcuda/core/check.h"

namespace dlcuda {

void check_images(const Module& model, const Tensor& x, std::int64_t channels, std::int64_t least) {
  DLCUDA_CHECK(x.defined(), ArgumentError, "{}: the images are an undefined tensor", model.describe());
  DLCUDA_CHECK(x.rank() == 4 && x.size(1) == channels, ShapeError,
               "{}: expected images (N, {}, H, W), got shape {}", model.describe(), channels,
               to_string(x.shape()));
  DLCUDA_CHECK(x.size(2) >= least && x.size(3) >= least, ShapeError,
               "{}: images must be at least {} x {}, got {} x {}: nothing would be left of them after the "
               "layers that stride; resize them, or take a variant for small images",
               model.describe(), least, least, x.size(2), x.size(3));
}

}  // namespace dlcuda
