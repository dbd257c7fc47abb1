// MNIST: handwritten digits, 28x28, in four IDX files.
#pragma once

#include <filesystem>
#include <memory>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/dataset.h"

namespace dlcuda DLCUDA_API {

struct MnistParts {
  std::shared_ptr<const ImageDataset> train;
  std::shared_ptr<const ImageDataset> test;
};

/// Reads the files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
/// t10k-labels-idx1-ubyte, each also with .gz and in the spelling train-images.idx3-ubyte. Any number of
/// images. Throws IoError for a missing folder or file (the message lists the names looked for) and
/// FormatError as idx.h does, and for images that are not 28x28, counts of images and labels that differ, and
/// labels above 9.
MnistParts load_mnist(const std::filesystem::path& folder);

}  // namespace DLCUDA_API
