#include "dlcuda/core/parallel.h"

#include <omp.h>

#include "dlcuda/core/check.h"

namespace dlcuda {

int num_threads() { return omp_get_max_threads(); }

void set_num_threads(int count) {
  DLCUDA_CHECK(count >= 1, ArgumentError, "the number of threads must be at least 1, got {}", count);
  omp_set_num_threads(count);
}

}  // namespace dlcuda
