// JPEG through libjpeg-turbo. The library reports errors by a function that must not return: it jumps back to
// the call that failed. So each call into it sits in a member function that holds nothing with a destructor.
#include <csetjmp>
#include <cstddef>
#include <cstdio>
// jpeglib.h wants FILE and size_t to be known.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <string_view>

#include "dlcuda/data/image_codecs.h"

namespace dlcuda::image_codecs {
namespace {

// Encoders write about ten; each is a pass over the whole picture.
constexpr int kMostScans = 128;
constexpr std::string_view kExif{"Exif\0\0", 6};

class Decoder {
 public:
  explicit Decoder(Bytes file) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = [](j_common_ptr info) { of(info).fail(); };
    errors_.emit_message = [](j_common_ptr info, int level) {
      if (level < 0 && corrupts(info->err->msg_code)) of(info).fail();
    };
    errors_.output_message = [](j_common_ptr) {};
    progress_.progress_monitor = [](j_common_ptr info) {
      Decoder& decoder = of(info);
      if (decoder.info_.input_scan_number <= kMostScans) return;
      std::snprintf(decoder.message_, sizeof decoder.message_, "more than %d scans", kMostScans);
      std::longjmp(decoder.jump_, 1);
    };
    created_ = create(file);
  }
  ~Decoder() { jpeg_destroy_decompress(&info_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// These are false where something failed: message() says what.
  bool read_header() {
    if (!created_ || setjmp(jump_) != 0) return false;
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&info_, TRUE);
    return true;
  }
  bool start(J_COLOR_SPACE to) {
    if (setjmp(jump_) != 0) return false;
    info_.out_color_space = to;
    jpeg_start_decompress(&info_);
    return true;
  }
  bool read_row(std::uint8_t* row) {
    if (setjmp(jump_) != 0) return false;
    jpeg_read_scanlines(&info_, &row, 1);
    return true;
  }
  /// Reads on to the end of the file, where it may turn out to be cut off.
  bool finish() {
    if (setjmp(jump_) != 0) return false;
    jpeg_finish_decompress(&info_);
    return true;
  }

  const jpeg_decompress_struct& info() const { return info_; }
  const char* message() const { return message_; }

 private:
  static Decoder& of(j_common_ptr info) { return *static_cast<Decoder*>(info->client_data); }

  /// Warnings after which pixels are made up. Others (bytes between markers, unknown versions) leave them
  /// alone.
  static bool corrupts(int warning) {
    return warning == JWRN_BOGUS_PROGRESSION || warning == JWRN_HIT_MARKER || warning == JWRN_HUFF_BAD_CODE ||
           warning == JWRN_JPEG_EOF || warning == JWRN_MUST_RESYNC;
  }

  bool create(Bytes file) {
    if (setjmp(jump_) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    jpeg_mem_src(&info_, file.data(), file.size());
    return true;
  }
  [[noreturn]] void fail() {
    info_.err->format_message(reinterpret_cast<j_common_ptr>(&info_), message_);
    std::longjmp(jump_, 1);
  }

  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  char message_[JMSG_LENGTH_MAX] = {};
  bool created_ = false;
};

int orientation_of(const jpeg_decompress_struct& info) {
  for (const jpeg_marker_struct* marker = info.marker_list; marker != nullptr; marker = marker->next) {
    const std::string_view text(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (marker->marker == JPEG_APP0 + 1 && text.starts_with(kExif)) {
      return exif_orientation(Bytes(marker->data, marker->data_length).subspan(kExif.size()));
    }
  }
  return 1;
}

/// A row of cyan, magenta, yellow and black to red, green and blue, in place. Adobe stores them inverted.
void cmyk_to_rgb(std::uint8_t* row, std::size_t width, bool inverted) {
  for (std::size_t x = 0; x < width; ++x) {
    const auto light = [&](std::size_t i) { return inverted ? row[4 * x + i] : 255 - row[4 * x + i]; };
    const int black = light(3);
    for (std::size_t c = 0; c < 3; ++c) row[3 * x + c] = std::uint8_t((light(c) * black + 127) / 255);
  }
}

}  // namespace

bool is_jpeg(Bytes file) { return file.size() >= 3 && file[0] == 0xff && file[1] == 0xd8 && file[2] == 0xff; }

Decoded decode_jpeg(const std::string& path, Bytes file, std::int64_t max_pixels) {
  Decoder decoder(file);
  const auto check = [&](bool good) {
    DLCUDA_CHECK(good, FormatError, "{}: corrupt or unsupported JPEG: {}", path, decoder.message());
  };
  check(decoder.read_header());
  const jpeg_decompress_struct& info = decoder.info();
  check_extents(path, "JPEG", info.image_width, info.image_height, max_pixels);
  DLCUDA_CHECK(!info.arith_code, FormatError,
               "{}: a JPEG with arithmetic coding, which is not supported: save it as an ordinary one", path);
  // Every block has a Huffman code, and that a bit at least.
  std::uint64_t blocks = 0;
  for (int c = 0; c < info.num_components; ++c) {
    blocks += std::uint64_t(info.comp_info[c].width_in_blocks) * info.comp_info[c].height_in_blocks;
  }
  DLCUDA_CHECK(blocks <= 8 * std::uint64_t(file.size()), FormatError,
               "{}: truncated JPEG: {} bytes cannot hold {} x {} pixels", path, file.size(), info.image_width,
               info.image_height);
  const bool grey = info.jpeg_color_space == JCS_GRAYSCALE;
  const bool cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  DLCUDA_CHECK(grey || cmyk || info.jpeg_color_space == JCS_YCbCr || info.jpeg_color_space == JCS_RGB,
               FormatError, "{}: a JPEG with {} colour components of unknown meaning", path,
               info.num_components);

  Decoded result;
  result.orientation = orientation_of(info);
  check(decoder.start(grey ? JCS_GRAYSCALE : cmyk ? JCS_CMYK : JCS_RGB));
  Image& image = result.image;
  image.shape = {grey ? 1 : 3, info.output_height, info.output_width};
  image.pixels.resize(image.shape.pixels());
  std::vector<std::uint8_t> row(std::size_t(info.output_width) * std::size_t(info.output_components));
  for (std::int64_t y = 0; y < image.shape.height; ++y) {
    check(decoder.read_row(row.data()));
    if (cmyk) cmyk_to_rgb(row.data(), info.output_width, info.saw_Adobe_marker);
    put_row(row, y, image);
  }
  check(decoder.finish());
  return result;
}

}  // namespace dlcuda::image_codecs
