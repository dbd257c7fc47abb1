#include "dlcuda/benchmarks/kernels/more_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "dlcuda/kernels/boxes.h"
#include "dlcuda/kernels/confusion.h"
#include "dlcuda/kernels/conv2d_fused.h"
#include "dlcuda/kernels/conv_transpose2d.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/indexing.h"
#include "dlcuda/kernels/matmul.h"
#include "dlcuda/kernels/nms.h"
#include "dlcuda/kernels/random.h"

namespace dlcuda::testing {
namespace {

using namespace kernels;

constexpr MemoryFormat kLast = MemoryFormat::ChannelsLast;

/// Numbers as networks have them: zeros would draw less power, and let the clocks rise.
Tensor noise(const Shape& shape, DType dtype, Device device, MemoryFormat format = MemoryFormat::Contiguous) {
  Tensor result = Tensor::empty(shape, DType::F32, device);
  fill_uniform(result, -1, 1, dropout_generator(device).next_call());
  return to_format(cast(result, dtype), format);
}

class MoreCases {
 public:
  MoreCases(Device device, std::int64_t scale)
      : device_(device), scale_(scale), batch_(std::max<std::int64_t>(1, scale / 8)) {}

  void matrices(DType dtype);
  void convolutions(DType dtype);
  void random();
  void rows();
  void boxes();

  std::vector<KernelCase> take() { return std::move(cases_); }

 private:
  template <typename Run>
  void add(const std::string& operation, const std::string& detail, double necessary, double flops,
           const Run& run) {
    KernelCase& one = cases_.emplace_back(
        KernelCase{fmt::format("{}, {}", operation, detail), operation, necessary, [run] { (void)run(); }});
    one.flops = flops;
  }

  Device device_;
  std::int64_t scale_, batch_;
  std::vector<KernelCase> cases_;
};

void MoreCases::matrices(DType dtype) {
  const auto extent = std::int64_t(128 * std::sqrt(double(scale_)));
  const Tensor a = noise({extent, extent}, dtype, device_), b = noise({extent, extent}, dtype, device_);
  const double n = double(extent), all = 3 * testing::bytes({a});
  const std::string of = fmt::format("{0}x{0} {1}", extent, to_string(dtype));
  add("matmul", of, all, 2 * n * n * n, [=] { return matmul(a, b); });
  add("matmul", "A^T B " + of, all, 2 * n * n * n, [=] { return matmul(a, b, {}, {.transpose_a = true}); });
  add("matmul", "A B^T " + of, all, 2 * n * n * n, [=] { return matmul(a, b, {}, {.transpose_b = true}); });
}

void MoreCases::convolutions(DType dtype) {
  struct Layer {
    std::int64_t channels, out, kernel, stride, side;
  };
  // The kinds that ResNets have.
  constexpr Layer kLayers[] = {{3, 64, 7, 2, 224},  {64, 64, 3, 1, 56},   {256, 64, 1, 1, 56},
                               {64, 256, 1, 1, 56}, {128, 128, 3, 2, 56}, {512, 512, 3, 1, 7}};
  for (const Layer& layer : kLayers) {
    const auto [channels, out, kernel, stride, side] = layer;
    const std::int64_t half = kernel / 2, reached = (side + stride - 1) / stride;
    const Conv2dParams params{.stride = {stride, stride}, .padding = {half, half, half, half}};
    const Tensor x = noise({batch_, channels, side, side}, dtype, device_, kLast);
    const Tensor y = noise({batch_, out, reached, reached}, dtype, device_, kLast);
    const Tensor weight = noise({out, channels, kernel, kernel}, dtype, device_);
    const Tensor bias = noise({out}, DType::F32, device_);
    const auto packed = std::make_shared<PackedWeight>();
    const double all = testing::bytes({x, y, weight});
    const double flops = 2 * double(y.numel()) * double(channels * kernel * kernel);
    const std::string of = fmt::format("{0}x{0}, stride {1}, {2}x{3}x{4}x{4} to {5} {6}", kernel, stride,
                                       batch_, channels, side, out, to_string(dtype));
    add("conv2d_forward", of, all, flops, [=] { return conv2d_forward(x, weight, {}, params); });
    add("conv2d_fused", of, all, flops,
        [=] { return conv2d_fused(x, weight, bias, {}, params, {.kind = Activation::Relu}, packed.get()); });
    add("conv2d_backward_data", of, all, flops,
        [=] { return conv2d_backward_data(y, weight, x.shape(), params); });
    add("conv2d_backward_weight", of, all, flops,
        [=] { return conv2d_backward_weight(x, y, weight.shape(), params, false); });
  }
  const ConvTranspose2dParams twice{.stride = {2, 2}};
  const Tensor x = noise({batch_, 128, 28, 28}, dtype, device_, kLast);
  const Tensor y = noise({batch_, 64, 56, 56}, dtype, device_, kLast);
  const Tensor weight = noise({128, 64, 2, 2}, dtype, device_);
  const double all = testing::bytes({x, y, weight}), flops = 2 * double(y.numel()) * 128;
  const std::string of = fmt::format("2x2, stride 2, {}x128x28x28 to 64 {}", batch_, to_string(dtype));
  add("conv_transpose2d_forward", of, all, flops,
      [=] { return conv_transpose2d_forward(x, weight, {}, twice); });
  add("conv_transpose2d_backward_data", of, all, flops,
      [=] { return conv_transpose2d_backward_data(y, weight, x.shape(), twice); });
  add("conv_transpose2d_backward_weight", of, all, flops,
      [=] { return conv_transpose2d_backward_weight(x, y, weight.shape(), twice); });
}

void MoreCases::random() {
  const Tensor x = zeros({(1 << 18) * scale_}, DType::F32, device_);
  const std::string of = fmt::format("{} f32", x.numel());
  const RandomCall call = dropout_generator(device_).next_call();
  add("fill_uniform", of, bytes({x}), 0, [=] {
    Tensor filled = x;
    fill_uniform(filled, -1, 1, call);
    return 0;
  });
  add("fill_normal", of, bytes({x}), 0, [=] {
    Tensor filled = x;
    fill_normal(filled, 0, 1, call);
    return 0;
  });
}

void MoreCases::rows() {
  const std::int64_t count = 256 * scale_;
  const Tensor table = noise({count, 1000}, DType::F32, device_);
  const Tensor index = zeros({count}, DType::I64, device_), one_each = zeros({count, 1}, DType::I64, device_);
  const Tensor dy = noise({count, 1000}, DType::F32, device_);
  const std::string of = fmt::format("{}x1000 f32", count);
  const double all = bytes({table});
  // One row, again and again: reading it costs nothing.
  add("index_select", "one row to " + of, all, 0, [=] { return index_select(table, 0, index); });
  add("index_select_backward", of + " to one row", 2 * all, 0,
      [=] { return index_select_backward(dy, table.shape(), 0, index); });
  add("gather", of + ", one of each row", 2 * bytes({one_each}), 0,
      [=] { return gather(table, 1, one_each); });
  add("one_hot", of, all, 0, [=] { return one_hot(index, 1000); });
  const Tensor labels = zeros({count * 64}, DType::I64, device_), loss = zeros(Shape{}, DType::F32, device_);
  const Tensor counts = zeros({21, 21}, DType::I64, device_), metrics = zeros({2}, DType::F64, device_);
  add("confusion_metrics", fmt::format("{} rows, 21 classes", labels.numel()), 2 * bytes({labels}), 0, [=] {
    Tensor to = counts, sums = metrics;
    confusion_metrics(labels, labels, loss, to, sums);
    return 0;
  });
}

void MoreCases::boxes() {
  const std::int64_t count = 4096 * scale_;
  const Tensor a = noise({count, 4}, DType::F32, device_), b = noise({count, 4}, DType::F32, device_);
  const Tensor dy = noise({count}, DType::F32, device_);
  const std::string of = fmt::format("{} pairs", count);
  const double pairs = bytes({a, b, dy});
  for (const auto& [name, kind] : {std::pair("IoU", BoxOverlap::Iou), std::pair("GIoU", BoxOverlap::Giou)}) {
    add("box_overlap", fmt::format("{}, {}", name, of), pairs, 0,
        [=, k = kind] { return box_overlap(a, b, k); });
    add("box_overlap_backward", fmt::format("{}, {}", name, of), pairs + bytes({a, b}), 0,
        [=, k = kind] { return box_overlap_backward(dy, a, b, k); });
  }
  const Tensor some = noise({512, 4}, DType::F32, device_);
  add("box_overlap_matrix", "512 by 512", bytes({some, some}) + 4.0 * 512 * 512, 0,
      [=] { return box_overlap_matrix(some, some, BoxOverlap::Iou); });
  const Tensor found = noise({batch_, 845, 4}, DType::F32, device_);
  const Tensor scores = noise({batch_, 845}, DType::F32, device_);
  add("nms", fmt::format("{} pictures of 845 boxes", batch_), bytes({found, scores}), 0,
      [=] { return nms(found, scores, {}); });
}

}  // namespace

std::vector<KernelFamily> more_families(Device device, std::int64_t scale) {
  std::vector<KernelFamily> families;
  const auto family = [&](const char* name, auto fill) {
    families.push_back({name, [=] {
                          MoreCases cases(device, scale);
                          fill(cases);
                          return cases.take();
                        }});
  };
  for (const DType dtype : {DType::F32, DType::BF16}) {
    family("matrix products", [=](MoreCases& cases) { cases.matrices(dtype); });
    family("convolutions", [=](MoreCases& cases) { cases.convolutions(dtype); });
  }
  family("random", [](MoreCases& cases) { cases.random(); });
  family("rows", [](MoreCases& cases) { cases.rows(); });
  family("boxes", [](MoreCases& cases) { cases.boxes(); });
  return families;
}

}  // namespace dlcuda::testing
