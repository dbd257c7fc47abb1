// DLCUDA_CHECK and DLCUDA_THROW: errors with formatted messages. Internal, because fmt stays out of public
// headers.
#pragma once

#include <fmt/format.h>

#include "dlcuda/core/error.h"

/// DLCUDA_THROW(ShapeError, "conv2d: weight must have 4 axes, got {}", rank)
#define DLCUDA_THROW(ErrorType, ...) throw ::dlcuda::ErrorType(::fmt::format(__VA_ARGS__))

/// DLCUDA_CHECK(rank == 4, ShapeError, "conv2d: weight must have 4 axes, got {}", rank)
#define DLCUDA_CHECK(condition, ErrorType, ...)             \
  do {                                                      \
    if (!(condition)) DLCUDA_THROW(ErrorType, __VA_ARGS__); \
  } while (false)
