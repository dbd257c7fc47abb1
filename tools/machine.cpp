#include "dlcuda/tools/machine.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <string_view>

#include "dlcuda/core/build.h"
#include "dlcuda/core/isa.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/libraries.h"
#include "dlcuda_commit.h"

namespace dlcuda::tool {
namespace {

/// The first value of a field of /proc/cpuinfo; empty where there is none.
std::string cpu_field(std::string_view field) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with(field) && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

/// The load of the last minute.
std::string load() {
  std::array<double, 1> loads{};
  return getloadavg(loads.data(), 1) == 1 ? fmt::format("{:.2f}", loads[0]) : std::string();
}

/// "1980 MHz, memory 3201 MHz", as NVIDIA's tool tells them; empty where it is missing.
std::string gpu_clocks(int index) {
  const std::string command = fmt::format(
      "nvidia-smi -i {} --query-gpu=clocks.sm,clocks.mem --format=csv,noheader 2>/dev/null", index);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), &pclose);
  std::array<char, 128> line{};
  if (!pipe || !std::fgets(line.data(), int(line.size()), pipe.get())) return {};
  std::string text = line.data();
  if (const std::size_t comma = text.find(", "); comma != std::string::npos)
    text.insert(comma + 2, "memory ");
  return text.substr(0, text.find('\n'));
}

}  // namespace

Facts describe_machine(const DeviceChoice& device) {
  const BuildInfo& build = build_info();
  std::vector<std::string> libraries;
  for (const kernels::LibraryInfo& library : kernels::libraries()) {
    if (!library.version.empty()) libraries.push_back(library.name + " " + library.version);
  }
  const std::string mhz = cpu_field("cpu MHz");
  Facts facts{
      {"date", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))},
      {"commit", DLCUDA_COMMIT},
      {"version", build.version},
      {"compiler", fmt::format("{}, {}", build.compiler, build.type)},
      {"device", device.description},
      {"cpu", fmt::format("{}, {}", cpu_field("model name"), cpu_level())},
      {"clocks", device.device.is_cuda() ? gpu_clocks(device.device.index)
                 : mhz.empty()           ? ""
                                         : mhz + " MHz"},
      {"threads", std::to_string(num_threads())},
      {"load", load()},
      {"libraries", fmt::format("{}", fmt::join(libraries, ", "))},
  };
  for (const char* name :
       {"OMP_WAIT_POLICY", "OMP_PROC_BIND", "GOMP_SPINCOUNT", "DLCUDA_ISA", "DLCUDA_NO_CACHE"}) {
    if (const char* value = std::getenv(name)) facts.emplace_back(name, value);
  }
  std::erase_if(facts, [](const auto& fact) { return fact.second.empty(); });
  return facts;
}

}  // namespace dlcuda::tool
