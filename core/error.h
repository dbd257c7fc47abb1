// The errors that the library throws. Each says what happened, where, what was expected, what came, how to
// fix it.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// Base of all errors thrown by libdlcuda.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A shape, rank, axis or memory format that an operation cannot take.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// A dtype that an operation cannot take, or two that differ. Nothing is cast silently.
class DTypeError : public Error {
 public:
  using Error::Error;
};

/// A device that is missing, wrong or failing. Nothing is moved between devices silently.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// Memory ran out after the caches were flushed and the allocation was tried once more.
class OutOfMemoryError : public Error {
 public:
  OutOfMemoryError(const std::string& message, std::size_t requested_bytes)
      : Error(message), requested_bytes_(requested_bytes) {}
  std::size_t requested_bytes() const noexcept { return requested_bytes_; }

 private:
  std::size_t requested_bytes_;
};

/// A file whose content is wrong: the message holds the path, the offset or line, and what was wrong.
class FormatError : public Error {
 public:
  using Error::Error;
};

/// A file that cannot be opened, read or written.
class IoError : public Error {
 public:
  using Error::Error;
};

/// A NaN or Inf where training cannot go on.
class NumericError : public Error {
 public:
  using Error::Error;
};

/// A failure between several devices or hosts.
class CollectiveError : public Error {
 public:
  using Error::Error;
};

/// An argument that is none of the above: an unknown name, a number out of its range.
class ArgumentError : public Error {
 public:
  using Error::Error;
};

}  // namespace dlcuda
