// core/autograd.cpp calls up into kernels when gradients are computed, which no reader of files does.
#include "dlcuda/core/tensor.h"
#include "dlcuda/tests/fuzz/fuzz.h"

namespace dlcuda::kernels {

Tensor sum_gradients(Tensor, const Tensor&) { fuzz::fail("a gradient is computed"); }
void accumulate(Tensor&, const Tensor&) { fuzz::fail("a gradient is computed"); }
void fill(Tensor&, double) { fuzz::fail("a gradient is computed"); }

}  // namespace dlcuda::kernels
