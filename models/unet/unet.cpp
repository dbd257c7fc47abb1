#include "dlcuda/models/unet/unet.h"

#include <optional>

#include "dlcuda/core/check.h"
#include "dlcuda/models/configured.h"

namespace dlcuda {
namespace {

using functional::Activation;

constexpr functional::ActivationParams kRelu{.kind = Activation::Relu};

const UNetConfig& checked(const UNetConfig& config) {
  constexpr std::int64_t kMostChannels = 1 << 16, kMostDepth = 8;
  for (const auto& [name, value, most] : {std::tuple{"in_channels", config.in_channels, kMostChannels},
                                          {"classes", config.classes, kMostChannels},
                                          {"width", config.width, kMostChannels},
                                          {"depth", config.depth, kMostDepth}}) {
    DLCUDA_CHECK(value >= 1 && value <= most, ArgumentError, "U-Net: {} must be 1 to {}, got {}", name, most,
                 value);
  }
  return config;
}

Conv2dOptions conv_options(std::int64_t in_channels, std::int64_t out_channels, const UNetConfig& config) {
  Conv2dOptions options = same_conv(in_channels, out_channels, 3);
  if (!config.padded) options.params.padding = {0, 0, 0, 0};
  if (!config.batch_norm) {
    options.bias = true;
    options.scheme = init::Scheme::HeNormal;  // the paper's
  }
  return options;
}

/// What two convolutions leave of an extent.
std::int64_t after_stage(std::int64_t extent, const UNetConfig& config) {
  return config.padded ? extent : extent - 4;
}

std::optional<std::int64_t> try_extent(std::int64_t extent, const UNetConfig& config) {
  for (std::int64_t level = 0; level < config.depth; ++level) {
    extent = after_stage(extent, config);
    if (extent < 2 || extent % 2 != 0) return std::nullopt;
    extent /= 2;
  }
  extent = after_stage(extent, config);
  for (std::int64_t level = 0; level < config.depth; ++level) {
    if (extent < 1) return std::nullopt;
    extent = after_stage(2 * extent, config);
  }
  return extent < 1 ? std::nullopt : std::optional(extent);
}

}  // namespace

UNetStage::UNetStage(std::int64_t in_channels, std::int64_t out_channels, const UNetConfig& config)
    : in_channels_(in_channels), out_channels_(out_channels) {
  for (std::size_t i = 0; i < convs_.size(); ++i) {
    const Conv2dOptions options = conv_options(i == 0 ? in_channels : out_channels, out_channels, config);
    const std::string conv_name = fmt::format("conv{}", i + 1), norm_name = fmt::format("bn{}", i + 1);
    if (config.batch_norm) {
      normed_[i].emplace(ConvBnActOptions{
          .conv = options, .activation = kRelu, .conv_name = conv_name, .norm_name = norm_name});
      register_inline(&*normed_[i]);
    } else {
      convs_[i].emplace(options);
      register_module(conv_name, &*convs_[i]);
    }
  }
}

bool UNetStage::writes_into(const Tensor& x) const {
  // On the CPU the backward pass keeps the output, which others must not write beside then.
  return normed_[1] && normed_[1]->writes_into() && x.device().is_cuda() &&
         x.format() == MemoryFormat::ChannelsLast;
}

Tensor UNetStage::forward(const Tensor& x, const Tensor& into) {
  if (normed_[0]) return (*normed_[1])(normed_[0]->pending(x), {}, into);
  return (*convs_[1])((*convs_[0])(x, {}, kRelu), {}, kRelu);
}

std::string UNetStage::describe() const {
  return fmt::format("UNetStage({}, {})", in_channels_, out_channels_);
}

UNetJoin::UNetJoin(std::int64_t channels, UNetConfig::Enlarge enlarge)
    : channels_(channels), enlarge_(enlarge) {
  const bool transposed = enlarge == UNetConfig::Enlarge::TransposedConv;
  const Shape shape = transposed ? Shape{channels, channels / 2, 2, 2} : Shape{channels / 2, channels, 1, 1};
  weight_ = init::weight(shape, init::Scheme::Default);
  bias_ = init::bias(channels / 2, init::fans(shape).in, init::Scheme::Default);
  register_parameter("weight", &weight_);
  register_parameter("bias", &bias_);
}

Tensor UNetJoin::forward(const Tensor&) {
  DLCUDA_THROW(Error, "U-Net: a join takes two tensors, what comes from below and what is joined to it");
}

// (N, C, H, W) and (N, C / 2, H', W')
Tensor UNetJoin::forward(const Tensor& x, const Tensor& skip, const Tensor& whole) {
  if (enlarge_ == UNetConfig::Enlarge::TransposedConv) {
    return functional::conv_transpose2d_concat(skip, x, weight_, bias_, {.stride = {2, 2}},
                                               whole);  // (N, C, 2 H, 2 W)
  }
  // The two are linear, and so commute: on fewer pixels the convolution costs a quarter.
  const Tensor half = functional::conv2d(x, weight_, bias_);  // (N, C / 2, H, W)
  const std::array<std::int64_t, 2> size{2 * x.size(2), 2 * x.size(3)};
  const Tensor large = functional::resize(half, size, functional::Resample::Bilinear);
  const std::int64_t rows = skip.size(2) - size[0], columns = skip.size(3) - size[1];
  const functional::AxisPadding crop[] = {
      {}, {}, {-(rows / 2), rows / 2 - rows}, {-(columns / 2), columns / 2 - columns}};
  const Tensor middle = rows + columns == 0 ? skip : functional::pad(skip, crop);
  return functional::concat(std::array{middle, large}, 1);  // (N, C, 2 H, 2 W)
}

std::string UNetJoin::describe() const {
  return fmt::format("UNetJoin({}, {})", channels_,
                     enlarge_ == UNetConfig::Enlarge::TransposedConv ? "transposed conv" : "bilinear");
}

UNet::UNet(const UNetConfig& config)
    : config_(checked(config)),
      pool_({.kernel = {2, 2}, .stride = {2, 2}}),
      dropout_(config.dropout),
      head_({.in_channels = config.width, .out_channels = config.classes, .kernel = {1, 1}}) {
  std::int64_t before = config.in_channels;
  for (std::int64_t level = 0; level <= config.depth; ++level) {
    const std::int64_t channels = config.width << level;
    down_.push_back(std::make_unique<UNetStage>(before, channels, config));
    register_module(fmt::format("down{}", level), down_.back().get());
    before = channels;
  }
  for (std::int64_t level = 0; level < config.depth; ++level) {
    const std::int64_t channels = config.width << level;
    joins_.push_back(std::make_unique<UNetJoin>(2 * channels, config.enlarge));
    up_.push_back(std::make_unique<UNetStage>(2 * channels, channels, config));
    register_module(fmt::format("join{}", level), joins_.back().get());
    register_module(fmt::format("up{}", level), up_.back().get());
  }
  register_inline(&pool_);
  register_inline(&dropout_);
  register_module("head", &head_);
}

Tensor UNet::room_for_join(const Tensor& x, std::size_t level) const {
  const bool joined = level < joins_.size() && config_.enlarge == UNetConfig::Enlarge::TransposedConv;
  // What is cropped or dropped out is not what the stage wrote.
  if (!joined || !config_.padded || config_.dropout > 0 || !down_[level]->writes_into(x)) return {};
  return Tensor::empty({x.size(0), 2 * (config_.width << level), x.size(2), x.size(3)}, x.dtype(), x.device(),
                       MemoryFormat::ChannelsLast);
}

// Shapes: those of the paper's form for 572x572 pixels.
Tensor UNet::forward(const Tensor& x) {  // (N, in_channels, 572, 572)
  DLCUDA_CHECK(x.rank() == 4, ShapeError, "U-Net: images must be (N, C, H, W), got {}", to_string(x.shape()));
  for (const int axis : {2, 3}) output_extent(x.size(axis), config_);
  const auto depth = std::size_t(config_.depth);
  struct Skip {
    Tensor output, whole;
  };
  std::vector<Skip> skips;
  Tensor y = x;
  for (std::size_t level = 0; level <= depth; ++level) {
    const Tensor whole = room_for_join(y, level);
    const Tensor into = whole.defined() ? whole.channel_slice(0, whole.size(1) / 2) : Tensor();
    y = (*down_[level])(y, into);  // (N, 64, 568, 568), (N, 128, 280, 280), ... (N, 1024, 28, 28)
    if (config_.dropout > 0 && level + 1 >= depth) y = dropout_(y);
    if (level == depth) break;
    skips.push_back({y, whole});
    y = pool_(y);  // (N, 64, 284, 284), (N, 128, 140, 140), ... (N, 512, 32, 32)
  }
  for (std::size_t level = depth; level-- > 0;) {
    y = (*joins_[level])(y, skips.back().output,
                         skips.back().whole);  // (N, 1024, 56, 56), ... (N, 128, 392, 392)
    skips.pop_back();
    y = (*up_[level])(y);  // (N, 512, 52, 52), ... (N, 64, 388, 388)
  }
  return head_(y);  // (N, classes, 388, 388)
}

std::string UNet::describe() const {
  return fmt::format("U-Net({} classes, width {}, depth {}, {}{}{})", config_.classes, config_.width,
                     config_.depth, config_.padded ? "padded" : "not padded",
                     config_.batch_norm ? ", batch norm" : "",
                     config_.enlarge == UNetConfig::Enlarge::Bilinear ? ", bilinear" : "");
}

std::int64_t UNet::output_extent(std::int64_t extent, const UNetConfig& config) {
  if (const auto result = try_extent(extent, config)) return *result;
  std::int64_t below = extent - 1, above = std::max<std::int64_t>(extent, 0) + 1;
  while (below > 0 && !try_extent(below, config)) --below;
  while (!try_extent(above, config)) ++above;
  DLCUDA_THROW(ShapeError,
               "U-Net: a height or width of {} cannot be halved {} times on the way down; the nearest that "
               "can: {}{}",
               extent, config.depth, below > 0 ? fmt::format("{} and ", below) : "", above);
}

std::vector<ZooModel> unet_models() {
  struct Row {
    const char* name;
    UNetConfig config;
    ImageShape input;
    Normalization normalization;
    std::int64_t parameters;
  };
  const Normalization usual{{0.5f}, {0.25f}};
  std::vector<ZooModel> models;
  for (const Row& row :
       {Row{"unet", UNetConfig::paper(), {1, 572, 572}, usual, 31'030'658},
        Row{"unet_bn", UNetConfig::modern(), {3, 256, 256}, usual, 31'037'698},
        Row{"unet16", UNetConfig::quarter(), {3, 256, 256}, usual, 1'942'594},
        Row{"unet_small", UNetConfig::small(), {3, 64, 64}, shapes_normalization(), 271'922}}) {
    models.push_back({.name = row.name,
                      .paper = "Ronneberger et al., 2015",
                      .prediction = Prediction::Pixels,
                      .input = row.input,
                      .classes = 2,
                      .normalization = row.normalization,
                      .parameters = row.parameters,
                      .make = configured<UNet>(row.config)});
  }
  return models;
}

}  // namespace dlcuda
