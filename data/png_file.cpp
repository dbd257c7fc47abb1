// PNG through libpng, which reports errors by jumping back to the call that failed: each call into it sits in
// a member function that holds nothing with a destructor.
#include <png.h>

#include <csetjmp>
#include <cstring>
#include <new>

#include "dlcuda/data/image_codecs.h"

namespace dlcuda::image_codecs {
namespace {

/// What both directions need of the library: its messages.
class Messages {
 public:
  const char* message() const { return message_; }

 protected:
  static void fail(png_structp png, png_const_charp message) {
    auto* self = static_cast<Messages*>(png_get_error_ptr(png));
    std::strncpy(self->message_, message, sizeof self->message_ - 1);
    png_longjmp(png, 1);
  }
  /// What is harmless enough for a warning is harmless.
  static void warn(png_structp, png_const_charp) {}

 private:
  char message_[160] = "out of memory";
};

class Reader : public Messages {
 public:
  explicit Reader(Bytes file) : rest_(file) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, static_cast<Messages*>(this), fail, warn);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ != nullptr) png_set_read_fn(png_, this, read);
  }
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// These are false where something failed: message() says what.
  bool read_header() {
    if (info_ == nullptr || setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_info(png_, info_);
    return true;
  }
  /// Bytes of the picture as it is stored, unpacked.
  std::uint64_t stored_bytes() const {
    return std::uint64_t(png_get_rowbytes(png_, info_)) * png_get_image_height(png_, info_);
  }
  std::int64_t width() const { return png_get_image_width(png_, info_); }
  std::int64_t height() const { return png_get_image_height(png_, info_); }
  std::size_t row_bytes() const { return png_get_rowbytes(png_, info_); }
  int channels() const { return png_get_channels(png_, info_); }

  /// Asks for 8 bits of grey or red, green and blue.
  bool start() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_interlace_handling(png_);
    if (png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    png_set_expand_gray_1_2_4_to_8(png_);
    png_set_scale_16(png_);
    png_set_strip_alpha(png_);
    png_read_update_info(png_, info_);
    return true;
  }
  /// All rows, and what follows them.
  bool read(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_image(png_, rows);
    png_read_end(png_, nullptr);
    return true;
  }

 private:
  static void read(png_structp png, png_bytep to, std::size_t count) {
    Bytes& rest = static_cast<Reader*>(png_get_io_ptr(png))->rest_;
    if (count > rest.size()) png_error(png, "the file ends too early");
    std::memcpy(to, rest.data(), count);
    rest = rest.subspan(count);
  }

  Bytes rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

class Writer : public Messages {
 public:
  Writer() {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, static_cast<Messages*>(this), fail, warn);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ != nullptr) png_set_write_fn(png_, this, write, [](png_structp) {});
  }
  ~Writer() { png_destroy_write_struct(&png_, &info_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  bool write_header(const ImageShape& shape) {
    if (info_ == nullptr || setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_IHDR(png_, info_, png_uint_32(shape.width), png_uint_32(shape.height), 8,
                 shape.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png_, info_);
    return true;
  }
  bool write_row(const std::uint8_t* row) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_write_row(png_, row);
    return true;
  }
  bool finish() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_write_end(png_, info_);
    return true;
  }
  std::vector<std::uint8_t> take() { return std::move(file_); }

 private:
  static void write(png_structp png, png_bytep from, std::size_t count) {
    auto& file = static_cast<Writer*>(png_get_io_ptr(png))->file_;
    bool done = false;
    try {
      file.insert(file.end(), from, from + count);
      done = true;
    } catch (const std::bad_alloc&) {  // must not pass through the library
    }
    if (!done) png_error(png, "out of memory");
  }

  std::vector<std::uint8_t> file_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

bool is_png(Bytes file) { return file.size() >= 8 && png_sig_cmp(file.data(), 0, 8) == 0; }

Decoded decode_png(const std::string& path, Bytes file, std::int64_t max_pixels) {
  Reader reader(file);
  const auto check = [&](bool good) {
    DLCUDA_CHECK(good, FormatError, "{}: corrupt PNG: {}", path, reader.message());
  };
  check(reader.read_header());
  check_extents(path, "PNG", reader.width(), reader.height(), max_pixels);
  // Deflate packs at most 258 bytes into two bits: 1032 to 1.
  DLCUDA_CHECK(reader.stored_bytes() / 1032 <= file.size(), FormatError,
               "{}: truncated PNG: {} bytes cannot hold {} x {} pixels", path, file.size(), reader.width(),
               reader.height());
  check(reader.start());
  DLCUDA_CHECK(reader.channels() == 1 || reader.channels() == 3, FormatError,
               "{}: a PNG with {} channels, expected 1 or 3", path, reader.channels());

  // An interlaced picture comes in passes, so all rows are there until the last one has been read.
  const std::size_t row_bytes = reader.row_bytes();
  std::vector<std::uint8_t> interleaved(row_bytes * std::size_t(reader.height()));
  std::vector<png_bytep> rows;
  for (std::int64_t y = 0; y < reader.height(); ++y) {
    rows.push_back(interleaved.data() + std::size_t(y) * row_bytes);
  }
  check(reader.read(rows.data()));

  Decoded result;
  result.image.shape = {reader.channels(), reader.height(), reader.width()};
  result.image.pixels.resize(result.image.shape.pixels());
  for (std::int64_t y = 0; y < reader.height(); ++y) {
    put_row(Bytes(rows[std::size_t(y)], row_bytes), y, result.image);
  }
  return result;
}

std::vector<std::uint8_t> encode_png(const Image& image) {
  Writer writer;
  const auto check = [&](bool good) {
    DLCUDA_CHECK(good, Error, "a PNG of {} cannot be encoded: {}", to_string(image.shape), writer.message());
  };
  check(writer.write_header(image.shape));
  const auto channels = std::size_t(image.shape.channels), width = std::size_t(image.shape.width);
  std::vector<std::uint8_t> row(channels * width);
  for (std::size_t y = 0; y < std::size_t(image.shape.height); ++y) {
    for (std::size_t c = 0; c < channels; ++c) {
      const auto source = image.plane(std::int64_t(c)).subspan(y * width, width);
      for (std::size_t x = 0; x < width; ++x) row[x * channels + c] = source[x];
    }
    check(writer.write_row(row.data()));
  }
  check(writer.finish());
  return writer.take();
}

}  // namespace dlcuda::image_codecs
