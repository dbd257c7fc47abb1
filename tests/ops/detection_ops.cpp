#include "dlcuda/kernels/nms.h"
#include "dlcuda/kernels/yolo.h"
#include "dlcuda/layers/functional/detection.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

// The table describes boxes as centres; their corners have areas.
F::BoxOverlap kind(const Params& p) { return p.flag("giou") ? F::BoxOverlap::Giou : F::BoxOverlap::Iou; }
F::BoxCoding coding(const Params& p) {
  F::BoxCoding result{.weights = p.get<std::array<double, 4>>("weights")};
  result.largest_log = p.get("largest", result.largest_log);
  return result;
}

const Op kBoxOverlap("box_overlap", [](const Inputs& in, const Params& p) {
  return Outputs{F::box_overlap(F::boxes_to_corners(in[0]), F::boxes_to_corners(in[1]), kind(p))};
});
constexpr auto kIou = F::BoxOverlap::Iou;
const OpErrors kBoxOverlapErrors(
    "box_overlap", {
                       {Aspect::Rank, [](Device d) { F::box_overlap(zeros({4}, d), zeros({4}, d), kIou); },
                        "box_overlap: a must have 2 axes, got shape [4]"},
                       {Aspect::Shape,
                        [](Device d) {
                          F::box_overlap(zeros({2, 5}, d), zeros({2, 5}, d), kIou);
                        },
                        "box_overlap: the last axis of a must have the 4 numbers of a box, got shape [2, 5]"},
                       {Aspect::Shape,
                        [](Device d) {
                          F::box_overlap(zeros({2, 4}, d), zeros({3, 4}, d), kIou);
                        },
                        "box_overlap: b must have shape [2, 4], got [3, 4]"},
                       {Aspect::DType,
                        [](Device d) {
                          F::box_overlap(zeros({2, 4}, d), zeros({2, 4}, d, DType::F16), kIou);
                        },
                        "box_overlap: b must be f32, got f16; cast it first"},
                       {Aspect::DType,
                        [](Device d) {
                          F::box_overlap(zeros({2, 4}, d, DType::I32), zeros({2, 4}, d, DType::I32), kIou);
                        },
                        "box_overlap: a must be floating-point, got i32; cast it first"},
                       {Aspect::Device,
                        [](Device d) {
                          F::box_overlap(zeros({2, 4}, d), zeros({2, 4}, Device::cpu()), kIou);
                        },
                        "box_overlap: b is on cpu, expected cuda:0; move it with to(device)"},
                   });

const Op kBoxOverlapMatrix("box_overlap_matrix", [](const Inputs& in, const Params& p) {
  return Outputs{kernels::box_overlap_matrix(kernels::boxes_to_corners(in[0]),
                                             kernels::boxes_to_corners(in[1]), kind(p))};
});
const OpErrors kBoxOverlapMatrixErrors(
    "box_overlap_matrix",
    {
        {Aspect::Rank,
         [](Device d) {
           kernels::box_overlap_matrix(zeros({1, 2, 4}, d), zeros({2, 4}, d), kIou);
         },
         "box_overlap_matrix: a must have 2 axes, got shape [1, 2, 4]"},
        {Aspect::Shape,
         [](Device d) {
           kernels::box_overlap_matrix(zeros({2, 4}, d), zeros({2, 3}, d), kIou);
         },
         "box_overlap_matrix: the last axis of b must have the 4 numbers of a box, got shape [2, 3]"},
        {Aspect::DType,
         [](Device d) {
           kernels::box_overlap_matrix(zeros({2, 4}, d), zeros({3, 4}, d, DType::BF16), kIou);
         },
         "box_overlap_matrix: b must be f32, got bf16; cast it first"},
        {Aspect::Device,
         [](Device d) {
           kernels::box_overlap_matrix(zeros({2, 4}, d), zeros({3, 4}, Device::cpu()), kIou);
         },
         "box_overlap_matrix: b is on cpu, expected cuda:0; move it with to(device)"},
    });

const Op kToCorners("boxes_to_corners",
                    [](const Inputs& in, const Params&) { return Outputs{F::boxes_to_corners(in[0])}; });
const OpErrors kToCornersErrors(
    "boxes_to_corners",
    {
        {Aspect::Rank, [](Device d) { F::boxes_to_corners(zeros({}, d)); },
         "boxes_to_corners: the last axis of x must have the 4 numbers of a box, got shape []"},
        {Aspect::Shape,
         [](Device d) {
           F::boxes_to_corners(zeros({4, 3}, d));
         },
         "boxes_to_corners: the last axis of x must have the 4 numbers of a box, got shape [4, 3]"},
        {Aspect::DType,
         [](Device d) {
           F::boxes_to_corners(zeros({2, 4}, d, DType::I64));
         },
         "boxes_to_corners: x must be floating-point, got i64; cast it first"},
        anything_goes(Aspect::Device, "one tensor"),
    });
const Op kToCenters("boxes_to_centers",
                    [](const Inputs& in, const Params&) { return Outputs{F::boxes_to_centers(in[0])}; });
const OpErrors kToCentersErrors(
    "boxes_to_centers",
    {
        {Aspect::Rank, [](Device d) { F::boxes_to_centers(zeros({}, d)); },
         "boxes_to_centers: the last axis of x must have the 4 numbers of a box, got shape []"},
        {Aspect::Shape,
         [](Device d) {
           F::boxes_to_centers(zeros({4, 3}, d));
         },
         "boxes_to_centers: the last axis of x must have the 4 numbers of a box, got shape [4, 3]"},
        {Aspect::DType,
         [](Device d) {
           F::boxes_to_centers(zeros({2, 4}, d, DType::I64));
         },
         "boxes_to_centers: x must be floating-point, got i64; cast it first"},
        anything_goes(Aspect::Device, "one tensor"),
    });

const Op kBoxEncode("box_encode", [](const Inputs& in, const Params& p) {
  return Outputs{
      kernels::box_encode(kernels::boxes_to_corners(in[0]), kernels::boxes_to_corners(in[1]), coding(p))};
});
const OpErrors kBoxEncodeErrors(
    "box_encode", {
                      {Aspect::Rank, [](Device d) { kernels::box_encode(zeros({4}, d), zeros({4}, d)); },
                       "box_encode: boxes must have 2 axes, got shape [4]"},
                      {Aspect::Shape,
                       [](Device d) {
                         kernels::box_encode(zeros({2, 4}, d), zeros({1, 4}, d));
                       },
                       "box_encode: anchors must have shape [2, 4], got [1, 4]"},
                      {Aspect::DType,
                       [](Device d) {
                         kernels::box_encode(zeros({2, 4}, d), zeros({2, 4}, d, DType::F16));
                       },
                       "box_encode: anchors must be f32, got f16; cast it first"},
                      {Aspect::Device,
                       [](Device d) {
                         kernels::box_encode(zeros({2, 4}, d), zeros({2, 4}, Device::cpu()));
                       },
                       "box_encode: anchors is on cpu, expected cuda:0; move it with to(device)"},
                      {Aspect::Argument,
                       [](Device d) {
                         kernels::box_encode(zeros({2, 4}, d), zeros({2, 4}, d), {.weights = {1, 1, 0, 1}});
                       },
                       "box_encode: the weights of the coding must be positive, got 0"},
                  });

const Op kBoxDecode("box_decode", [](const Inputs& in, const Params& p) {
  return Outputs{F::box_decode(in[0], F::boxes_to_corners(in[1]), coding(p))};
});
const OpErrors kBoxDecodeErrors(
    "box_decode", {
                      {Aspect::Rank, [](Device d) { F::box_decode(zeros({4}, d), zeros({4}, d)); },
                       "box_decode: offsets must have 2 axes, got shape [4]"},
                      {Aspect::Shape,
                       [](Device d) {
                         F::box_decode(zeros({2, 4}, d), zeros({1, 4}, d));
                       },
                       "box_decode: anchors must have shape [2, 4], got [1, 4]"},
                      {Aspect::DType,
                       [](Device d) {
                         F::box_decode(zeros({2, 4}, d), zeros({2, 4}, d, DType::F16));
                       },
                       "box_decode: anchors must be f32, got f16; cast it first"},
                      {Aspect::Device,
                       [](Device d) {
                         F::box_decode(zeros({2, 4}, d), zeros({2, 4}, Device::cpu()));
                       },
                       "box_decode: anchors is on cpu, expected cuda:0; move it with to(device)"},
                      {Aspect::Argument,
                       [](Device d) {
                         F::box_decode(zeros({2, 4}, d), zeros({2, 4}, d), {.weights = {1, -1, 1, 1}});
                       },
                       "box_decode: the weights of the coding must be positive, got -1"},
                  });

const Op kYoloDecode("yolo_decode", [](const Inputs& in, const Params& p) {
  auto [boxes, objectness, probabilities] = kernels::yolo_decode(in[0], in[1], p.integer("classes"));
  return Outputs{boxes, objectness, probabilities};
});
const OpErrors kYoloDecodeErrors(
    "yolo_decode",
    {
        {Aspect::Rank,
         [](Device d) {
           kernels::yolo_decode(zeros({12, 2, 2}, d), zeros({2, 2}, d), 1);
         },
         "yolo_decode: raw must have 4 axes, got shape [12, 2, 2]"},
        {Aspect::Rank,
         [](Device d) {
           kernels::yolo_decode(zeros({1, 12, 2, 2}, d), zeros({4}, d), 1);
         },
         "yolo_decode: anchors must have 2 axes, got shape [4]"},
        {Aspect::Shape,
         [](Device d) {
           kernels::yolo_decode(zeros({1, 13, 2, 2}, d), zeros({2, 2}, d), 1);
         },
         "yolo_decode: raw must have 12 channels (2 anchors x (5 + 1 classes)), got shape [1, 13, 2, 2]"},
        {Aspect::Shape,
         [](Device d) {
           kernels::yolo_decode(zeros({1, 12, 2, 2}, d), zeros({2, 3}, d), 1);
         },
         "yolo_decode: anchors must have shape [2, 2], got [2, 3]"},
        {Aspect::DType,
         [](Device d) {
           kernels::yolo_decode(zeros({1, 12, 2, 2}, d, DType::BF16), zeros({2, 2}, d, DType::BF16), 1);
         },
         "yolo_decode: anchors must be f32, got bf16; cast it first"},
        {Aspect::Device,
         [](Device d) {
           kernels::yolo_decode(zeros({1, 12, 2, 2}, d), zeros({2, 2}, Device::cpu()), 1);
         },
         "yolo_decode: anchors is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) {
           kernels::yolo_decode(zeros({1, 10, 2, 2}, d), zeros({2, 2}, d), 0);
         },
         "yolo_decode: classes must be at least 1, got 0"},
    });

const Op kYoloLoss("yolo_loss", [](const Inputs& in, const Params& p) {
  F::YoloLossParams params{.threshold = p.number("threshold"),
                           .overlap_target = p.flag("overlap_target"),
                           .prior = p.number("prior"),
                           .prior_pictures = p.integer("prior_pictures")};
  params.object = p.get("object", params.object);
  params.no_object = p.get("no_object", params.no_object);
  params.coordinate = p.get("coordinate", params.coordinate);
  params.classification = p.get("classification", params.classification);
  return Outputs{F::yolo_loss({in[0], in[1], in[2], kernels::boxes_to_corners(in[3]), in[4]}, params)};
});
/// What the loss takes, for two classes, two anchors and three boxes; a case replaces one of them.
F::YoloLossInputs yolo_loss_inputs(Device d) {
  return {zeros({1, 14, 2, 2}, d), zeros({2, 2}, d), zeros({1, 3}, d, DType::I64), zeros({1, 3, 4}, d)};
}
void yolo_loss_with(Device d, Tensor F::YoloLossInputs::*member, const Tensor& replacement,
                    const F::YoloLossParams& params = {}) {
  F::YoloLossInputs inputs = yolo_loss_inputs(d);
  inputs.*member = replacement;
  // A CUDA device tells of a bad label at the next read, in the same words.
  F::yolo_loss(inputs, params).item<float>();
}
using YoloIn = F::YoloLossInputs;
const OpErrors kYoloLossErrors(
    "yolo_loss",
    {
        {Aspect::Rank,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::raw, zeros({14, 2, 2}, d));
         },
         "yolo_loss: raw must have 4 axes, got shape [14, 2, 2]"},
        {Aspect::Rank, [](Device d) { yolo_loss_with(d, &YoloIn::anchors, zeros({4}, d)); },
         "yolo_loss: anchors must have 2 axes, got shape [4]"},
        {Aspect::Rank, [](Device d) { yolo_loss_with(d, &YoloIn::labels, zeros({3}, d, DType::I64)); },
         "yolo_loss: labels must have 2 axes, got shape [3]"},
        {Aspect::Rank,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::boxes, zeros({3, 4}, d));
         },
         "yolo_loss: boxes must have 3 axes, got shape [3, 4]"},
        {Aspect::Shape,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::raw, zeros({1, 10, 2, 2}, d));
         },
         "yolo_loss: raw must have 2 x (5 + classes) channels for 2 anchors, got shape [1, 10, 2, 2]"},
        {Aspect::Shape,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::raw, zeros({1, 15, 2, 2}, d));
         },
         "yolo_loss: raw must have 2 x (5 + classes) channels for 2 anchors, got shape [1, 15, 2, 2]"},
        {Aspect::Shape,
         [](Device d) {
           F::yolo_loss({zeros({0, 14, 2, 2}, d), zeros({2, 2}, d), zeros({0, 3}, d, DType::I64),
                         zeros({0, 3, 4}, d)});
         },
         "yolo_loss: raw must hold at least one picture, got shape [0, 14, 2, 2]"},
        {Aspect::Shape,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::anchors, zeros({2, 3}, d));
         },
         "yolo_loss: anchors must have shape [2, 2], got [2, 3]"},
        {Aspect::Shape,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::anchors, zeros({0, 2}, d));
         },
         "yolo_loss: anchors must have at least one row, got shape [0, 2]"},
        {Aspect::Shape,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::labels, zeros({2, 3}, d, DType::I64));
         },
         "yolo_loss: labels must have shape [1, 3], got [2, 3]"},
        {Aspect::Shape,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::boxes, zeros({1, 2, 4}, d));
         },
         "yolo_loss: boxes must have shape [1, 3, 4], got [1, 2, 4]"},
        {Aspect::Shape, [](Device d) { yolo_loss_with(d, &YoloIn::seen, zeros({2}, d, DType::I64)); },
         "yolo_loss: seen must have shape [1], got [2]"},
        {Aspect::DType,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::raw, zeros({1, 14, 2, 2}, d, DType::I32));
         },
         "yolo_loss: raw must be floating-point, got i32; cast it first"},
        {Aspect::DType,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::anchors, zeros({2, 2}, d, DType::F16));
         },
         "yolo_loss: anchors must be f32, got f16; cast it first"},
        {Aspect::DType,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::labels, zeros({1, 3}, d, DType::I32));
         },
         "yolo_loss: labels must be i64, got i32; cast it first"},
        {Aspect::DType,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::boxes, zeros({1, 3, 4}, d, DType::F16));
         },
         "yolo_loss: boxes must be f32, got f16; cast it first"},
        {Aspect::DType, [](Device d) { yolo_loss_with(d, &YoloIn::seen, zeros({1}, d)); },
         "yolo_loss: seen must be i64, got f32; cast it first"},
        {Aspect::Device,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::anchors, zeros({2, 2}, Device::cpu()));
         },
         "yolo_loss: anchors is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Device,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::labels, zeros({1, 3}, Device::cpu(), DType::I64));
         },
         "yolo_loss: labels is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) {
           yolo_loss_with(d, &YoloIn::labels,
                          Tensor::from_values(std::vector<std::int64_t>{1, -1, 2}, Shape{1, 3}, d));
         },
         "yolo_loss: the label of box 2 is 2, expected -1 for none, or 0 to 1 (2 classes)"},
        {Aspect::Argument, [](Device d) { yolo_loss_with(d, &YoloIn::seen, {}, {.no_object = -1}); },
         "yolo_loss: no_object must not be negative, got -1"},
        {Aspect::Argument, [](Device d) { yolo_loss_with(d, &YoloIn::seen, {}, {.threshold = 1.5}); },
         "yolo_loss: threshold must be between 0 and 1, got 1.5"},
    });

const Op kNms("nms", [](const Inputs& in, const Params& p) {
  auto [indices, count] =
      kernels::nms(kernels::boxes_to_corners(in[0]), in[1], in[2],
                   {.overlap = p.number("overlap"), .score = p.number("score"), .most = p.integer("most")});
  return Outputs{indices, count};
});
const OpErrors kNmsErrors(
    "nms", {
               {Aspect::Rank,
                [](Device d) {
                  kernels::nms(zeros({3, 4}, d), zeros({3}, d), {});
                },
                "nms: boxes must have 3 axes, got shape [3, 4]"},
               {Aspect::Shape,
                [](Device d) {
                  kernels::nms(zeros({1, 3, 5}, d), zeros({1, 3}, d), {});
                },
                "nms: boxes must have shape (N, K, 4), got [1, 3, 5]"},
               {Aspect::Shape,
                [](Device d) {
                  kernels::nms(zeros({1, 3, 4}, d), zeros({1, 4}, d), {});
                },
                "nms: scores must have shape [1, 3], got [1, 4]"},
               {Aspect::Shape,
                [](Device d) {
                  kernels::nms(zeros({1, 3, 4}, d), zeros({1, 3}, d), zeros({1, 2}, d, DType::I64));
                },
                "nms: classes must have shape [1, 3], got [1, 2]"},
               {Aspect::DType,
                [](Device d) {
                  kernels::nms(zeros({1, 3, 4}, d), zeros({1, 3}, d, DType::F16), {});
                },
                "nms: scores must be f32, got f16; cast it first"},
               {Aspect::DType,
                [](Device d) {
                  kernels::nms(zeros({1, 3, 4}, d), zeros({1, 3}, d), zeros({1, 3}, d, DType::I32));
                },
                "nms: classes must be i64, got i32; cast it first"},
               {Aspect::Device,
                [](Device d) {
                  kernels::nms(zeros({1, 3, 4}, d), zeros({1, 3}, Device::cpu()), {});
                },
                "nms: scores is on cpu, expected cuda:0; move it with to(device)"},
               {Aspect::Argument,
                [](Device d) {
                  kernels::nms(zeros({1, 3, 4}, d), zeros({1, 3}, d), {}, {.overlap = 1.5});
                },
                "nms: overlap must be between 0 and 1, got 1.5"},
               {Aspect::Argument,
                [](Device d) {
                  kernels::nms(zeros({1, 3, 4}, d), zeros({1, 3}, d), {}, {.most = 0});
                },
                "nms: most must be at least 1, got 0"},
           });

}  // namespace
}  // namespace dlcuda::testing
