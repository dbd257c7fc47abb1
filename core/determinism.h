// Whether results must repeat bit for bit.
#pragma once

#include <string_view>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// Deterministic mode: one switch for the process, off by default. A call reads it when it is made.
///
/// The kernels of this library repeat bit for bit in either mode (per device, and per thread count on the
/// CPU): sums are made in a fixed order, without atomics on floats. The switch binds the engines of other
/// libraries. With it on, cuDNN's convolutions take only engines that cuDNN calls deterministic, and take the
/// one that cuDNN's heuristics rank first instead of the one that measures fastest: two measurements may end
/// differently. An operation that has no deterministic engine throws Error and names what to use instead.
bool deterministic();
void set_deterministic(bool value);

/// What an operation does that cannot repeat its bits: in deterministic mode it throws Error with
/// `alternative` ("channels-last tensors"), otherwise nothing happens.
void refuse_if_deterministic(std::string_view operation, std::string_view alternative);

}  // namespace dlcuda
