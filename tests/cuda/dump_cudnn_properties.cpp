// dump_cudnn_properties FILE: writes what cuDNN knows about CUDA device 0, as the JSON from which it can plan
// without that device (cuDNN 9.8 and later).
#include <fmt/core.h>

#include <fstream>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/cuda/cudnn.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: dump_cudnn_properties FILE\n");
    return 2;
  }
  try {
    using namespace dlcuda::kernels::cuda;
    open_cudnn();
    cudnn_frontend::DeviceProperties properties;
    properties.set_device_id(0);
    check_cudnn(properties.build(), "describing CUDA device 0");
    std::vector<std::uint8_t> json;
    check_cudnn(properties.serialize(json), "writing the properties of CUDA device 0");
    std::ofstream file(argv[1], std::ios::binary);
    file.write(reinterpret_cast<const char*>(json.data()), static_cast<std::streamsize>(json.size()));
    file.close();
    if (!file) throw dlcuda::IoError(fmt::format("{} could not be written", argv[1]));
    fmt::print("{}: {} bytes\n", argv[1], json.size());
    return 0;
  } catch (const dlcuda::DeviceError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 5;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
