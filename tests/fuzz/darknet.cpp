// Darknet weights: the header, and whether a file has the size of a network. What is accepted must be written
// again as the same bytes.
#include "dlcuda/models/yolov2/darknet_file.h"

#include <algorithm>
#include <span>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/fuzz/fuzz.h"

namespace dlcuda {
namespace {

const std::vector<DarknetSection> kSections{{"0", 4}, {"1", 12}, {"2", 8}};
constexpr std::uint64_t kWeightBytes = 24;

}  // namespace

std::vector<std::string> fuzz::seeds() {
  std::vector<std::string> seeds;
  for (const DarknetHeader& header : {DarknetHeader{.minor = 1, .seen = 7}, {}, {.major = 1, .minor = 0}}) {
    const auto bytes = format_darknet_header(header);
    std::string seed(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for (const std::size_t weights : {0, 4, 10, 24, 25}) seeds.push_back(seed + std::string(weights, 'w'));
  }
  return seeds;
}

}  // namespace dlcuda

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dlcuda;
  const auto bytes = std::as_bytes(std::span(data, size));
  bool has_header = false, fits = false;
  DarknetHeader header;
  try {
    header = parse_darknet_header(bytes, size, "bytes");
    has_header = true;
    check_darknet_size(header, kSections, size, "bytes", "a network");
    fits = true;
  } catch (const FormatError&) {
  }
  if (has_header) {
    const auto written = format_darknet_header(header);
    fuzz::require(std::ranges::equal(written, bytes.first(written.size())), "a header changes in writing");
    fuzz::require(fits == (size == header.bytes() + kWeightBytes), "a file of another size is accepted");
  }
  return 0;
}
