// Named tensors in the safetensors format, which Python reads and writes as well; safetensors_header.h
// describes it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlcuda/core/device.h"
#include "dlcuda/core/dtype.h"
#include "dlcuda/core/file.h"
#include "dlcuda/core/safetensors_header.h"
#include "dlcuda/core/shape.h"
#include "dlcuda/core/tensor.h"

namespace dlcuda DLCUDA_API {

/// Writes tensors of any device and memory format; their elements are stored in N, C, H, W order. The header
/// lists them in the order given; their data lies by falling element size and then in the order given, so
/// that every tensor is aligned to its element. The same input always gives the same bytes. The file replaces
/// what stood under the name only when it is complete and on the disk. Throws ArgumentError, before anything
/// is written, for a name that occurs twice, is not UTF-8 or is "__metadata__", and for an undefined tensor;
/// IoError, with path and reason, where the file cannot be written. No temporary file is left behind.
void save_safetensors(const std::filesystem::path& path,
                      const std::vector<std::pair<std::string, Tensor>>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

/// All tensors of a file, on the CPU, in the order of its header. Throws as SafetensorsFile does.
std::vector<std::pair<std::string, Tensor>> load_safetensors(const std::filesystem::path& path);

/// An open file: what is in it is known at once, elements are read or mapped when a tensor is asked for.
/// Tensors outlive the file object. Several threads may use it at once.
class SafetensorsFile {
 public:
  /// Reads and checks the header. Throws IoError for a file that is missing, unreadable or no regular file,
  /// FormatError (path, offset or tensor, what was wrong) for one that is not safetensors or holds dtypes
  /// that DType lacks.
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// In the order of the header.
  const std::vector<std::string>& names() const noexcept { return names_; }
  bool contains(std::string_view name) const { return index_.find(name) != index_.end(); }
  /// These throw ArgumentError for a name that is not in the file.
  DType dtype(std::string_view name) const { return entry(name).dtype; }
  const Shape& shape(std::string_view name) const { return entry(name).shape; }
  /// Reads one tensor. Throws IoError when the file can no longer be read, FormatError for a BOOL element
  /// that is neither 0 nor 1, OutOfMemoryError.
  Tensor tensor(std::string_view name, Device device = Device::cpu()) const;
  /// The same on the CPU without a copy: a read-only, private mapping of the file, which the tensor keeps
  /// alive. Pages are read when they are first touched, and shared with other processes that map the file.
  ///
  /// For files that nobody changes meanwhile: reading an element after the file was cut short, and writing to
  /// the tensor, end the process (SIGBUS, SIGSEGV); a file written over in place changes the elements. One
  /// that is replaced, as save_safetensors() does, changes nothing. Tensors that a mapping cannot serve are
  /// read: those whose data are not aligned to their element (files of other writers), bools (every byte has
  /// to be checked) and empty ones. Throws as tensor() does.
  Tensor mapped_tensor(std::string_view name) const;
  /// The texts under "__metadata__".
  const std::map<std::string, std::string>& metadata() const noexcept { return header_.metadata; }

 private:
  const safetensors::Entry& entry(std::string_view name) const;

  InputFile file_;
  safetensors::Header header_;
  std::vector<std::string> names_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace dlcuda
