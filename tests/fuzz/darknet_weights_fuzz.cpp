// libFuzzer: Darknet weights from any bytes, into a network of two small convolutions. A file is either read
// as a whole or refused with a FormatError.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "dlcuda/core/error.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/yolov2/darknet_weights.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dlcuda;
  static Sequential& network = [] {
    auto* layers = new Sequential;  // lives as long as the program
    layers->add<ConvBnAct>(ConvBnActOptions{.conv = same_conv(1, 1, 1)}).add<Conv2d>(1, 1, 1);
    return std::ref(*layers);
  }();
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    load_darknet_weights(bytes, "input", network);
  } catch (const FormatError&) {
  }
  return 0;
}
