#include "dlcuda/core/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/temp_folder.h"
#include "dlcuda/tests/support/tensor_bytes.h"

namespace dlcuda {
namespace {

using testing::ElementsAre;
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Distinct elements: the bytes count up (bools alternate).
Tensor counting(const Shape& shape, DType dtype, MemoryFormat format = MemoryFormat::Contiguous) {
  const Tensor tensor = Tensor::empty(shape, dtype, Device::cpu(), format);
  for (std::size_t i = 0; i < tensor.nbytes(); ++i) {
    static_cast<unsigned char*>(tensor.data())[i] = dtype == DType::Bool ? i % 2 : (i * 7 + 1) % 251;
  }
  return tensor;
}

class Safetensors : public testing::Test {
 protected:
  NamedTensors round_trip(const NamedTensors& tensors) {
    save_safetensors(path, tensors);
    return load_safetensors(path);
  }
  void expect_same(const Tensor& tensor) {
    const NamedTensors loaded = round_trip({{"t", tensor}});
    ASSERT_EQ(loaded.size(), 1u);
    EXPECT_EQ(loaded[0].first, "t");
    EXPECT_EQ(loaded[0].second.shape(), tensor.shape());
    EXPECT_EQ(loaded[0].second.dtype(), tensor.dtype());
    EXPECT_TRUE(loaded[0].second.is_contiguous());
    EXPECT_EQ(bytes_of(loaded[0].second), bytes_of(tensor));
  }

  TempFolder folder;
  std::filesystem::path path = folder / "t.safetensors";
};

TEST_F(Safetensors, KeepsEveryDType) {
  for (const DType dtype :
       {DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32, DType::I64, DType::U8, DType::Bool}) {
    SCOPED_TRACE(to_string(dtype));
    expect_same(counting(Shape{3, 5}, dtype));
  }
}

TEST_F(Safetensors, KeepsEveryBitOfAFloat) {
  using limits = std::numeric_limits<float>;
  expect_same(Tensor::from_values({-0.0f, limits::infinity(), -limits::infinity(), limits::quiet_NaN(),
                                   limits::denorm_min(), limits::max()},
                                  Shape{6}));
}

TEST_F(Safetensors, KeepsAScalar) { expect_same(Tensor::scalar(2.5f)); }
TEST_F(Safetensors, KeepsAnEmptyTensor) { expect_same(Tensor::zeros(Shape{2, 0, 3})); }
TEST_F(Safetensors, KeepsEightAxes) { expect_same(counting(Shape{1, 2, 1, 3, 1, 2, 1, 2}, DType::I32)); }
TEST_F(Safetensors, KeepsRowsOfALargerTensor) { expect_same(counting(Shape{6, 4}, DType::F32).slice(2, 5)); }
TEST_F(Safetensors, KeepsNoTensorsAtAll) {
  EXPECT_TRUE(round_trip({}).empty());
  EXPECT_EQ(read_text(path), std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
}

TEST_F(Safetensors, StoresChannelsLastInLogicalOrder) {
  const Tensor tensor = counting(Shape{2, 3, 4, 5}, DType::F32, MemoryFormat::ChannelsLast);
  const NamedTensors loaded = round_trip({{"t", tensor}});
  const auto at = [](const Tensor& from, int n, int c, int h, int w) {
    const Strides& s = from.strides();
    return from.data<float>() + n * s[0] + c * s[1] + h * s[2] + w * s[3];
  };
  ASSERT_TRUE(loaded[0].second.is_contiguous());
  for (int n = 0; n < 2; ++n) {
    for (int c = 0; c < 3; ++c) {
      for (int h = 0; h < 4; ++h) {
        for (int w = 0; w < 5; ++w) {
          ASSERT_EQ(std::memcmp(at(loaded[0].second, n, c, h, w), at(tensor, n, c, h, w), sizeof(float)), 0);
        }
      }
    }
  }
}

TEST_F(Safetensors, StoresChannelSlices) {
  const Tensor whole = Tensor::from_values({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, Shape{2, 3, 1, 2});
  const NamedTensors loaded = round_trip({{"t", whole.channel_slice(1, 3)}});
  EXPECT_EQ(loaded[0].second.shape(), (Shape{2, 2, 1, 2}));
  EXPECT_THAT(loaded[0].second.values<int>(), ElementsAre(2, 3, 4, 5, 8, 9, 10, 11));
}

TEST_F(Safetensors, WritesTheseBytes) {
  save_safetensors(path,
                   {{"b", Tensor::from_values<std::uint8_t>({1, 2, 3}, Shape{3})},
                    {"a", Tensor::from_values({1.0f, -2.0f}, Shape{1, 2})}},
                   {{"format", "pt"}});
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},)"
      R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";
  ASSERT_EQ(header.size(), 140u);
  std::string expected("\x90\0\0\0\0\0\0\0", 8);  // 144: padded, so that the data begins at a multiple of 8
  expected += header + std::string(4, ' ');
  expected += std::string("\0\0\x80\x3f\0\0\0\xc0\x01\x02\x03", 11);
  EXPECT_EQ(read_text(path), expected);
}

TEST_F(Safetensors, AlignsEveryTensorToItsElements) {
  save_safetensors(path, {{"a", counting(Shape{3}, DType::Bool)},
                          {"b", counting(Shape{1}, DType::F16)},
                          {"c", counting(Shape{1}, DType::I64)},
                          {"d", counting(Shape{3}, DType::F32)}});
  const std::string text = read_text(path);
  const auto header = safetensors::parse_header(std::as_bytes(std::span(text)), text.size(), "test");
  EXPECT_EQ(header.data_start % 8, 0u);
  ASSERT_EQ(header.entries.size(), 4u);
  for (const auto& entry : header.entries) EXPECT_EQ(entry.begin % size_of(entry.dtype), 0u) << entry.name;
}

TEST_F(Safetensors, KeepsOrderMetadataAndAnyUtf8Name) {
  const std::map<std::string, std::string> metadata{{"epoch", "3"}, {"quote\"\n", "t\\\x01\xc3\xa4"}};
  const std::vector<std::string> names{"z.weight", "", "a\"\\\n", "\xe6\xa8\xa1\xe5\x9e\x8b", "b"};
  NamedTensors tensors;
  for (const std::string& name : names) tensors.emplace_back(name, Tensor::scalar(int(tensors.size())));
  save_safetensors(path, tensors, metadata);
  const SafetensorsFile file(path);
  EXPECT_EQ(file.names(), names);
  EXPECT_EQ(file.metadata(), metadata);
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(file.tensor(names[i]).item<int>(), int(i));
}

TEST_F(Safetensors, FileTellsWhatIsInIt) {
  save_safetensors(path, {{"w", counting(Shape{2, 3}, DType::F16)}});
  SafetensorsFile opened(path);
  const SafetensorsFile file = std::move(opened);
  EXPECT_TRUE(file.contains("w"));
  EXPECT_FALSE(file.contains("v"));
  EXPECT_EQ(file.shape("w"), (Shape{2, 3}));
  EXPECT_EQ(file.dtype("w"), DType::F16);
  expect_error<ArgumentError>([&] { (void)file.shape("v"); }, path.string(), R"(no tensor "v" among the 1)");
  expect_error<ArgumentError>([&] { (void)file.tensor("v"); }, R"("v")");
  save_safetensors(path, {{"conv1.weight", Tensor::scalar(1)}});
  expect_error<ArgumentError>([&] { (void)SafetensorsFile(path).tensor("conv.weight"); },
                              R"(did you mean "conv1.weight"?)");
}

TEST_F(Safetensors, TensorsOutliveTheFile) {
  save_safetensors(path, {{"w", Tensor::scalar(7)}});
  Tensor tensor;
  {
    tensor = SafetensorsFile(path).tensor("w");
    std::filesystem::resize_file(path, 0);
  }
  EXPECT_EQ(tensor.item<int>(), 7);
}

TEST_F(Safetensors, RefusesAFileCutShortWhileOpen) {
  save_safetensors(path, {{"w", Tensor::zeros(Shape{1000})}});
  const SafetensorsFile file(path);
  std::filesystem::resize_file(path, 1000);
  expect_error<IoError>([&] { (void)file.tensor("w"); }, path.string(), "at offset 1000", "cut short");
}

bool is_mapped(const std::filesystem::path& path) {
  return read_text("/proc/self/maps").find(path.string()) != std::string::npos;
}

TEST_F(Safetensors, MapsEveryDTypeButBool) {
  for (const DType dtype :
       {DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32, DType::I64, DType::U8, DType::Bool}) {
    SCOPED_TRACE(to_string(dtype));
    const Tensor first = counting(Shape{5000}, dtype), second = counting(Shape{3, 5}, dtype);
    save_safetensors(path, {{"first", first}, {"second", second}});
    Tensor mapped = SafetensorsFile(path).mapped_tensor("second");
    EXPECT_EQ(is_mapped(path), dtype != DType::Bool);
    EXPECT_EQ(mapped.shape(), second.shape());
    EXPECT_EQ(mapped.dtype(), dtype);
    EXPECT_EQ(bytes_of(mapped), bytes_of(second));
    EXPECT_EQ(bytes_of(SafetensorsFile(path).mapped_tensor("first")), bytes_of(first));
    mapped = {};
    EXPECT_FALSE(is_mapped(path));
  }
}

TEST_F(Safetensors, AViewOfAMappedTensorKeepsTheMapping) {
  save_safetensors(path, {{"w", Tensor::from_values({1, 2, 3, 4}, Shape{2, 2})}});
  Tensor row = SafetensorsFile(path).mapped_tensor("w").slice(1, 2);
  EXPECT_THAT(row.values<int>(), ElementsAre(3, 4));
  EXPECT_TRUE(is_mapped(path));
  row = {};
  EXPECT_FALSE(is_mapped(path));
}

TEST_F(Safetensors, AMappedTensorKeepsTheFileThatWasReplaced) {
  save_safetensors(path, {{"w", Tensor::scalar(7)}});
  const Tensor mapped = SafetensorsFile(path).mapped_tensor("w");
  save_safetensors(path, {{"w", Tensor::scalar(8)}});
  EXPECT_EQ(mapped.item<int>(), 7);
  EXPECT_EQ(SafetensorsFile(path).mapped_tensor("w").item<int>(), 8);
}

TEST_F(Safetensors, ReadsWhatAMappingCannotServe) {
  // Other writers need not align: the data begin at byte 8 + 55.
  const std::string header = R"({"w":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}} )";
  ASSERT_NE((8 + header.size()) % 4, 0u);
  write_text(path, std::string("\x37\0\0\0\0\0\0\0", 8) + header + std::string("\x07\0\0\0", 4));
  const Tensor tensor = SafetensorsFile(path).mapped_tensor("w");
  EXPECT_FALSE(is_mapped(path));
  EXPECT_EQ(tensor.item<int>(), 7);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % alignof(int), 0u);

  save_safetensors(path, {{"empty", Tensor::zeros(Shape{0, 3})}});
  EXPECT_EQ(SafetensorsFile(path).mapped_tensor("empty").shape(), (Shape{0, 3}));
}

TEST_F(Safetensors, RefusesToMapAFileCutShortWhileOpen) {
  save_safetensors(path, {{"w", Tensor::zeros(Shape{1000})}});
  const SafetensorsFile file(path);
  std::filesystem::resize_file(path, 1000);
  expect_error<IoError>([&] { (void)file.mapped_tensor("w"); }, path.string(), "the file has 1000",
                        "cut short");
  expect_error<ArgumentError>([&] { (void)file.mapped_tensor("v"); }, R"(no tensor "v")");
}

TEST_F(Safetensors, RefusesNamesThatCannotBeStored) {
  const Tensor tensor = Tensor::scalar(1.0f);
  const auto refused = [&](const NamedTensors& tensors, const std::string& word) {
    expect_error<ArgumentError>([&] { save_safetensors(path, tensors); }, word);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  };
  refused({{"a", tensor}, {"a", tensor}}, R"("a" occurs twice)");
  refused({{"__metadata__", tensor}}, "__metadata__");
  refused({{"\xff", tensor}}, "UTF-8");
  refused({{"a", Tensor()}}, "undefined");
}

TEST_F(Safetensors, RefusesMetadataThatIsNotUtf8) {
  expect_error<ArgumentError>([&] { save_safetensors(path, {}, {{"key", "\xff"}}); }, "UTF-8");
}

TEST_F(Safetensors, RefusesToWriteAHeaderBeyondTheLimit) {
  const std::map<std::string, std::string> metadata{{"key", std::string(100'000'000, 'x')}};
  expect_error<ArgumentError>([&] { save_safetensors(path, {}, metadata); }, "100000000");
}

}  // namespace
}  // namespace dlcuda
