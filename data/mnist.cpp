#include "dlcuda/data/mnist.h"

#include <algorithm>
#include <array>
#include <string>
#include <system_error>
#include <utility>

#include "dlcuda/core/check.h"
#include "dlcuda/data/idx.h"

namespace dlcuda {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSide = 28;
constexpr int kClasses = 10;

/// `stem` is "train-images", `type` is "idx3-ubyte".
fs::path find_file(const fs::path& folder, const std::string& stem, const std::string& type) {
  const std::array<std::string, 4> names = {stem + "-" + type, stem + "-" + type + ".gz", stem + "." + type,
                                            stem + "." + type + ".gz"};
  for (const std::string& name : names) {
    std::error_code ignored;  // a file that cannot be examined is reported when it is opened
    const auto kind = fs::status(folder / name, ignored).type();
    if (kind != fs::file_type::not_found) return folder / name;
  }
  DLCUDA_THROW(IoError, "{}: no MNIST {} there; looked for {}", folder.string(), stem,
               fmt::join(names, ", "));
}

std::shared_ptr<const ImageDataset> load_part(const fs::path& images_path, const fs::path& labels_path) {
  IdxImages images = read_idx_images(images_path);
  DLCUDA_CHECK(images.rows == kSide && images.columns == kSide, FormatError,
               "{}: MNIST images are {}x{}, got {}x{}", images_path.string(), kSide, kSide, images.rows,
               images.columns);
  std::vector<std::uint8_t> labels = read_idx_labels(labels_path);
  DLCUDA_CHECK(std::int64_t(labels.size()) == images.count, FormatError,
               "the counts of images and labels differ: {} has {} images, {} has {} labels",
               images_path.string(), images.count, labels_path.string(), labels.size());
  const auto bad =
      std::find_if(labels.begin(), labels.end(), [](std::uint8_t label) { return label >= kClasses; });
  DLCUDA_CHECK(bad == labels.end(), FormatError, "{}: label {} of item {} is above {}", labels_path.string(),
               *bad, bad - labels.begin(), kClasses - 1);
  std::vector<std::string> names;
  for (int i = 0; i < kClasses; ++i) names.push_back(std::to_string(i));
  return std::make_shared<MemoryDataset>(ImageShape{1, kSide, kSide}, std::move(names),
                                         std::move(images.pixels), std::move(labels));
}

}  // namespace

MnistParts load_mnist(const fs::path& folder) {
  std::error_code error;
  const auto kind = fs::status(folder, error).type();
  DLCUDA_CHECK(kind != fs::file_type::not_found, IoError, "{}: the folder of MNIST does not exist",
               folder.string());
  DLCUDA_CHECK(kind == fs::file_type::directory, IoError, "{}: expected the folder of MNIST, {}",
               folder.string(), error ? error.message() : "this is not a folder");
  // All four are found before the first is read, so that a missing one is reported at once.
  const fs::path train_images = find_file(folder, "train-images", "idx3-ubyte"),
                 train_labels = find_file(folder, "train-labels", "idx1-ubyte"),
                 test_images = find_file(folder, "t10k-images", "idx3-ubyte"),
                 test_labels = find_file(folder, "t10k-labels", "idx1-ubyte");
  return {load_part(train_images, train_labels), load_part(test_images, test_labels)};
}

}  // namespace dlcuda
