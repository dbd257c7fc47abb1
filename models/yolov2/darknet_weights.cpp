#include "dlcuda/models/yolov2/darknet_weights.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/file.h"
#include "dlcuda/kernels/copy.h"

namespace dlcuda {
namespace {

static_assert(std::endian::native == std::endian::little, "the files are little-endian");

constexpr std::uint64_t kVersionBytes = 12;
constexpr std::uint64_t kMostHeaderBytes = 20;

/// Darknet takes larger numbers for something else: files with transposed matrices.
constexpr std::int32_t kVersionEnd = 1000;

bool is_version(const DarknetHeader& header) {
  return header.major >= 0 && header.major < kVersionEnd && header.minor >= 0 && header.minor < kVersionEnd;
}

bool has_wide_count(const DarknetHeader& header) { return header.major * 10 + header.minor >= 2; }

/// A convolution and where the file has its numbers.
struct Convolution {
  std::string name;
  std::vector<Tensor> tensors;  // handles to the module's own, in the order of the file
  std::uint64_t bytes = 0;
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
    Convolution one{.name = name.substr(0, name.rfind('.')), .tensors = {}};
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
      one.bytes += tensor.nbytes();
    }
    result.push_back(std::move(one));
  }
  DLCUDA_CHECK(!result.empty() && std::int64_t(result.size()) == count.value_or(std::int64_t(result.size())),
               ArgumentError, "Darknet weights: {} has {} convolutions, expected {}", module.describe(),
               result.size(), count.value_or(1));
  return result;
}

/// Where a file of the wrong size goes wrong.
void check_size(const std::vector<Convolution>& convolutions, const DarknetHeader& header,
                std::uint64_t file_size, std::string_view source, const Module& module) {
  std::uint64_t expected = header.bytes(), complete_end = expected;
  std::size_t complete = 0;
  for (const Convolution& one : convolutions) {
    expected += one.bytes;
    if (expected <= file_size) {
      complete_end = expected;
      ++complete;
    }
  }
  if (file_size == expected) return;
  const std::string where =
      complete < convolutions.size()
          ? fmt::format(
                "it holds the first {} of {} convolutions, and {} of the {} bytes of {} from offset {} on",
                complete, convolutions.size(), file_size - complete_end, convolutions[complete].bytes,
                convolutions[complete].name, complete_end)
          : fmt::format("{} bytes are left over from offset {} on", file_size - expected, expected);
  DLCUDA_THROW(FormatError,
               "{}: expected {} bytes for {} ({} convolutions after a header of {} bytes), got {}: {}; is it "
               "another model, or one for other classes?",
               source, expected, module.describe(), convolutions.size(), header.bytes(), file_size, where);
}

/// Fills all the bytes from an offset on.
using Read = std::function<void(std::uint64_t offset, std::span<std::byte> bytes)>;

DarknetHeader load(const Read& read, std::uint64_t file_size, std::string_view source, Module& module,
                   std::optional<std::int64_t> count) {
  std::byte first[kMostHeaderBytes];
  const std::span head = std::span(first).first(std::size_t(std::min(file_size, kMostHeaderBytes)));
  read(0, head);
  const DarknetHeader header = parse_darknet_header(head, file_size, source);
  const std::vector<Convolution> convolutions = convolutions_of(module, count);
  check_size(convolutions, header, file_size, source, module);

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

std::uint64_t DarknetHeader::bytes() const {
  return kVersionBytes + (has_wide_count(*this) ? sizeof(std::uint64_t) : sizeof(std::uint32_t));
}

DarknetHeader parse_darknet_header(std::span<const std::byte> bytes, std::uint64_t file_size,
                                   std::string_view source) {
  const auto check_length = [&](std::uint64_t expected) {
    const std::uint64_t length = std::min<std::uint64_t>(bytes.size(), file_size);
    DLCUDA_CHECK(length >= expected, FormatError,
                 "{}: offset {}: the file ends within the header of Darknet's weights; expected {} bytes",
                 source, length, expected);
  };
  check_length(kVersionBytes);
  DarknetHeader header;
  std::int32_t version[3];
  std::memcpy(version, bytes.data(), kVersionBytes);
  header.major = version[0];
  header.minor = version[1];
  header.revision = version[2];
  DLCUDA_CHECK(
      is_version(header), FormatError,
      "{}: offset 0: expected the version of Darknet's weights (0.1.0, 0.2.0), got {}.{}.{}; it is no "
      "such file",
      source, header.major, header.minor, header.revision);
  check_length(header.bytes());
  // The count is the low half of a u64 on this machine.
  std::memcpy(&header.seen, bytes.data() + kVersionBytes, std::size_t(header.bytes() - kVersionBytes));
  return header;
}

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
  for (const Convolution& one : convolutions_of(module, count)) bytes += one.bytes;
  return bytes;
}

void save_darknet_weights(const std::filesystem::path& path, const Module& module,
                          const DarknetHeader& header, std::optional<std::int64_t> count) {
  DLCUDA_CHECK(is_version(header), ArgumentError,
               "Darknet weights: major and minor version must be from 0 to {}, got {}.{}", kVersionEnd - 1,
               header.major, header.minor);
  DLCUDA_CHECK(has_wide_count(header) || header.seen <= std::numeric_limits<std::uint32_t>::max(),
               ArgumentError,
               "Darknet weights: version {}.{} counts pictures with 32 bits, got {}; take version 0.2",
               header.major, header.minor, header.seen);
  const std::vector<Convolution> convolutions = convolutions_of(module, count);
  AtomicFile file(path);
  std::byte head[kMostHeaderBytes];
  const std::int32_t version[3] = {header.major, header.minor, header.revision};
  std::memcpy(head, version, kVersionBytes);
  std::memcpy(head + kVersionBytes, &header.seen, sizeof header.seen);
  file.write(std::span<const std::byte>(head, std::size_t(header.bytes())));
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
