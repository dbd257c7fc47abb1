#include "dlcuda/core/safetensors_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "dlcuda/core/check.h"

namespace dlcuda::safetensors {
namespace {

static_assert(std::endian::native == std::endian::little, "elements and lengths are stored little-endian");

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::array<std::pair<DType, std::string_view>, 8> kDTypeNames{{{DType::F32, "F32"},
                                                                         {DType::F64, "F64"},
                                                                         {DType::F16, "F16"},
                                                                         {DType::BF16, "BF16"},
                                                                         {DType::I32, "I32"},
                                                                         {DType::I64, "I64"},
                                                                         {DType::U8, "U8"},
                                                                         {DType::Bool, "BOOL"}}};

/// Takes the JSON parser's events. The one shape that a header may have is a small machine, so that nothing
/// else can nest, repeat or pile up.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(std::string_view source, std::uint64_t data_start, std::uint64_t data_size)
      : source_(source), data_size_(data_size) {
    header_.data_start = data_start;
  }

  /// Once all events have come.
  Header finish() {
    check_coverage();
    return std::move(header_);
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::File) {
      place_ = Place::Header;
    } else if (place_ == Place::Header) {
      place_ = key_ == kMetadata ? Place::Metadata : Place::Entry;
      fields_.clear();
    } else {
      refuse("an object");
    }
    return true;
  }

  bool key(std::string& key) override {
    if (place_ == Place::Header) {
      if (!keys_.insert(key).second) fail("the name {} occurs twice", shown(key));
      key_ = std::move(key);
      if (key_ != kMetadata) header_.entries.emplace_back().name = key_;
    } else {
      field_ = std::move(key);
      if (place_ == Place::Entry && field_ != "dtype" && field_ != "shape" && field_ != "data_offsets") {
        fail("{}: unknown key {}; expected dtype, shape and data_offsets", where(), shown(field_));
      }
      if (!fields_.insert(field_).second) fail("{}: the key {} occurs twice", where(), shown(field_));
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::Entry) finish_entry();
    place_ = place_ == Place::Header ? Place::File : Place::Header;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::Entry || field_ == "dtype") refuse("an array");
    place_ = Place::Array;
    count_ = 0;
    return true;
  }

  bool end_array() override {
    if (field_ == "shape") {
      set_shape();
    } else {
      if (count_ != 2) fail("{}: data_offsets has {} numbers, expected 2", where(), count_);
      header_.entries.back().begin = numbers_[0];
      header_.entries.back().end = numbers_[1];
    }
    place_ = Place::Entry;
    return true;
  }

  bool string(std::string& text) override {
    if (place_ == Place::Metadata) {
      header_.metadata.emplace(field_, std::move(text));
    } else if (place_ == Place::Entry && field_ == "dtype") {
      set_dtype(text);
    } else {
      refuse("the string " + shown(text));
    }
    return true;
  }

  bool number_unsigned(std::uint64_t number) override {
    if (place_ != Place::Array) refuse(fmt::format("the number {}", number));
    if (count_ == numbers_.size()) fail("{}: {} has more than {} numbers", where(), field_, numbers_.size());
    numbers_[count_++] = number;
    return true;
  }
  bool number_integer(std::int64_t number) override { refuse(fmt::format("the number {}", number)); }
  bool number_float(double, const std::string& text) override { refuse("the number " + shown(text)); }
  bool boolean(bool value) override { refuse(value ? "true" : "false"); }
  bool null() override { refuse("null"); }
  bool binary(nlohmann::json::binary_t&) override { refuse("binary data"); }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    // The parser's own text quotes the input at any length; only what it expected is of use.
    std::string_view text = error.what();
    const std::size_t begin = text.find("syntax error");
    text = begin == text.npos ? "a number is out of range" : text.substr(begin);
    text = text.substr(0, text.find("; last read"));
    fail("at offset {}: the header is not valid JSON: {}", kLengthBytes + position - 1, text);
  }

 private:
  enum class Place { File, Header, Metadata, Entry, Array };

  template <typename... Arguments>
  [[noreturn]] void fail(fmt::format_string<Arguments...> message, Arguments&&... arguments) const {
    DLCUDA_THROW(FormatError, "{}: {}", source_, fmt::format(message, std::forward<Arguments>(arguments)...));
  }

  std::string where() const { return key_ == kMetadata ? key_ : "tensor " + shown(key_); }

  [[noreturn]] void refuse(const std::string& got) const {
    std::string at = where();
    std::string_view expected = "an object with dtype, shape and data_offsets";
    if (place_ == Place::Metadata) {
      at += ", key " + shown(field_);
      expected = "a string";
    } else if (place_ == Place::Entry || place_ == Place::Array) {
      at += ", " + field_;
      expected = field_ == "dtype"   ? "a string"
                 : field_ == "shape" ? "an array of non-negative integers"
                                     : "an array of two non-negative integers";
    } else if (key_ == kMetadata) {
      expected = "an object of strings";
    }
    DLCUDA_THROW(FormatError, "{}: {}: expected {}, got {}", source_, at, expected, got);
  }

  void set_dtype(const std::string& text) {
    for (const auto& [dtype, name] : kDTypeNames) {
      if (text == name) {
        header_.entries.back().dtype = dtype;
        return;
      }
    }
    fail("{}: the dtype {} is not supported; expected F32, F64, F16, BF16, I32, I64, U8 or BOOL", where(),
         shown(text));
  }

  void set_shape() {
    std::array<std::int64_t, kMaxRank> extents{};
    for (std::size_t axis = 0; axis < count_; ++axis) {
      if (!std::in_range<std::int64_t>(numbers_[axis])) {
        fail("{}: the extent {} is beyond 2^63 - 1", where(), numbers_[axis]);
      }
      extents[axis] = std::int64_t(numbers_[axis]);
    }
    try {
      header_.entries.back().shape = Shape(std::span<const std::int64_t>(extents.data(), count_));
    } catch (const ShapeError& error) {
      fail("{}: {}", where(), error.what());
    }
  }

  void finish_entry() const {
    for (const std::string_view field : {"dtype", "shape", "data_offsets"}) {
      if (!fields_.contains(field)) fail("{}: {} is missing", where(), field);
    }
    const Entry& entry = header_.entries.back();
    if (entry.begin > entry.end) {
      fail("{}: data_offsets [{}, {}] end before they begin", where(), entry.begin, entry.end);
    }
    if (entry.end > data_size_) {
      fail("{}: data_offsets [{}, {}] reach beyond the {} bytes of data in the file", where(), entry.begin,
           entry.end, data_size_);
    }
    std::uint64_t bytes = 0;
    const bool fits = !__builtin_mul_overflow(std::uint64_t(entry.shape.numel()),
                                              std::uint64_t(size_of(entry.dtype)), &bytes);
    if (!fits || bytes != entry.end - entry.begin) {
      fail("{}: shape {} of {} needs {} bytes, but data_offsets [{}, {}] give {}", where(),
           to_string(entry.shape), to_string(entry.dtype), fits ? std::to_string(bytes) : "more than 2^64",
           entry.begin, entry.end, entry.end - entry.begin);
    }
  }

  void check_coverage() const {
    const std::vector<Entry>& entries = header_.entries;
    std::vector<std::size_t> order(entries.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(entries[a].begin, entries[a].end) < std::pair(entries[b].begin, entries[b].end);
    });
    std::uint64_t covered = 0;
    for (const std::size_t i : order) {
      const Entry& entry = entries[i];
      if (entry.begin != covered) {
        fail("tensor {}: its data begins at {}, expected {}: {}", shown(entry.name), entry.begin, covered,
             entry.begin > covered ? "the bytes between belong to no tensor" : "it overlaps another tensor");
      }
      covered = entry.end;
    }
    if (covered != data_size_) {
      fail("{} bytes at the end of the file belong to no tensor", data_size_ - covered);
    }
  }

  std::string source_;
  std::uint64_t data_size_;
  Header header_;
  Place place_ = Place::File;
  std::string key_;             // in the header: a tensor's name, or __metadata__
  std::string field_;           // in what that key holds
  std::set<std::string> keys_;  // all so far
  std::set<std::string, std::less<>> fields_;
  std::array<std::uint64_t, kMaxRank> numbers_{};
  std::size_t count_ = 0;
};

std::string_view dtype_name(DType dtype) {
  return std::find_if(kDTypeNames.begin(), kDTypeNames.end(),
                      [&](const auto& known) { return known.first == dtype; })
      ->second;
}

std::string json_string(std::string_view text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::type_error&) {
    DLCUDA_THROW(ArgumentError, "safetensors: the text {} is not valid UTF-8", shown(text));
  }
}

}  // namespace

std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 80;
  using nlohmann::json;
  return json(text.substr(0, kMost)).dump(-1, ' ', true, json::error_handler_t::ignore) +
         (text.size() > kMost ? "..." : "");
}

std::uint64_t parse_data_start(std::span<const std::byte> bytes, std::uint64_t file_size,
                               std::string_view source) {
  DLCUDA_CHECK(file_size >= kLengthBytes && bytes.size() >= kLengthBytes, FormatError,
               "{}: at offset 0: a safetensors file begins with 8 bytes of header length, got {}", source,
               std::min<std::uint64_t>(file_size, bytes.size()));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  DLCUDA_CHECK(
      length <= kMaxHeaderBytes, FormatError,
      "{}: at offset 0: a header of {} bytes is announced, at most {} are allowed; is it safetensors?",
      source, length, kMaxHeaderBytes);
  DLCUDA_CHECK(
      length <= file_size - kLengthBytes, FormatError,
      "{}: at offset 0: a header of {} bytes is announced, but only {} follow; the file is truncated or "
      "not safetensors",
      source, length, file_size - kLengthBytes);
  return kLengthBytes + length;
}

Header parse_header(std::span<const std::byte> bytes, std::uint64_t file_size, std::string_view source) {
  const std::uint64_t data_start = parse_data_start(bytes, file_size, source);
  DLCUDA_CHECK(bytes.size() >= data_start, FormatError, "{}: at offset {}: the header ends early, at {}",
               source, kLengthBytes, bytes.size());
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                              data_start - kLengthBytes);
  DLCUDA_CHECK(text.starts_with('{'), FormatError,
               "{}: at offset {}: the header must be a JSON object and begin with '{{'", source,
               kLengthBytes);
  // The JSON parser takes a NUL for the end of its input.
  DLCUDA_CHECK(text.find('\0') == text.npos, FormatError,
               "{}: at offset {}: the header is not valid JSON: a NUL byte", source,
               kLengthBytes + text.find('\0'));
  HeaderReader reader(source, data_start, file_size - data_start);
  nlohmann::json::sax_parse(text, &reader);
  return reader.finish();
}

std::string format_header(std::span<const Entry> entries,
                          const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> members;
  if (!metadata.empty()) {
    std::vector<std::string> texts;
    for (const auto& [key, text] : metadata) texts.push_back(json_string(key) + ":" + json_string(text));
    members.push_back(fmt::format("\"{}\":{{{}}}", kMetadata, fmt::join(texts, ",")));
  }
  for (const Entry& entry : entries) {
    members.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  json_string(entry.name), dtype_name(entry.dtype),
                                  fmt::join(entry.shape.extents(), ","), entry.begin, entry.end));
  }
  std::string text = fmt::format("{{{}}}", fmt::join(members, ","));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  DLCUDA_CHECK(text.size() <= kMaxHeaderBytes, ArgumentError,
               "safetensors: names, shapes and metadata take {} bytes, at most {} are allowed", text.size(),
               kMaxHeaderBytes);
  const std::uint64_t length = text.size();
  std::string header(kLengthBytes, '\0');
  std::memcpy(header.data(), &length, sizeof(length));
  return header + text;
}

}  // namespace dlcuda::safetensors
