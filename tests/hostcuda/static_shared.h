// Where the __shared__ variables of all kernels lie.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace dlcuda::hostcuda {

/// The sections of this program into which include/hostcuda/qualifiers.h puts __shared__ variables.
std::vector<std::span<unsigned char>> find_static_shared();

/// Fills them with poison.
void poison_static_shared(const std::vector<std::span<unsigned char>>& sections);

}  // namespace dlcuda::hostcuda
