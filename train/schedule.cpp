#include "dlcuda/train/schedule.h"

#include <cmath>
#include <numbers>

namespace dlcuda {

Schedule constant_schedule() {
  return {"constant", [](double) { return 1.0; }};
}

Schedule cosine_schedule(double last) {
  return {"cosine",
          [last](double done) { return last + (1 - last) * 0.5 * (1 + std::cos(std::numbers::pi * done)); }};
}

}  // namespace dlcuda
