// kernel_bench: every family of kernels through its public functions: microseconds, GB/s or GFLOP/s, and the
// share of what the device can do at most. The list of cases is tests/support/kernel_cases.cpp (those bound
// by memory, whose necessary bytes it tells) and more_cases.cpp.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "dlcuda/benchmarks/kernels/more_cases.h"
#include "dlcuda/benchmarks/kernels/timer.h"
#include "dlcuda/benchmarks/program.h"
#include "dlcuda/core/current_device.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/tools/machine.h"
#include "dlcuda/train/device_peaks.h"
#include "dlcuda/train/main.h"

namespace dlcuda {
namespace {

using nlohmann::ordered_json;
using testing::KernelCase;
using testing::KernelFamily;

struct Flags {
  std::string filter, device = "auto", scales, seconds = "0.02", rounds = "5", threads, below, save;
  bool json = false, list = false, no_peaks = false;
};

struct Measured {
  std::string family, name, operation;
  std::int64_t scale = 1;
  double bytes = 0, flops = 0;
  Spread milliseconds;

  double bytes_per_second() const { return bytes / milliseconds.median * 1000; }
  double flops_per_second() const { return flops / milliseconds.median * 1000; }
  /// Of the roofline; beyond 1 where caches hold what is read.
  double share(const DevicePeaks& peaks) const {
    return roofline_seconds(peaks, flops, bytes) / (milliseconds.median / 1000);
  }
};

/// Peaks of matrix products are the dtype's.
using Peaks = std::map<DType, DevicePeaks>;

DType dtype_of(const std::string& name) {
  return name.find("bf16") == std::string::npos ? DType::F32 : DType::BF16;
}

/// One size that a cache holds, one that it does not.
std::vector<std::int64_t> scales_of(const Flags& flags, Device device) {
  if (flags.scales.empty()) {
    return device.is_cuda() ? std::vector<std::int64_t>{8, 256} : std::vector<std::int64_t>{1, 64};
  }
  std::vector<std::int64_t> scales;
  std::istringstream words(flags.scales);
  for (std::string word; std::getline(words, word, ',');) {
    scales.push_back(command_line::parse_count("--scales", word, 1, 4096));
  }
  return scales;
}

std::vector<KernelFamily> all_families(Device device, std::int64_t scale) {
  std::vector<KernelFamily> families = testing::kernel_families(device, scale);
  for (KernelFamily& family : testing::more_families(device, scale)) families.push_back(std::move(family));
  return families;
}

std::string header() {
  return fmt::format("{:<78} {:>10} {:>8} {:>9} {:>7}", "operation", "us", "GB/s", "GFLOP/s", "share");
}

std::string to_line(const Measured& m, const Peaks& peaks) {
  return fmt::format("{:<78} {:>10.2f} {:>8.2f} {:>9} {:>7}", m.name, 1000 * m.milliseconds.median,
                     m.bytes_per_second() / 1e9,
                     m.flops > 0 ? fmt::format("{:.1f}", m.flops_per_second() / 1e9) : "",
                     peaks.empty() ? "" : fmt::format("{:.0f} %", 100 * m.share(peaks.at(dtype_of(m.name)))));
}

ordered_json to_json(const Measured& m, const Peaks& peaks) {
  ordered_json json{{"family", m.family},
                    {"name", m.name},
                    {"operation", m.operation},
                    {"scale", m.scale},
                    {"necessary_bytes", m.bytes},
                    {"us",
                     {{"median", 1000 * m.milliseconds.median},
                      {"least", 1000 * m.milliseconds.least},
                      {"most", 1000 * m.milliseconds.most}}},
                    {"bytes_per_second", m.bytes_per_second()}};
  if (m.flops > 0) {
    json["flops"] = m.flops;
    json["flops_per_second"] = m.flops_per_second();
  }
  if (!peaks.empty()) json["share_of_roofline"] = m.share(peaks.at(dtype_of(m.name)));
  return json;
}

Peaks measure_all_peaks(Device device) {
  Peaks peaks;
  for (const DType dtype : {DType::F32, DType::BF16}) {
    peaks[dtype] = measure_peaks(device, dtype, PeakSizes::of(device));
    fmt::print(stderr, "{}: {:.4g} GFLOP/s, {:.4g} GB/s\n", to_string(dtype), peaks[dtype].flops / 1e9,
               peaks[dtype].bytes / 1e9);
  }
  return peaks;
}

/// Each case's figures are given to `take` as soon as they are known.
std::int64_t measure_all(const Flags& flags, Device device, KernelTimer& timer,
                         const std::function<void(const Measured&)>& take) {
  std::int64_t found = 0;
  for (const std::int64_t scale : scales_of(flags, device)) {
    for (const KernelFamily& family : all_families(device, scale)) {
      for (const KernelCase& one : family.make()) {
        if (one.name.find(flags.filter) == std::string::npos) continue;
        ++found;
        Measured measured{family.name, one.name, one.operation, scale, one.necessary, one.flops, {}};
        if (!flags.list) measured.milliseconds = timer.time(one.run);
        take(measured);
      }
      allocator_for(device).empty_cache();
    }
  }
  return found;
}

int run(const Flags& flags, const std::string& command) {
  const DeviceChoice choice = choose_device(flags.device);
  const Device device = choice.device;
  settle_on(device);
  if (!flags.threads.empty()) {
    set_num_threads(int(command_line::parse_count("--threads", flags.threads, 1, 4096)));
  }
  const double below = flags.below.empty() ? 0 : parse_positive("--below", flags.below) / 100;
  DLCUDA_CHECK(below == 0 || !flags.no_peaks, ArgumentError,
               "--below compares with the peaks: leave out --no-peaks");
  KernelTimer timer(device, parse_positive("--seconds", flags.seconds),
                    int(command_line::parse_count("--rounds", flags.rounds, 1, 1000)));
  ordered_json report;
  report["benchmark"] = "kernels";
  report["command"] = command;
  report["device"] = to_string(device);
  for (const auto& [name, value] : tool::describe_machine(choice)) report["machine"][name] = value;
  report["cold_cache"] = device.is_cuda();

  const Peaks peaks = flags.no_peaks || flags.list ? Peaks{} : measure_all_peaks(device);
  for (const auto& [dtype, peak] : peaks) {
    report["peaks"][to_string(dtype)] = {{"flops_per_second", peak.flops}, {"bytes_per_second", peak.bytes}};
  }
  report["cases"] = ordered_json::array();
  if (!flags.json && !flags.list) std::puts(header().c_str());
  const std::int64_t found = measure_all(flags, device, timer, [&](const Measured& measured) {
    if (flags.list) return void(std::puts(measured.name.c_str()));
    report["cases"].push_back(to_json(measured, peaks));
    if (flags.json || (below > 0 && measured.share(peaks.at(dtype_of(measured.name))) >= below)) return;
    std::puts(to_line(measured, peaks).c_str());
    std::fflush(stdout);
  });
  DLCUDA_CHECK(found > 0, ArgumentError, "no operation's name contains '{}'; --list tells them",
               flags.filter);
  if (flags.json) std::puts(report.dump().c_str());
  if (!flags.save.empty()) write_file(flags.save, report.dump(1) + "\n");
  return 0;
}

int parse_and_run(int argc, const char* const* argv) {
  CLI::App app("Every family of kernels: how long it takes, against what the device can do at most");
  Flags flags;
  const auto option = [&](const char* name, std::string& value, const char* type, const char* help) {
    app.add_option(name, value, help)->type_name(type);
  };
  option("FILTER", flags.filter, "", "a part of the operations' names (default: all)");
  option("--device", flags.device, "NAME", "auto, cpu, cuda or cuda:<index> (default: auto)");
  option("--scales", flags.scales, "N,...",
         "sizes, in tensors of 2^18 elements (default: 1,64, in a cache and beyond it; on CUDA 8,256)");
  option("--seconds", flags.seconds, "S", "about so long is a round (default: 0.02)");
  option("--rounds", flags.rounds, "N", "the median of so many counts (default: 5)");
  option("--threads", flags.threads, "N", "of the CPU backend (default: one for each core)");
  option("--below", flags.below, "PERCENT", "show only what reaches less of the roofline");
  option("--save", flags.save, "FILE", "all of it as JSON");
  app.add_flag("--json", flags.json, "one line of JSON instead of the table");
  app.add_flag("--no-peaks", flags.no_peaks, "do not measure what the device can do at most");
  app.add_flag("--list", flags.list, "print the names, run nothing");
  app.footer(
      "GB/s: bytes that an operation cannot do without (inputs, outputs, what its algorithm reads again).\n"
      "share: of the roofline, from a large matrix product in the same dtype and a large copy.\n"
      "CPU: inputs are where the call before has left them. CUDA: the caches are flushed before each call.");
  return parse_command_line(app, argc, argv) ? run(flags, command_of("kernel_bench", argc, argv)) : 0;
}

}  // namespace
}  // namespace dlcuda

int main(int argc, char** argv) {
  return dlcuda::run_program([&] { return dlcuda::parse_and_run(argc, argv); });
}
