// Pictures as a model takes them.
#pragma once

#include "dlcuda/core/tensor.h"
#include "dlcuda/data/image_file.h"
#include "dlcuda/tools/loaded_model.h"

namespace dlcuda::tool {

/// In the channels of the model, upright.
Image read_picture(const std::filesystem::path& path, const LoadedModel& model);

/// A picture of the model's size is left as it is. Others are brought to it: for classes by scaling the
/// shorter side to 8/7 of the model's and cutting out the middle, as networks for 224 x 224 pixels are tested
/// (small ones, below 64 pixels, have no margin to lose: to the model's side itself); else by scaling height
/// and width, each by itself.
Image fit(const Image& picture, const LoadedModel& model);

/// (1, C, H, W), normalised. The picture must have the model's size.
Tensor to_tensor(const Image& picture, const LoadedModel& model);

/// With the model's output in hand: the class of each pixel of a picture of `shape`, row by row. Logits
/// (1, classes, H', W'); a single class is a probability's logit. Where the model's output is smaller than
/// its input, it is that of the middle, and what is around it is class 0.
std::vector<std::int64_t> pixel_classes(const Tensor& logits, const ImageShape& shape,
                                        const LoadedModel& model);

}  // namespace dlcuda::tool
