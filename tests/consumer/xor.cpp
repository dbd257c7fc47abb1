// A program outside the tree: uses the public headers and the installed library, and nothing else.
#include <cstdio>

#include "dlcuda/core/device.h"
#include "dlcuda/core/error.h"
#include "dlcuda/core/shape.h"

int main() {
  const dlcuda::DeviceChoice choice = dlcuda::choose_device("auto");
  std::printf("device: %s\n", choice.description.c_str());

  // An exception of the library is caught by its type on this side.
  try {
    dlcuda::Shape{2, 3}[2];
  } catch (const dlcuda::ShapeError& error) {
    std::printf("%s\n", error.what());
    return 0;
  }
  return 1;
}
