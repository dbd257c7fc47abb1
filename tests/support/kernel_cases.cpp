#include "dlcuda/tests/support/kernel_cases.h"

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <memory>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/augment.h"
#include "dlcuda/kernels/batch_norm.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/conv2d_norm.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cross_entropy.h"
#include "dlcuda/kernels/dropout.h"
#include "dlcuda/kernels/elementwise_loss.h"
#include "dlcuda/kernels/group_norm.h"
#include "dlcuda/kernels/layout.h"
#include "dlcuda/kernels/local_response_norm.h"
#include "dlcuda/kernels/loss_scale.h"
#include "dlcuda/kernels/pad.h"
#include "dlcuda/kernels/pool2d.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/kernels/reduce.h"
#include "dlcuda/kernels/resample.h"
#include "dlcuda/kernels/softmax.h"
#include "dlcuda/kernels/update.h"
#include "dlcuda/kernels/yolo.h"
#include "dlcuda/kernels/yolo_loss.h"

namespace dlcuda::testing {
namespace {

using namespace kernels;

constexpr MemoryFormat kLast = MemoryFormat::ChannelsLast, kPlanes = MemoryFormat::Contiguous;
const ActivationParams kRelu{.kind = Activation::Relu};

/// Different values, so that the largest of a window may be any.
Tensor noise(const Shape& shape, DType dtype, Device device, MemoryFormat format) {
  Tensor result = Tensor::empty(shape, DType::F32, device);
  fill_uniform(result, -1, 1, dropout_generator(device).next_call());
  return to_format(cast(result, dtype), format);
}

class Cases {
 public:
  Cases(Device device, std::int64_t scale)
      : device_(device),
        scale_(scale),
        n_(8 * scale),
        count_((1 << 18) * scale),
        picture_{n_, 64, 32, 16},
        half_{n_, 64, 16, 8},
        pixel_{n_, 64, 1, 1},
        picture_name_(fmt::format("{}x64x32x16", n_)),
        count_name_(std::has_single_bit(std::uint64_t(count_))
                        ? fmt::format("2^{}", std::countr_zero(std::uint64_t(count_)))
                        : std::to_string(count_)) {}

  void elementwise(DType dtype);
  void norms(DType dtype);
  void pooling(DType dtype);
  void depthwise(DType dtype);
  void losses(DType dtype);
  void moves(DType dtype);
  void conversions();
  void reductions(DType dtype);
  void updates();
  void scaling();
  void pictures();
  void detection();

  std::vector<KernelCase> take() { return std::move(cases_); }

 private:
  template <typename Run>
  KernelCase& add(const std::string& operation, const std::string& detail, double necessary, const Run& run) {
    return cases_.emplace_back(
        KernelCase{fmt::format("{}, {}", operation, detail), operation, necessary, [run] { (void)run(); }});
  }

  Device device_;
  std::int64_t scale_, n_, count_;
  Shape picture_, half_, pixel_;  // n_ of 64 channels
  std::string picture_name_, count_name_;
  std::vector<KernelCase> cases_;
};

void Cases::elementwise(DType dtype) {
  const std::string detail = count_name_ + " " + to_string(dtype);
  const Tensor x = zeros({count_}, dtype, device_), y = zeros({count_}, dtype, device_);
  const double one = bytes({x});
  add("activation_forward", detail, 2 * one, [=] { return activation_forward(x, kRelu); });
  add("activation_backward", detail, 3 * one, [=] { return activation_backward(x, y, kRelu); });
  add("binary", detail, 3 * one, [=] { return kernels::add(x, y); });
  add("unary", detail, 2 * one, [=] { return scale(x, 2); });
  add("unary_backward", detail, 3 * one, [=] { return unary_backward(x, y, {.op = UnaryOp::Square}); });
  add("fill", detail, one, [x] {
    Tensor filled = x;
    fill(filled, 1);
    return 0;
  });
  Generator& generator = dropout_generator(device_);
  const double step = 8;
  add("dropout", detail, 2 * one + step,
      [=, &generator] { return dropout(x, {.p = 0.5, .call = generator.next_call()}); });
  const std::string picture = picture_name_ + " " + to_string(dtype);
  for (const MemoryFormat format : {kLast, kPlanes}) {
    const std::string of = picture + (format == kLast ? " channels-last" : "");
    const Tensor images = zeros(picture_, dtype, device_, format);
    const Tensor gradients = zeros(picture_, dtype, device_, format);
    const Tensor per_channel = zeros({64}, dtype, device_);
    add("bias_add", of, 2 * one + bytes({per_channel}), [=] { return bias_add(images, per_channel); });
    add("bias_backward", of, one + bytes({per_channel}), [=] { return bias_backward(images); });
    add("activation_bias_backward", of, 3 * one + bytes({per_channel}),
        [=] { return activation_bias_backward(gradients, images, kRelu); });
    add("channel_dropout", of, 2 * one + step,
        [=, &generator] { return channel_dropout(images, {.p = 0, .call = generator.next_call()}); });
    const Tensor gate = zeros(pixel_, dtype, device_, format);
    add("binary", fmt::format("{} times {}x64x1x1", of, n_), 2 * one + bytes({gate}),
        [=] { return multiply(images, gate); });
  }
}

void Cases::norms(DType dtype) {
  for (const MemoryFormat format : {kLast, kPlanes}) {
    const std::string of = picture_name_ + " " + to_string(dtype) + (format == kLast ? " channels-last" : "");
    const Tensor x = zeros(picture_, dtype, device_, format);
    const Tensor y = zeros(picture_, dtype, device_, format), dy = zeros(picture_, dtype, device_, format);
    const auto channels = [&] { return zeros({64}, DType::F32, device_); };
    const Tensor weight = channels(), bias = channels(), mean = channels(), var = channels();
    const double one = bytes({x}), c = bytes({weight});
    const BatchNormParams params{.activation = kRelu};
    add("batch_norm training", of + " and ReLU", 3 * one + 8 * c, [=] {
      return batch_norm_training(x, weight, bias, {}, mean, var, params);
    }).reason = "x is read once more, for the statistics";
    add("batch_norm training", of + ", residual and ReLU", 4 * one + 8 * c, [=] {
      return batch_norm_training(x, weight, bias, y, mean, var, params);
    }).reason = "x is read once more, for the statistics";
    add("batch_norm inference", of + " and ReLU", 2 * one + 6 * c,
        [=] { return batch_norm_inference(x, weight, bias, {}, mean, var, params); });
    const BatchNormBackward plain{
        .dy = dy, .x = x, .weight = weight, .bias = bias, .mean = mean, .inverse_std = var};
    add("batch_norm_backward", of + " and ReLU", 5 * one + 9 * c, [=] {
      return batch_norm_backward(plain, true, false, params);
    }).reason = "dy and x are read once more, for the sums";
    BatchNormBackward residual = plain;
    residual.y = y;
    add("batch_norm_backward", of + ", residual and ReLU", 7 * one + 7 * c, [=] {
      return batch_norm_backward(residual, true, true, params);
    }).reason = "the residual's gradient and x are read once more, for dx";
    BatchNormBackward sum = residual;
    sum.more = zeros(picture_, dtype, device_, format);
    add("batch_norm_backward", of + ", residual and ReLU, of a sum", 8 * one + 7 * c, [=] {
      return batch_norm_backward(sum, true, true, params);
    }).reason = "the residual's gradient and x are read once more, for dx";
    const Tensor moments = zeros({n_, 16}, DType::F32, device_);
    const double m = bytes({moments});
    add("group_norm_forward", of + ", 16 groups", 2 * one + 2 * c + 2 * m,
        [=] { return group_norm_forward(x, 16, weight, bias); });
    add("group_norm_backward", of + ", 16 groups", 5 * one + 3 * c + 2 * m, [=] {
      return group_norm_backward(y, x, weight, moments, moments);
    }).reason = "dy and x are read once more, for the gradients of the parameters";
    add("local_response_norm_forward", of, 2 * one, [=] { return local_response_norm_forward(x); });
    add("local_response_norm_backward", of, 3 * one, [=] { return local_response_norm_backward(y, x); });
  }
}

void Cases::pooling(DType dtype) {
  for (const MemoryFormat format : {kLast, kPlanes}) {
    const std::string of = picture_name_ + " " + to_string(dtype) + (format == kLast ? " channels-last" : "");
    const Tensor x = noise(picture_, dtype, device_, format);
    const double one = bytes({x});
    const auto kinds = {
        std::pair("2x2, stride 2", Pool2dParams{}),
        std::pair("3x3, stride 2", Pool2dParams{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}})};
    for (const auto& [name, params] : kinds) {
      const std::string detail = fmt::format("{} {}", name, of);
      const Tensor y = zeros(half_, dtype, device_, format);
      const Tensor indices = max_pool2d_forward(x, params).indices;
      add("max_pool2d_forward", detail, one + bytes({y, indices}),
          [=, p = params] { return max_pool2d_forward(x, p); });
      add("max_pool2d_backward", detail, one + bytes({y, indices}),
          [=, p = params] { return max_pool2d_backward(y, indices, x.shape(), p); });
      add("avg_pool2d_forward", detail, one + bytes({y}),
          [=, p = params] { return avg_pool2d_forward(x, p); });
      add("avg_pool2d_backward", detail, one + bytes({y}),
          [=, p = params] { return avg_pool2d_backward(y, x.shape(), p); });
    }
    const Tensor pixel = zeros(pixel_, dtype, device_, format);
    add("avg_pool2d_forward", "global " + of, one + bytes({pixel}), [=] {
      return adaptive_avg_pool2d_forward(x, {1, 1});
    });
    add("avg_pool2d_backward", "global " + of, one + bytes({pixel}),
        [=] { return adaptive_avg_pool2d_backward(pixel, x.shape()); });
    for (const auto& [name, mode] :
         {std::pair("nearest", Resample::Nearest), std::pair("bilinear", Resample::Bilinear)}) {
      const std::string detail = fmt::format("{} to twice {}", name, of);
      const Tensor small = zeros(half_, dtype, device_, format);
      add("resample_forward", detail, one + bytes({small}), [=, m = mode] {
        return resize(small, {32, 16}, m);
      });
      add("resample_backward", detail, one + bytes({small}),
          [=, m = mode] { return resize_backward(x, small.shape(), m); });
    }
  }
}

void Cases::depthwise(DType dtype) {
  for (const std::int64_t stride : {1, 2}) {
    const std::string of =
        fmt::format("3x3, stride {} {} {} channels-last", stride, picture_name_, to_string(dtype));
    const Tensor x = zeros(picture_, dtype, device_, kLast);
    const Tensor y = zeros({n_, 64, 32 / stride, 16 / stride}, dtype, device_, kLast);
    const Tensor weight = zeros({64, 1, 3, 3}, dtype, device_);
    const Conv2dParams params{.stride = {stride, stride}, .padding = {1, 1, 1, 1}, .groups = 64};
    const double all = bytes({x, y, weight});
    add("depthwise conv2d_forward", of, all, [=] { return conv2d_forward(x, weight, {}, params); });
    add("depthwise conv2d_backward_data", of, all,
        [=] { return conv2d_backward_data(y, weight, x.shape(), params); });
    add("depthwise conv2d_backward_weight", of, all,
        [=] { return conv2d_backward_weight(x, y, weight.shape(), params, false); });
    const auto channels = [&] { return zeros({64}, DType::F32, device_); };
    const KnownNorm norm{.mean = channels(),
                         .inverse_std = channels(),
                         .weight = channels(),
                         .bias = channels(),
                         .activation = Activation::Relu6};
    const double c = bytes({norm.mean}), one = bytes({x});
    add("depthwise conv2d_norm_forward", of, all + 6 * c,
        [=] { return conv2d_norm_forward(x, &norm, weight, params); });
    add("depthwise conv2d_norm_backward_weight", of, all + 4 * c,
        [=] { return conv2d_norm_backward_weight(x, norm, y, weight.shape(), params); });
    add("depthwise conv2d_norm_backward_data", of, all + 4 * one + 12 * c, [=] {
      return conv2d_norm_backward_data(y, weight, x, norm, params);
    }).reason = "the gradient by the norm's output is written and read, and x read once more, for dx";
  }
}

void Cases::losses(DType dtype) {
  const auto losses = [&](const std::string& of, const Shape& shape, const Shape& rows, MemoryFormat format) {
    const Tensor logits = zeros(shape, dtype, device_, format);
    const Tensor labels = zeros(rows, DType::I64, device_), saved = zeros(rows, DType::F32, device_);
    const Tensor loss = zeros(Shape{}, DType::F32, device_), totals = zeros({2}, DType::F32, device_);
    const double one = bytes({logits});
    add("cross_entropy_forward", of, one + bytes({labels, saved}),
        [=] { return cross_entropy_forward(logits, labels); });
    add("cross_entropy_backward", of, 2 * one + bytes({labels, saved}),
        [=] { return cross_entropy_backward(loss, logits, labels, {}, saved, totals, {}); });
    add("argmax", of, one + bytes({labels}), [=] { return argmax(logits, 1); });
  };
  const std::string type = to_string(dtype);
  const std::int64_t rows_count = 256 * scale_, masks = 2 * scale_;
  const std::string of = fmt::format("{}x1000 {}", rows_count, type);
  losses(of, {rows_count, 1000}, {rows_count}, kPlanes);
  losses(fmt::format("{}x21x64x64 {}", masks, type), {masks, 21, 64, 64}, {masks, 64, 64}, kPlanes);
  losses(fmt::format("{}x21x64x64 channels-last {}", masks, type), {masks, 21, 64, 64}, {masks, 64, 64},
         kLast);
  const Tensor rows = zeros({rows_count, 1000}, dtype, device_),
               other = zeros({rows_count, 1000}, dtype, device_);
  const double one = bytes({rows});
  add("softmax_forward", of, 2 * one, [=] { return softmax_forward(rows); });
  add("softmax_backward", of, 3 * one, [=] { return softmax_backward(rows, other); });
  add("log_softmax_forward", of, 2 * one, [=] { return log_softmax_forward(rows); });
  add("log_softmax_backward", of, 3 * one, [=] { return log_softmax_backward(rows, other); });
  const Tensor loss = zeros(Shape{}, DType::F32, device_);
  add("element_loss_forward", of, 2 * one, [=] { return element_loss_forward(rows, other, {}, {}); });
  add("element_loss_backward", of, 3 * one, [=] { return element_loss_backward(loss, rows, other, {}, {}); });
}

void Cases::moves(DType dtype) {
  const std::string type = to_string(dtype);
  const Tensor planes = zeros(picture_, dtype, device_), last = zeros(picture_, dtype, device_, kLast);
  const double one = bytes({planes});
  add("copy", fmt::format("to channels-last {} {}", picture_name_, type), 2 * one,
      [=] { return to_format(planes, kLast); });
  add("copy", fmt::format("from channels-last {} {}", picture_name_, type), 2 * one,
      [=] { return to_format(last, kPlanes); });
  const Tensor photo = zeros({2 * scale_, 3, 224, 224}, dtype, device_);
  add("copy", fmt::format("to channels-last {}x3x224x224 {}", 2 * scale_, type), 2 * bytes({photo}),
      [=] { return to_format(photo, kLast); });
  for (const auto& [name, x] : {std::pair("", planes), std::pair(" channels-last", last)}) {
    add("concat", fmt::format("channels, twice {} {}{}", picture_name_, type, name), 4 * one, [x = x] {
      const Tensor both[] = {x, x};
      return concat(both, 1);
    });
    add("narrow", fmt::format("channels, half of {} {}{}", picture_name_, type, name), one,
        [x = x] { return narrow(x, 1, 32, 32); });
    const AxisPadding around[] = {{}, {}, {1, 1}, {1, 1}};
    const double larger = one * 34 * 18 / (32 * 16);
    add("pad", fmt::format("by 1, {} {}{}", picture_name_, type, name), one + larger,
        [x = x, around = std::vector(std::begin(around), std::end(around))] { return pad(x, around); });
  }
}

void Cases::conversions() {
  const Tensor single = zeros({count_}, DType::F32, device_), half = zeros({count_}, DType::BF16, device_);
  add("copy", count_name_ + " f32 to bf16", bytes({single, half}), [=] { return cast(single, DType::BF16); });
  add("copy", count_name_ + " bf16 to f32", bytes({single, half}), [=] { return cast(half, DType::F32); });
}

void Cases::reductions(DType dtype) {
  const std::int64_t rows = 512 * scale_;
  const Tensor x = zeros({rows, 512}, dtype, device_);
  const double one = bytes({x});
  for (const int axis : {0, 1}) {
    add("reduce", fmt::format("{}x512 {} over axis {}", rows, to_string(dtype), axis),
        one + one / (axis == 0 ? double(rows) : 512.0), [=] { return reduce(x, Reduction::Sum, axis); });
  }
  add("reduce", fmt::format("{}x512 {} to one", rows, to_string(dtype)), one,
      [=] { return reduce(x, Reduction::Mean); });
}

void Cases::updates() {
  const std::int64_t count = 100'000 * scale_;
  const auto make = [&](DType dtype) { return zeros({count}, dtype, device_); };
  for (const DType dtype : {DType::F32, DType::BF16}) {
    const Tensor parameter = make(DType::F32), first = make(DType::F32), second = make(DType::F32);
    const Tensor gradient = make(dtype), copy = dtype == DType::F32 ? Tensor() : make(dtype);
    const Tensor lr = zeros({1}, DType::F32, device_), step = zeros({1}, DType::I64, device_);
    const auto view = [](const Tensor& tensor) { return tensor.defined() ? tensor.raw() : TensorView{}; };
    const UpdateTensors tensors{parameter.raw(), gradient.raw(), first.raw(), second.raw(), view(copy)};
    const double exact = 2 * bytes({parameter}),
                 low = bytes({gradient}) + (copy.defined() ? bytes({copy}) : 0.0);
    const std::string of = fmt::format("{} {}", count, to_string(dtype));
    // Captured tensors keep the memory alive that the views point to.
    const std::vector<Tensor> kept{parameter, first, second, gradient, copy};
    add("adam_update", of, 3 * exact + low, [=, device = device_] {
      Tensor counted = step;
      adam_update(device, std::span(&tensors, 1), lr, counted, {});
      return kept.size();
    });
    add("sgd_update", of + ", momentum", 2 * exact + low, [=, device = device_] {
      sgd_update(device, std::span(&tensors, 1), lr, {.momentum = 0.9});
      return kept.size();
    });
  }
}

void Cases::scaling() {
  const Tensor gradient = zeros({count_}, DType::BF16, device_);
  const LossScaleState state = make_loss_scale(device_, {});
  add("settle_loss_scale", count_name_ + " bf16", bytes({gradient}), [=] {
    LossScaleState next = state;
    const GradientView view{gradient.raw()};
    settle_loss_scale(std::span(&view, 1), next, {});
    return gradient.numel();
  });
}

void Cases::pictures() {
  const Tensor x = zeros({n_, 3, 128, 128}, DType::U8, device_);
  const Tensor levels = zeros({3, 256}, DType::F32, device_);
  std::vector<std::int32_t> fields;
  for (std::int32_t n = 0; n < n_; ++n) {
    fields.insert(fields.end(), {0, 127 * (n % 2), 0, 128, 0, 128, n % 2, 0});
  }
  const Tensor placements = Tensor::from_values(fields, {n_, kPlacementFields}, device_);
  for (const MemoryFormat format : {kLast, kPlanes}) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
      const AugmentParams params{.height = 128, .width = 128, .dtype = dtype, .format = format};
      const Tensor y = Tensor::empty(x.shape(), dtype, device_);
      add("augment", fmt::format("{}x3x128x128 u8 to {} {}", n_, to_string(dtype), to_string(format)),
          bytes({x, y}), [=] { return augment(x, placements, levels, params); });
    }
  }
}

void Cases::detection() {
  constexpr std::int64_t kAnchors = 5, kClasses = 20, kBoxes = 30;
  for (const MemoryFormat format : {kLast, kPlanes}) {
    const std::int64_t n = 16 * scale_;
    const std::string of = fmt::format("{}x125x13x13 f32{}", n, format == kLast ? " channels-last" : "");
    const YoloLossInputs inputs{
        .raw = zeros({n, kAnchors * (5 + kClasses), 13, 13}, DType::F32, device_, format),
        .anchors = zeros({kAnchors, 2}, DType::F32, device_),
        .labels = zeros({n, kBoxes}, DType::I64, device_),
        .boxes = zeros({n, kBoxes, 4}, DType::F32, device_)};
    const Tensor loss = zeros(Shape{}, DType::F32, device_);
    const double one = bytes({inputs.raw}), truths = bytes({inputs.labels, inputs.boxes});
    const auto output = std::make_shared<YoloLossOutput>(yolo_loss_forward(inputs, {}));
    // Class scores are read of predictions with an object only.
    add("yolo_decode", of, 2 * one, [=] { return yolo_decode(inputs.raw, inputs.anchors, kClasses); });
    add("yolo_loss_forward", of, one + truths + bytes({output->assignment}), [=] {
      return yolo_loss_forward(inputs, {});
    }).least = 0.3;
    add("yolo_loss_backward", of, 2 * one + truths + bytes({output->assignment}), [=] {
      return yolo_loss_backward(loss, inputs, output->assignment, {});
    }).least = 0.3;
  }
}

}  // namespace

double bytes(std::initializer_list<Tensor> tensors) {
  double sum = 0;
  for (const Tensor& tensor : tensors) sum += double(tensor.nbytes());
  return sum;
}

Tensor zeros(const Shape& shape, DType dtype, Device device, MemoryFormat format) {
  Tensor result = Tensor::empty(shape, dtype, device, format);
  result.zero();
  return result;
}

std::vector<KernelFamily> kernel_families(Device device, std::int64_t scale) {
  std::vector<KernelFamily> families;
  const auto family = [&](const char* name, auto fill) {
    families.push_back({name, [=] {
                          Cases cases(device, scale);
                          fill(cases);
                          return cases.take();
                        }});
  };
  for (const DType dtype : {DType::F32, DType::BF16}) {
    family("elementwise", [=](Cases& cases) { cases.elementwise(dtype); });
    family("norms", [=](Cases& cases) { cases.norms(dtype); });
    family("pooling", [=](Cases& cases) { cases.pooling(dtype); });
    family("depthwise", [=](Cases& cases) { cases.depthwise(dtype); });
    family("losses", [=](Cases& cases) { cases.losses(dtype); });
    family("reductions", [=](Cases& cases) { cases.reductions(dtype); });
  }
  for (const DType dtype : {DType::F32, DType::BF16}) {
    family("moves", [=](Cases& cases) { cases.moves(dtype); });
  }
  family("conversions", [](Cases& cases) { cases.conversions(); });
  family("updates", [](Cases& cases) { cases.updates(); });
  family("scaling", [](Cases& cases) { cases.scaling(); });
  family("pictures", [](Cases& cases) { cases.pictures(); });
  family("detection", [](Cases& cases) { cases.detection(); });
  return families;
}

}  // namespace dlcuda::testing
