// What the library throws is caught by its type in a program outside of it.
#include <cstdio>

#include "dlcuda/core/error.h"
#include "dlcuda/core/tensor.h"

int main() {
  const auto x = dlcuda::Tensor::zeros({2, 3});
  try {
    x.view({7});
  } catch (const dlcuda::ShapeError& error) {
    std::printf("ShapeError: %s\n", error.what());
    return 0;
  }
  return 1;
}
