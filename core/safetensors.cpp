#include "dlcuda/core/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <set>
#include <span>

#include "dlcuda/core/check.h"
#include "dlcuda/core/text.h"

namespace dlcuda {
namespace {

/// Reads length field and header. The length is checked against the file's size before memory is taken for
/// it.
safetensors::Header read_header(const InputFile& file) {
  std::vector<std::byte> bytes(safetensors::kLengthBytes);
  bytes.resize(file.read_at(0, bytes));
  bytes.resize(safetensors::parse_data_start(bytes, file.size(), file.path()));
  bytes.resize(file.read_at(0, bytes));
  return safetensors::parse_header(bytes, file.size(), file.path());
}

/// Any other byte in a bool would be undefined behaviour to read.
void check_bools(std::span<const std::byte> bytes, const std::string& path, std::string_view name,
                 std::uint64_t offset) {
  const auto bad =
      std::find_if(bytes.begin(), bytes.end(), [](std::byte value) { return value > std::byte{1}; });
  DLCUDA_CHECK(bad == bytes.end(), FormatError,
               "{}: at offset {}: tensor {}: a BOOL element must be 0 or 1, got {}", path,
               offset + std::uint64_t(bad - bytes.begin()), safetensors::shown(name), int(*bad));
}

void write_elements(AtomicFile& file, const Tensor& tensor) {
  const std::size_t bytes = tensor.nbytes();
  if (tensor.device().is_cpu() && tensor.is_contiguous()) {
    file.write({static_cast<const std::byte*>(tensor.data()), bytes});
    return;
  }
  std::vector<std::byte> staged(bytes);
  tensor.copy_to_host(staged.data());
  file.write(staged);
}

}  // namespace

void save_safetensors(const std::filesystem::path& path,
                      const std::vector<std::pair<std::string, Tensor>>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::set<std::string_view> names;
  std::vector<safetensors::Entry> entries;
  for (const auto& [name, tensor] : tensors) {
    DLCUDA_CHECK(name != "__metadata__", ArgumentError,
                 "save_safetensors: the name \"__metadata__\" belongs to the format; rename the tensor");
    DLCUDA_CHECK(names.insert(name).second, ArgumentError, "save_safetensors: the name {} occurs twice",
                 safetensors::shown(name));
    DLCUDA_CHECK(tensor.defined(), ArgumentError, "save_safetensors: the tensor {} is undefined",
                 safetensors::shown(name));
    entries.push_back({name, tensor.dtype(), tensor.shape(), 0, 0});
  }
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return size_of(entries[a].dtype) > size_of(entries[b].dtype);
  });
  std::uint64_t offset = 0;
  for (const std::size_t i : order) {
    entries[i].begin = offset;
    entries[i].end = offset += tensors[i].second.nbytes();
  }
  const std::string header = safetensors::format_header(entries, metadata);
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(header)));
  for (const std::size_t i : order) write_elements(file, tensors[i].second);
  file.commit();
}

std::vector<std::pair<std::string, Tensor>> load_safetensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.tensor(name));
  return tensors;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path), header_(read_header(file_)) {
  for (const safetensors::Entry& entry : header_.entries) {
    index_.emplace(entry.name, names_.size());
    names_.push_back(entry.name);
  }
}

const safetensors::Entry& SafetensorsFile::entry(std::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) {
    const auto nearest = nearest_name(name, names_);
    DLCUDA_THROW(ArgumentError, "{}: there is no tensor {} among the {} in the file{}", file_.path(),
                 safetensors::shown(name), names_.size(),
                 nearest ? "; did you mean " + safetensors::shown(*nearest) + "?" : "");
  }
  return header_.entries[found->second];
}

Tensor SafetensorsFile::tensor(std::string_view name, Device device) const {
  const safetensors::Entry& entry = this->entry(name);
  Tensor tensor = Tensor::empty(entry.shape, entry.dtype);
  const std::span<std::byte> bytes(static_cast<std::byte*>(tensor.data()), tensor.nbytes());
  const std::uint64_t offset = header_.data_start + entry.begin;
  const std::size_t got = file_.read_at(offset, bytes);
  DLCUDA_CHECK(got == bytes.size(), IoError,
               "{}: at offset {}: tensor {} ends early; the file was cut short after it was opened",
               file_.path(), offset + got, safetensors::shown(name));
  if (entry.dtype == DType::Bool) check_bools(bytes, file_.path(), name, offset);
  return tensor.to(device);
}

Tensor SafetensorsFile::mapped_tensor(std::string_view name) const {
  const safetensors::Entry& entry = this->entry(name);
  const std::uint64_t offset = header_.data_start + entry.begin;
  if (entry.begin == entry.end || entry.dtype == DType::Bool || offset % size_of(entry.dtype) != 0) {
    return tensor(name);
  }
  std::shared_ptr<const std::byte> bytes = file_.map(offset, entry.end - entry.begin);
  void* const data = const_cast<std::byte*>(bytes.get());
  return Tensor::from_blob(data, entry.shape, entry.dtype, Device::cpu(),
                           [bytes = std::move(bytes)](void*) mutable { bytes.reset(); });
}

}  // namespace dlcuda
