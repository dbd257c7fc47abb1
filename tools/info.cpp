// dlcuda info: what this build is and what it finds on this machine.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "dlcuda/core/build.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/device.h"
#include "dlcuda/core/isa.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/core/text.h"
#include "dlcuda/kernels/libraries.h"
#include "dlcuda/models/zoo.h"
#include "dlcuda/tools/command.h"

namespace dlcuda::tool {
namespace {

void print_text() {
  const BuildInfo& build = build_info();
  const CudaProbe& cuda = cuda_probe();
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"libdlcuda", build.version});
  rows.push_back({"build", fmt::format("{}, {}, {}", build.type, build.compiler,
                                       cuda.built_for.empty() ? "without CUDA" : "CUDA " + cuda.built_for)});
  rows.push_back({"cpu", fmt::format("{}, {} threads", cpu_level(), num_threads())});
  if (!cuda.driver.empty()) rows.push_back({"cuda driver", "up to CUDA " + cuda.driver});
  if (cuda.count == 0) rows.push_back({"cuda devices", fmt::format("none ({})", cuda.reason)});
  for (int i = 0; i < cuda.count; ++i) {
    rows.push_back({fmt::format("cuda:{}", i), cuda.names[std::size_t(i)]});
  }
  rows.push_back({"device auto", choose_device("auto").description});
  for (const kernels::LibraryInfo& library : kernels::libraries()) {
    rows.push_back({library.name,
                    fmt::format("{} ({})", library.version.empty() ? "not used" : library.version,
                                library.version.empty() ? library.reason.substr(0, library.reason.find('\n'))
                                                        : library.purpose)});
  }
  std::vector<std::string> models;
  for (const ZooModel& model : zoo()) models.push_back(model.name);
  rows.push_back({"models", fmt::format("{}", fmt::join(models, " "))});
  std::fputs(format_columns(rows, "<<").c_str(), stdout);
}

void print_json() {
  const BuildInfo& build = build_info();
  const CudaProbe& cuda = cuda_probe();
  nlohmann::ordered_json json;
  json["version"] = build.version;
  json["build"] = {{"type", build.type}, {"compiler", build.compiler}};
  json["cuda"] = {{"built", !cuda.built_for.empty()},
                  {"built_for", cuda.built_for},
                  {"driver", cuda.driver},
                  {"devices", cuda.names},
                  {"reason", cuda.reason}};
  json["cpu"] = {{"level", cpu_level()}, {"threads", num_threads()}};
  json["device"] = to_string(choose_device("auto").device);
  json["libraries"] = nlohmann::ordered_json::array();
  for (const kernels::LibraryInfo& library : kernels::libraries()) {
    json["libraries"].push_back({{"name", library.name},
                                 {"found", !library.version.empty()},
                                 {"version", library.version},
                                 {"reason", library.reason}});
  }
  json["models"] = nlohmann::ordered_json::array();
  for (const ZooModel& model : zoo()) json["models"].push_back(model.name);
  std::puts(json.dump().c_str());
}

}  // namespace

Command add_info(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("info", "version, build, devices, libraries, models");
  const auto json = std::make_shared<bool>(false);
  app->add_flag("--json", *json, "one line of JSON");
  return {app, [json] { *json ? print_json() : print_text(); }};
}

}  // namespace dlcuda::tool
