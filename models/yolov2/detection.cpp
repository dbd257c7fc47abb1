#include "dlcuda/models/yolov2/detection.h"

#include <algorithm>
#include <array>

#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/indexing.h"
#include "dlcuda/kernels/layout.h"
#include "dlcuda/kernels/nms.h"
#include "dlcuda/kernels/reduce.h"
#include "dlcuda/kernels/yolo.h"

namespace dlcuda {
namespace {

/// Indices with 0 in the place of -1, which no gather takes. f32 holds them exactly: NMS over 2^24 boxes
/// would need 2^45 bytes.
Tensor existing(const Tensor& indices) {
  const kernels::UnaryParams not_negative{.op = kernels::UnaryOp::Clamp, .first = 0, .second = 0x1p24};
  return kernels::cast(kernels::unary(kernels::cast(indices, DType::F32), not_negative), DType::I64);
}

}  // namespace

DetectionTensors detect(const Tensor& raw, const Tensor& anchors, std::int64_t classes,
                        const DetectionParams& params) {
  const auto all = kernels::yolo_decode(kernels::cast(raw.detach(), DType::F32), anchors, classes);
  if (all.objectness.numel() == 0) {
    const std::int64_t n = raw.size(0);
    return {Tensor::zeros({n, params.most, 4}, DType::F32, raw.device()),
            Tensor::zeros({n, params.most}, DType::I64, raw.device()),
            Tensor::zeros({n, params.most}, DType::F32, raw.device()),
            Tensor::zeros({n}, DType::I32, raw.device())};
  }
  const Tensor labels = kernels::argmax(all.probabilities, 2);
  const Tensor scores =
      kernels::multiply(all.objectness, kernels::reduce(all.probabilities, kernels::Reduction::Max, 2));
  const auto kept = kernels::nms(all.boxes, scores, labels,
                                 {.overlap = params.overlap, .score = params.score, .most = params.most});

  const Tensor rows = existing(kept.indices);
  const Tensor row = rows.view(Shape{rows.size(0), rows.size(1), 1});
  const std::array corners{row, row, row, row};
  return {kernels::gather(all.boxes, 1, kernels::concat(corners, 2)), kernels::gather(labels, 1, rows),
          kernels::gather(scores, 1, rows), kept.count};
}

std::vector<std::vector<Detection>> read_detections(const DetectionTensors& tensors) {
  const auto boxes = tensors.boxes.values<float>(), scores = tensors.scores.values<float>();
  const auto labels = tensors.labels.values<std::int64_t>();
  const auto counts = tensors.count.values<std::int32_t>();
  const std::size_t most = std::size_t(tensors.labels.size(1));
  std::vector<std::vector<Detection>> pictures(counts.size());
  for (std::size_t n = 0; n < counts.size(); ++n) {
    for (std::size_t i = n * most; i < n * most + std::size_t(counts[n]); ++i) {
      const auto corner = [&](std::size_t j) { return std::clamp(boxes[4 * i + j], 0.0f, 1.0f); };
      pictures[n].push_back(
          {.box = {corner(0), corner(1), corner(2), corner(3), labels[i]}, .score = scores[i]});
    }
  }
  return pictures;
}

}  // namespace dlcuda
