// dlcuda convert: files of weights, looked into and turned into others.
#include <charconv>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "dlcuda/core/memory/stats.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/layers/init.h"
#include "dlcuda/layers/weights.h"
#include "dlcuda/models/yolov2/darknet19.h"
#include "dlcuda/models/yolov2/darknet_weights.h"
#include "dlcuda/models/yolov2/yolov2.h"
#include "dlcuda/tools/command.h"
#include "dlcuda/tools/loaded_model.h"
#include "dlcuda/train/command_line.h"
#include "dlcuda/train/console.h"
#include "dlcuda/train/weight_metadata.h"

namespace dlcuda::tool {
namespace {

struct ListFlags {
  std::string file;
  bool json = false;
};

void list(const ListFlags& flags) {
  const SafetensorsFile file(flags.file);
  std::int64_t elements = 0;
  std::size_t bytes = 0;
  std::vector<std::vector<std::string>> rows;
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const std::string& name : file.names()) {
    const Shape& shape = file.shape(name);
    const DType dtype = file.dtype(name);
    elements += shape.numel();
    bytes += std::size_t(shape.numel()) * size_of(dtype);
    rows.push_back({name, to_string(dtype), to_string(shape)});
    auto extents = nlohmann::ordered_json::array();
    for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
    tensors.push_back({{"name", name}, {"dtype", to_string(dtype)}, {"shape", std::move(extents)}});
  }
  if (flags.json) {
    const nlohmann::ordered_json line{
        {"file", flags.file}, {"metadata", file.metadata()}, {"tensors", std::move(tensors)}};
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return;
  }
  std::fputs(format_columns(rows, "<<<").c_str(), stdout);
  for (const auto& [key, value] : file.metadata()) fmt::print("{}: {}\n", key, value);
  fmt::print("{} tensors, {} elements, {}\n", rows.size(), with_commas(elements), format_bytes(bytes));
}

struct CastFlags {
  std::string file, out, to;
};

void cast(const CastFlags& flags) {
  command_line::check_name("--to", flags.to, {"bf16", "f16", "f32"});
  const DType to = parse_dtype(flags.to);
  const SafetensorsFile file(flags.file);
  std::vector<std::pair<std::string, Tensor>> tensors;
  std::size_t before = 0, after = 0;
  for (const std::string& name : file.names()) {
    Tensor tensor = file.tensor(name);
    before += tensor.nbytes();
    // Counts and masks stay what they are.
    if (is_floating_point(tensor.dtype())) tensor = kernels::cast(tensor, to);
    after += tensor.nbytes();
    tensors.emplace_back(name, std::move(tensor));
  }
  save_safetensors(flags.out, tensors, file.metadata());
  fmt::print("{}: {} tensors, {}; was {}\n", flags.out, tensors.size(), format_bytes(after),
             format_bytes(before));
}

struct FoldFlags {
  std::string model, file, out;
};

void fold(const FoldFlags& flags) {
  LoadedModel loaded = load_model(find_model(flags.model), flags.file);
  const std::int64_t folded = fold_batch_norm(*loaded.module);
  DLCUDA_CHECK(folded > 0, FormatError, "{}: there is no batch norm to fold", flags.file);
  save_weights(*loaded.module, flags.out, loaded.metadata);
  fmt::print("{}: {} batch norms are part of their convolutions now\n", flags.out, folded);
}

struct DarknetFlags {
  std::string model, file, out, classes;
};

constexpr const char* kSeen = "darknet_seen";  // metadata: pictures that the network was trained with

bool is_darknet_file(const std::string& file) { return file.ends_with(".weights"); }

/// The order of parameters is the file's only in the networks that were made for it.
void check_darknet_model(const Module& module, const ZooModel& model) {
  const bool known =
      dynamic_cast<const YoloDetector*>(&module) != nullptr || dynamic_cast<const Darknet19*>(&module);
  DLCUDA_CHECK(known, ArgumentError,
               "--model: '{}' is none of Darknet's networks; those are darknet19 and the models whose names "
               "begin with yolov2",
               model.name);
}

void from_darknet(const DarknetFlags& flags) {
  const ZooModel& model = find_model(flags.model);
  const std::int64_t classes = flags.classes.empty()
                                   ? model.classes
                                   : command_line::parse_count("--classes", flags.classes, 1, 100'000);
  const auto module = [&] {
    const init::Uninitialized no_values;
    return model.make(classes, model.input.channels);
  }();
  check_darknet_model(*module, model);
  const DarknetHeader header = load_darknet_weights(flags.file, *module);
  auto metadata = to_metadata({.input = model.input, .normalization = model.normalization});
  metadata[kSeen] = std::to_string(header.seen);
  save_weights(*module, flags.out, metadata);
  fmt::print("{}: {}, {} parameters, trained with {} pictures; Darknet {}.{}.{}\n", flags.out,
             module->describe(), with_commas(module->parameter_count()),
             with_commas(std::int64_t(header.seen)), header.major, header.minor, header.revision);
}

void to_darknet(const DarknetFlags& flags) {
  DLCUDA_CHECK(flags.classes.empty(), ArgumentError,
               "--classes: the classes of a safetensors file are seen from its weights");
  const LoadedModel loaded = load_model(find_model(flags.model), flags.file);
  check_darknet_model(*loaded.module, loaded.zoo);
  DLCUDA_CHECK(
      !loaded.folded, FormatError,
      "{}: its batch norms are folded, and Darknet's file needs them; convert the weights from before",
      flags.file);
  DarknetHeader header;
  if (const auto seen = loaded.metadata.find(kSeen); seen != loaded.metadata.end()) {
    const std::string& text = seen->second;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), header.seen);
    DLCUDA_CHECK(parsed.ec == std::errc() && parsed.ptr == text.data() + text.size(), FormatError,
                 "{}: metadata: '{}': expected a whole number, got '{}'", flags.file, kSeen, text);
  }
  save_darknet_weights(flags.out, *loaded.module, header);
  fmt::print("{}: {}, {} parameters\n", flags.out, loaded.module->describe(),
             with_commas(loaded.module->parameter_count()));
  const auto* const detector = dynamic_cast<const YoloDetector*>(loaded.module.get());
  if (detector == nullptr) return;
  // Darknet has these in its .cfg, not in the weights.
  fmt::print("classes={}\nnum={}\nanchors={}\n", detector->classes(), detector->anchors().size(0),
             fmt::join(detector->anchors().values<float>(), ","));
}

void convert_darknet(const DarknetFlags& flags) {
  DLCUDA_CHECK(
      is_darknet_file(flags.file) != is_darknet_file(flags.out), ArgumentError,
      "convert darknet: expected one name that ends in .weights, for Darknet's side, and one that does "
      "not, for the safetensors file, got '{}' and '{}'",
      flags.file, flags.out);
  if (is_darknet_file(flags.file)) {
    from_darknet(flags);
  } else {
    to_darknet(flags);
  }
}

Command add_list(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("list", "names, dtypes and shapes in a safetensors file");
  const auto flags = std::make_shared<ListFlags>();
  app->add_option("FILE", flags->file, "safetensors file")->type_name("")->required();
  app->add_flag("--json", flags->json, "one line of JSON");
  return {app, [flags] { list(*flags); }};
}

Command add_cast(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("cast", "the same weights with another precision");
  const auto flags = std::make_shared<CastFlags>();
  app->add_option("FILE", flags->file, "safetensors file")->type_name("")->required();
  app->add_option("OUT", flags->out, "the file to write")->type_name("")->required();
  app->add_option("--to", flags->to, "bf16, f16 or f32")->type_name("DTYPE")->required();
  return {app, [flags] { cast(*flags); }};
}

Command add_fold(CLI::App& parent) {
  CLI::App* const app =
      parent.add_subcommand("fold", "batch norms made part of their convolutions, for inference");
  const auto flags = std::make_shared<FoldFlags>();
  app->add_option("MODEL", flags->model, "a model's name; `dlcuda info` lists them")
      ->type_name("")
      ->required();
  app->add_option("FILE", flags->file, "safetensors file")->type_name("")->required();
  app->add_option("OUT", flags->out, "the file to write")->type_name("")->required();
  return {app, [flags] { fold(*flags); }};
}

Command add_darknet(CLI::App& parent) {
  CLI::App* const app =
      parent.add_subcommand("darknet", "Darknet's .weights into a safetensors file, and the other way round");
  const auto flags = std::make_shared<DarknetFlags>();
  app->add_option("FILE", flags->file, "the file to read")->type_name("")->required();
  app->add_option("OUT", flags->out, "the file to write; one of the two ends in .weights")
      ->type_name("")
      ->required();
  app->add_option("--model", flags->model, "darknet19, yolov2, yolov2_tiny, ...")
      ->type_name("NAME")
      ->required();
  app->add_option("--classes", flags->classes, "of a .weights file (default: the published weights')")
      ->type_name("N");
  return {app, [flags] { convert_darknet(*flags); }};
}

}  // namespace

std::vector<Command> add_convert(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("convert", "looks into files of weights and converts them");
  return {add_list(*app), add_cast(*app), add_fold(*app), add_darknet(*app)};
}

}  // namespace dlcuda::tool
