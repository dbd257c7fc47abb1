// Files that lie: each must be refused with a message that says where and why, before memory is taken.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "dlcuda/core/error.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

std::string length_field(std::uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes;
}

std::string with_length(const std::string& header, std::size_t data_bytes = 0) {
  return length_field(header.size()) + header + std::string(data_bytes, '\0');
}

std::string entry(const std::string& shape, const std::string& offsets, const std::string& dtype = "F32") {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

/// A file with the one tensor "a".
std::string one(const std::string& value, std::size_t data_bytes = 8) {
  return with_length(R"({"a":)" + value + "}", data_bytes);
}

class HostileSafetensors : public testing::Test {
 protected:
  template <typename... Words>
  void expect_refused(const std::string& bytes, const Words&... words) {
    const auto path = folder / "hostile.safetensors";
    write_text(path, bytes);
    expect_error<FormatError>([&] { SafetensorsFile file(path); }, path.string(), words...);
  }
  TempFolder folder;
};

#define HOSTILE(name, ...) \
  TEST_F(HostileSafetensors, name) { expect_refused(__VA_ARGS__); }

TEST_F(HostileSafetensors, TheFixtureItselfIsReadable) {
  const auto path = folder / "good.safetensors";
  const std::string bytes = one(entry("[2]", "[0,8]"));
  write_text(path, bytes);
  EXPECT_EQ(SafetensorsFile(path).shape("a"), Shape{2});
}

// The length field.
HOSTILE(EmptyFile, "", "at offset 0", "8 bytes of header length, got 0")
HOSTILE(ShorterThanTheLength, "\x02", "got 1")
HOSTILE(NoHeader, with_length(""), "at offset 8", "JSON object")
HOSTILE(LengthBeyondTheFile, length_field(100) + "{}", "at offset 0", "100 bytes is announced",
        "only 2 follow")
HOSTILE(LengthBeyondTheLimit, length_field(100'000'001) + "{}", "100000001", "at most 100000000")
HOSTILE(LengthOfAllOnes, std::string(8, '\xff') + "{}", "18446744073709551615")
HOSTILE(LengthBeyondTheFileByOne, length_field(3) + "{}", "only 2 follow")

// The JSON text.
HOSTILE(NotAnObject, with_length("[]"), "at offset 8", "begin with '{'")
HOSTILE(LeadingSpace, with_length(" {}"), "begin with '{'")
HOSTILE(ByteOrderMark, with_length("\xef\xbb\xbf{}"), "begin with '{'")
HOSTILE(UnfinishedObject, with_length("{"), "at offset", "not valid JSON", "end of input")
HOSTILE(TrailingText, with_length("{} x"), "at offset 11", "not valid JSON")
HOSTILE(SecondObject, with_length("{}{}"), "at offset 10", "not valid JSON")
HOSTILE(NulByte, with_length(std::string("{}\0{", 4)), "at offset 10", "NUL")
HOSTILE(Comment, with_length("{/**/}"), "not valid JSON")
HOSTILE(TrailingComma, with_length(R"({"__metadata__":{},})"), "not valid JSON")
HOSTILE(NameThatIsNotUtf8, with_length("{\"\xff\":1}"), "at offset 10", "not valid JSON", "UTF-8")
HOSTILE(OverlongUtf8, with_length("{\"\xc0\xaf\":1}"), "UTF-8")
HOSTILE(LoneSurrogate, with_length(R"({"\ud800":1})"), "not valid JSON")
HOSTILE(NumberBeyondDouble, one(entry("[1e999]", "[0,8]")), "out of range")
HOSTILE(DeepArrays, with_length(R"({"a":)" + std::string(5'000'000, '[')), "got an array")
HOSTILE(
    DeepObjects,
    [] {
      std::string text;
      for (int i = 0; i < 500'000; ++i) text += R"({"a":)";
      return with_length(text);
    }(),
    R"(tensor "a")")
HOSTILE(ControlCharactersInAName, with_length(R"({"\u001b[2J":1})"), R"(tensor "\u001b[2J")")
TEST_F(HostileSafetensors, LongNamesAreCutInMessages) {
  const std::string name(100'000, 'n');
  expect_refused(with_length("{\"" + name + "\":1}"), R"(nnn"...)");
  try {
    SafetensorsFile file(folder / "hostile.safetensors");
  } catch (const FormatError& error) {
    EXPECT_LT(std::strlen(error.what()), 1000u);
  }
}

// What the header holds.
HOSTILE(EntryThatIsANumber, one("1"), R"(tensor "a")", "expected an object", "got the number 1")
HOSTILE(EntryThatIsNull, one("null"), "expected an object", "got null")
HOSTILE(EntryThatIsAString, one(R"("x")"), "expected an object", R"(got the string "x")")
HOSTILE(EntryThatIsAnArray, one("[]"), "expected an object", "got an array")
HOSTILE(EntryThatIsEmpty, one("{}"), R"(tensor "a")", "dtype is missing")
HOSTILE(NoDType, one(R"({"shape":[2],"data_offsets":[0,8]})"), "dtype is missing")
HOSTILE(NoShape, one(R"({"dtype":"F32","data_offsets":[0,8]})"), "shape is missing")
HOSTILE(NoOffsets, one(R"({"dtype":"F32","shape":[2]})"), "data_offsets is missing")
HOSTILE(UnknownKey, one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"strides":[1]})"),
        R"(unknown key "strides")")
HOSTILE(KeyTwice, one(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
        R"(the key "dtype" occurs twice)")
HOSTILE(NameTwice,
        with_length(R"({"a":)" + entry("[1]", "[0,4]") + R"(,"a":)" + entry("[1]", "[4,8]") + "}", 8),
        R"(the name "a" occurs twice)")
HOSTILE(NameTwiceInEscapes,
        with_length(R"({"a":)" + entry("[1]", "[0,4]") + R"(,"\u0061":)" + entry("[1]", "[4,8]") + "}", 8),
        R"(the name "a" occurs twice)")

HOSTILE(MetadataThatIsAString, with_length(R"({"__metadata__":"x"})"), "__metadata__", "an object of strings")
HOSTILE(MetadataWithANumber, with_length(R"({"__metadata__":{"k":1}})"), R"(__metadata__, key "k")",
        "expected a string, got the number 1")
HOSTILE(MetadataWithAnObject, with_length(R"({"__metadata__":{"k":{}}})"), "got an object")
HOSTILE(MetadataWithAnArray, with_length(R"({"__metadata__":{"k":[]}})"), "got an array")
HOSTILE(MetadataKeyTwice, with_length(R"({"__metadata__":{"k":"","k":""}})"), R"("k" occurs twice)")
HOSTILE(MetadataTwice, with_length(R"({"__metadata__":{},"__metadata__":{}})"),
        R"("__metadata__" occurs twice)")

HOSTILE(UnknownDType, one(entry("[8]", "[0,8]", "F8_E4M3")), R"(tensor "a")", R"("F8_E4M3" is not supported)")
HOSTILE(DTypeInLowerCase, one(entry("[2]", "[0,8]", "f32")), R"("f32" is not supported)")
HOSTILE(DTypeThatIsANumber, one(R"({"dtype":1,"shape":[2],"data_offsets":[0,8]})"),
        "dtype: expected a string")
HOSTILE(DTypeThatIsAnArray, one(R"({"dtype":["F32"],"shape":[2],"data_offsets":[0,8]})"),
        "dtype: expected a string, got an array")

HOSTILE(NegativeExtent, one(entry("[-2]", "[0,8]")), "shape: expected an array of non-negative", "number -2")
HOSTILE(FractionalExtent, one(entry("[2.0]", "[0,8]")), R"(got the number "2.0")")
HOSTILE(ExtentThatIsAString, one(entry(R"(["2"])", "[0,8]")), R"(got the string "2")")
HOSTILE(ExtentThatIsABoolean, one(entry("[true]", "[0,8]")), "got true")
HOSTILE(ExtentThatIsAnArray, one(entry("[[2]]", "[0,8]")), "got an array")
HOSTILE(ShapeThatIsANumber, one(entry("2", "[0,8]")), "shape: expected an array", "got the number 2")
HOSTILE(ShapeThatIsAnObject, one(entry("{}", "[0,8]")), "shape: expected an array", "got an object")
HOSTILE(NineAxes, one(entry("[1,1,1,1,1,1,1,1,2]", "[0,8]")), "shape has more than 8")
HOSTILE(ExtentBeyondInt64, one(entry("[9223372036854775808]", "[0,8]")), "9223372036854775808", "2^63 - 1")
HOSTILE(ExtentBeyondUInt64, one(entry("[18446744073709551617]", "[0,8]")), "18446744073709551617")
HOSTILE(ProductThatWraps, one(entry("[4294967296,4294967296,2]", "[0,8]")), R"(tensor "a")",
        "2^63 - 1 elements")
HOSTILE(ProductThatWrapsAfterAZero, one(entry("[0,4294967296,4294967296]", "[0,0]"), 0), "2^63 - 1 elements")
HOSTILE(BytesThatWrap, one(entry("[4611686018427387905]", "[0,4]", "F64"), 4), "more than 2^64")
HOSTILE(FourGiBInASmallFile, one(entry("[4294967296]", "[0,17179869184]")),
        "reach beyond the 8 bytes of data")

HOSTILE(OneOffset, one(entry("[2]", "[8]")), "data_offsets has 1 numbers, expected 2")
HOSTILE(ThreeOffsets, one(entry("[2]", "[0,8,8]")), "data_offsets has 3 numbers, expected 2")
HOSTILE(ManyOffsets, one(entry("[2]", "[0,1,2,3,4,5,6,7,8]")), "data_offsets has more than")
HOSTILE(NegativeOffset, one(entry("[2]", "[-8,0]")), "an array of two non-negative integers", "number -8")
HOSTILE(OffsetThatIsNull, one(entry("[2]", "[null,8]")), "got null")
HOSTILE(OffsetsBackwards, one(entry("[2]", "[8,0]")), "[8, 0] end before they begin")
HOSTILE(OffsetsBeyondTheFile, one(entry("[4]", "[0,16]")), "[0, 16] reach beyond the 8 bytes")
HOSTILE(OffsetsThatWrap, one(entry("[2]", "[18446744073709551608,18446744073709551615]")), "reach beyond")
HOSTILE(TooManyBytesForTheShape, one(entry("[1]", "[0,8]")), "needs 4 bytes", "give 8")
HOSTILE(TooFewBytesForTheShape, one(entry("[3]", "[0,8]")), "needs 12 bytes", "give 8")
HOSTILE(TruncatedData, one(entry("[2]", "[0,8]"), 7), "reach beyond the 7 bytes")
HOSTILE(DataAfterTheLastTensor, one(entry("[2]", "[0,8]"), 9), "1 bytes at the end of the file")
HOSTILE(DataWithoutTensors, with_length("{}", 3), "3 bytes at the end of the file")
HOSTILE(GapBeforeTheFirstTensor, one(entry("[1]", "[4,8]")), R"(tensor "a")", "begins at 4, expected 0")
HOSTILE(GapBetweenTensors,
        with_length(R"({"a":)" + entry("[1]", "[0,4]") + R"(,"b":)" + entry("[1]", "[8,12]") + "}", 12),
        R"(tensor "b")", "begins at 8, expected 4", "belong to no tensor")
HOSTILE(Overlap,
        with_length(R"({"a":)" + entry("[2]", "[0,8]") + R"(,"b":)" + entry("[2]", "[4,12]") + "}", 12),
        R"(tensor "b")", "begins at 4, expected 8", "overlaps")
HOSTILE(TheSameBytesTwice,
        with_length(R"({"a":)" + entry("[2]", "[0,8]") + R"(,"b":)" + entry("[2]", "[0,8]") + "}", 8),
        "overlaps")
HOSTILE(EmptyTensorInsideAnother,
        with_length(R"({"a":)" + entry("[2]", "[0,8]") + R"(,"b":)" + entry("[0]", "[4,4]") + "}", 8),
        "overlaps")

TEST_F(HostileSafetensors, BoolsThatAreNeither) {
  const auto path = folder / "bools.safetensors";
  const std::string bytes = one(entry("[3]", "[0,3]", "BOOL"), 0) + std::string("\x01\x00\x02", 3);
  write_text(path, bytes);
  const SafetensorsFile file(path);
  expect_error<FormatError>([&] { (void)file.tensor("a"); }, path.string(),
                            "at offset " + std::to_string(bytes.size() - 1), R"(tensor "a")",
                            "0 or 1, got 2");
}

TEST_F(HostileSafetensors, AHugeSparseFileCostsNothingToOpen) {
  const auto path = folder / "sparse.safetensors";
  const std::uint64_t terabyte = std::uint64_t(1) << 40;
  const std::string bytes =
      one(entry("[" + std::to_string(terabyte) + "]", "[0," + std::to_string(terabyte) + "]", "U8"), 0);
  write_text(path, bytes);
  std::error_code error;
  std::filesystem::resize_file(path, bytes.size() + terabyte, error);
  if (error) GTEST_SKIP() << "no sparse files of 1 TiB here: " << error.message();
  const SafetensorsFile file(path);
  EXPECT_EQ(file.shape("a"), Shape{std::int64_t(terabyte)});
  // Nor to map.
  const Tensor mapped = file.mapped_tensor("a");
  EXPECT_EQ(mapped.data<std::uint8_t>()[terabyte - 1], 0);
}

TEST(SafetensorsHeader, RefusesASpanShorterThanItsHeader) {
  const std::string bytes = one(entry("[2]", "[0,8]"));
  const auto span = std::as_bytes(std::span(bytes));
  for (std::size_t size = 0; size < bytes.size() - 8; ++size) {
    EXPECT_THROW(safetensors::parse_header(span.first(size), bytes.size(), "test"), FormatError) << size;
  }
  EXPECT_EQ(safetensors::parse_header(span.first(bytes.size() - 8), bytes.size(), "test").entries.size(), 1u);
}

TEST(SafetensorsHeader, EveryMutationParsesOrIsRefused) {
  const std::string good =
      with_length(R"({"__metadata__":{"format":"pt"},"conv1.weight":)" + entry("[2,1,2,2]", "[0,32]") +
                      R"(,"conv1.bias":)" + entry("[2]", "[32,34]", "U8") + R"(,"n":)" +
                      entry("[]", "[34,42]", "I64") + "}   ",
                  42);
  const std::string_view tokens[] = {
      "\"",   "\\",   "{",   "}",     "[",          "]",    ",",
      ":",    "-1",   "0",   "1e400", "true",       "null", "99999999999999999999",
      "BOOL", "\xc3", "\\u", " ",     "\"dtype\":", "[]",   "34"};
  std::mt19937 random(20240607);
  const auto below = [&](std::size_t n) { return std::size_t(random()) % n; };
  int parsed = 0, refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
      // Mostly behind the length field, which almost no change survives.
      const std::size_t at = below(16) == 0 ? below(8) : 8 + below(text.size() - 8);
      switch (below(5)) {
        case 0:
          text[at] = char(random());
          break;
        case 1:
          text[at] = char(text[at] ^ (1 << below(8)));
          break;
        case 2:
          text.insert(at, tokens[below(std::size(tokens))]);
          break;
        case 3:
          text.erase(at, 1 + below(8));
          break;
        default:
          text.insert(at, text.substr(8 + below(text.size() - 8), 1 + below(60)));
          break;
      }
      if (text.size() < 64) text = good;
    }
    // Half of the time the length is made to fit again, so that the JSON behind it is what is looked at.
    if (below(2) == 0) text.replace(0, 8, length_field(text.size() - 8 - 42));
    // Exactly as many bytes as there are, on the heap: reading beyond them is seen by a sanitizer.
    const std::vector<char> bytes(text.begin(), text.end());
    try {
      const auto header = safetensors::parse_header(std::as_bytes(std::span(bytes)), bytes.size(), "mutated");
      std::uint64_t total = 0;
      for (const auto& tensor : header.entries) {
        ASSERT_EQ(checked_bytes(tensor.shape, size_of(tensor.dtype)), tensor.end - tensor.begin) << text;
        total += tensor.end - tensor.begin;
      }
      ASSERT_EQ(header.data_start + total, bytes.size()) << text;
      ++parsed;
    } catch (const FormatError&) {
      ++refused;
    }
  }
  EXPECT_GT(parsed, 100);
  EXPECT_GT(refused, 10'000);
}

}  // namespace
}  // namespace dlcuda
