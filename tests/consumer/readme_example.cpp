#include <cstdio>

#include "dlcuda/core/device.h"

int main() {
  const auto choice = dlcuda::choose_device("auto");
  std::printf("device: %s\n", choice.description.c_str());
}
