// Writes IDX files, good and bad, plain and gzip.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {

using Bytes = std::vector<unsigned char>;

inline Bytes gzip(const Bytes& plain) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2");
  }
  Bytes packed(deflateBound(&stream, plain.size()));
  stream.next_in = const_cast<unsigned char*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate");
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

inline void append_big_endian(Bytes& bytes, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<unsigned char>(value >> shift));
}

/// A header with any promise, and any payload.
inline Bytes idx(const std::vector<std::uint32_t>& header, const Bytes& payload = {}) {
  Bytes bytes;
  for (const std::uint32_t value : header) append_big_endian(bytes, value);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

/// `count` images of side x side; pixel p of image i is (7 i + p) mod 256.
inline Bytes idx_images(std::uint32_t count, std::uint32_t side = 28) {
  Bytes payload;
  for (std::uint32_t i = 0; i < count; ++i) {
    for (std::uint32_t p = 0; p < side * side; ++p) payload.push_back(static_cast<unsigned char>(7 * i + p));
  }
  return idx({2051, count, side, side}, payload);
}

/// Labels 0, 1, ..., 9, 0, ...
inline Bytes idx_labels(std::uint32_t count) {
  Bytes payload;
  for (std::uint32_t i = 0; i < count; ++i) payload.push_back(static_cast<unsigned char>(i % 10));
  return idx({2049, count}, payload);
}

/// The four files of a small MNIST.
inline void write_mnist(const std::filesystem::path& folder, std::uint32_t train = 20,
                        std::uint32_t test = 10) {
  write_file(folder / "train-images-idx3-ubyte", idx_images(train));
  write_file(folder / "train-labels-idx1-ubyte", idx_labels(train));
  write_file(folder / "t10k-images-idx3-ubyte", idx_images(test));
  write_file(folder / "t10k-labels-idx1-ubyte", idx_labels(test));
}

}  // namespace dlcuda
