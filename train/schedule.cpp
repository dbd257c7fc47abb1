#include "dlcuda/train/schedule.h"

#include <cmath>
#include <numbers>

#include "dlcuda/core/check.h"

namespace dlcuda {

Schedule constant_schedule() {
  return {"constant", [](double) { return 1.0; }};
}

Schedule cosine_schedule(double last) {
  return {"cosine",
          [last](double done) { return last + (1 - last) * 0.5 * (1 + std::cos(std::numbers::pi * done)); }};
}

Schedule warmup_cosine_schedule(double warmup) {
  DLCUDA_CHECK(warmup >= 0 && warmup < 1, ArgumentError,
               "schedule: the part of the training that warms up is from 0 to below 1, got {}", warmup);
  constexpr double kFirst = 0.05;
  return {"cosine after a warm-up", [warmup, cosine = cosine_schedule().factor](double done) {
            if (done < warmup) return kFirst + (1 - kFirst) * done / warmup;
            return cosine((done - warmup) / (1 - warmup));
          }};
}

}  // namespace dlcuda
