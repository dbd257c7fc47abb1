// Differentiable functions: kernels with a backward pass. Each is recorded when an input needs a gradient,
// and saves only what the gradients that are needed are computed from. A gradient has the memory format of
// its tensor. Errors are those of the kernels.
#pragma once

#include "dlcuda/layers/functional/activation.h"
#include "dlcuda/layers/functional/arithmetic.h"
#include "dlcuda/layers/functional/conv_norm.h"
#include "dlcuda/layers/functional/convolution.h"
#include "dlcuda/layers/functional/detection.h"
#include "dlcuda/layers/functional/dropout.h"
#include "dlcuda/layers/functional/layout.h"
#include "dlcuda/layers/functional/linear.h"
#include "dlcuda/layers/functional/loss.h"
#include "dlcuda/layers/functional/normalization.h"
#include "dlcuda/layers/functional/pooling.h"
#include "dlcuda/layers/functional/reduction.h"
