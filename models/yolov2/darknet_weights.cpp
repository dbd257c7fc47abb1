#include "dlcuda/models/yolov2/darknet_weights.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/file.h"
#include "dlcuda/kernels/copy.h"

namespace dlcuda {
namespace {

/// A convolution and where the file has its numbers.
struct Convolution {
  DarknetSection section;
  std::vector<Tensor> tensors;  // handles to the module's own, in the order of the file
};

std::string after_last_dot(const std::string& name) { return name.substr(name.rfind('.') + 1); }

/// What the parameters of a module are in a file, in order of registration.
std::vector<Convolution> convolutions_of(const Module& module, std::optional<std::int64_t> count) {
  std::map<std::string, Tensor> buffers;
  for (const auto& [name, tensor] : module.buffers()) buffers.emplace(name, tensor);
  const NamedTensors parameters = module.parameters();
  std::vector<Convolution> result;
  const auto refuse = [&](const std::string& name, const char* reason) {
    DLCUDA_THROW(ArgumentError, "Darknet weights: {} of {} {}", name, module.describe(), reason);
  };
  std::size_t next = 0;
  const auto take = [&](const std::string& after, const char* kind, std::int64_t extent) {
    const bool fits = next < parameters.size() && after_last_dot(parameters[next].first) == kind &&
                      parameters[next].second.shape() == Shape{extent};
    if (!fits) refuse(after, "is followed by neither its bias nor a batch norm");
    return parameters[next++];
  };
  while (next < parameters.size() && std::int64_t(result.size()) != count) {
    const auto& [name, weight] = parameters[next++];
    if (weight.rank() != 4) refuse(name, "is no weight of a convolution");
    const std::int64_t out = weight.size(0);
    Convolution one{.section = {.name = name.substr(0, name.rfind('.'))}, .tensors = {}};
    if (next < parameters.size() && after_last_dot(parameters[next].first) == "bias") {
      one.tensors = {take(name, "bias", out).second, weight};
    } else {
      const auto gamma = take(name, "weight", out), beta = take(name, "bias", out);
      const std::string norm = beta.first.substr(0, beta.first.size() - std::string("bias").size());
      const auto mean = buffers.find(norm + "running_mean"), variance = buffers.find(norm + "running_var");
      if (mean == buffers.end() || variance == buffers.end()) refuse(norm, "has no running statistics");
      one.tensors = {beta.second, gamma.second, mean->second, variance->second, weight};
    }
    for (const Tensor& tensor : one.tensors) {
      if (tensor.dtype() != DType::F32) refuse(name, "is not f32; cast the module first");
      one.section.bytes += tensor.nbytes();
    }
    result.push_back(std::move(one));
  }
  DLCUDA_CHECK(!result.empty() && std::int64_t(result.size()) == count.value_or(std::int64_t(result.size())),
               ArgumentError, "Darknet weights: {} has {} convolutions, expected {}", module.describe(),
               result.size(), count.value_or(1));
  return result;
}

/// Fills all the bytes from an offset on.
using Read = std::function<void(std::uint64_t offset, std::span<std::byte> bytes)>;

DarknetHeader load(const Read& read, std::uint64_t file_size, std::string_view source, Module& module,
                   std::optional<std::int64_t> count) {
  std::byte first[20];
  const std::span head =
      std::span(first).first(std::size_t(std::min<std::uint64_t>(file_size, sizeof first)));
  read(0, head);
  const DarknetHeader header = parse_darknet_header(head, file_size, source);
  const std::vector<Convolution> convolutions = convolutions_of(module, count);
  std::vector<DarknetSection> sections;
  for (const Convolution& one : convolutions) sections.push_back(one.section);
  check_darknet_size(header, sections, file_size, source, module.describe());

  // All that can fail comes before the first value is changed.
  const autograd::NoGrad no_grad;
  std::vector<std::pair<Tensor, Tensor>> copies;
  std::uint64_t offset = header.bytes();
  for (const Convolution& one : convolutions) {
    for (const Tensor& target : one.tensors) {
      const Tensor values = Tensor::empty(target.shape(), DType::F32);
      read(offset, {static_cast<std::byte*>(values.raw().data), values.nbytes()});
      offset += values.nbytes();
      copies.emplace_back(target.detach(), kernels::to_format(values, target.format()));
    }
  }
  for (auto& [target, values] : copies) target.copy_from(values);
  return header;
}

}  // namespace

DarknetHeader load_darknet_weights(const std::filesystem::path& path, Module& module,
                                   std::optional<std::int64_t> count) {
  const InputFile file(path);
  const Read read = [&](std::uint64_t offset, std::span<std::byte> bytes) {
    const std::size_t got = file.read_at(offset, bytes);
    DLCUDA_CHECK(got == bytes.size(), FormatError,
                 "{}: offset {}: expected {} bytes, got {}: it was cut short", file.path(), offset,
                 bytes.size(), got);
  };
  return load(read, file.size(), file.path(), module, count);
}

DarknetHeader load_darknet_weights(std::span<const std::byte> file, std::string_view source, Module& module,
                                   std::optional<std::int64_t> count) {
  const Read read = [&](std::uint64_t offset, std::span<std::byte> bytes) {
    std::copy_n(file.begin() + std::ptrdiff_t(offset), bytes.size(), bytes.begin());
  };
  return load(read, file.size(), source, module, count);
}

std::uint64_t darknet_weights_bytes(const Module& module, const DarknetHeader& header,
                                    std::optional<std::int64_t> count) {
  std::uint64_t bytes = header.bytes();
  for (const Convolution& one : convolutions_of(module, count)) bytes += one.section.bytes;
  return bytes;
}

void save_darknet_weights(const std::filesystem::path& path, const Module& module,
                          const DarknetHeader& header, std::optional<std::int64_t> count) {
  const std::vector<std::byte> head = format_darknet_header(header);
  const std::vector<Convolution> convolutions = convolutions_of(module, count);
  AtomicFile file(path);
  file.write(head);
  std::vector<std::byte> values;
  for (const Convolution& one : convolutions) {
    for (const Tensor& tensor : one.tensors) {
      values.resize(tensor.nbytes());
      tensor.copy_to_host(values.data());
      file.write(values);
    }
  }
  file.commit();
}

}  // namespace dlcuda
