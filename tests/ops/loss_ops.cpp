#include "dlcuda/layers/functional/loss.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

F::LossReduction reduction(const Params& p) {
  const std::string name = p.text("reduction");
  return name == "none"  ? F::LossReduction::None
         : name == "sum" ? F::LossReduction::Sum
                         : F::LossReduction::Mean;
}

const Op kSquared("squared_loss", [](const Inputs& in, const Params& p) {
  return Outputs{F::squared_loss(in[0], in[1], reduction(p))};
});
const Op kAbsolute("absolute_loss", [](const Inputs& in, const Params& p) {
  return Outputs{F::absolute_loss(in[0], in[1], reduction(p))};
});
const Op kSmoothL1("smooth_l1_loss", [](const Inputs& in, const Params& p) {
  return Outputs{F::smooth_l1_loss(in[0], in[1], p.number("beta"), reduction(p))};
});
const Op kFocal("focal_loss", [](const Inputs& in, const Params& p) {
  return Outputs{F::focal_loss(in[0], in[1], p.number("alpha"), p.number("gamma"), reduction(p))};
});
const Op kBce("binary_cross_entropy", [](const Inputs& in, const Params& p) {
  return Outputs{F::binary_cross_entropy(in[0], in[1], in[2], reduction(p))};
});

// They are one function with another term, and refuse the same things.
const std::initializer_list<ErrorCase> kElementRefusals = {
    anything_goes(Aspect::Rank, "element-wise"),
    {Aspect::Shape,
     [](Device d) {
       F::squared_loss(zeros({2, 3}, d), zeros({3, 2}, d));
     },
     "element_loss: target must have shape [2, 3], got [3, 2]"},
    {Aspect::DType, [](Device d) { F::squared_loss(zeros({2}, d), zeros({2}, d, DType::BF16)); },
     "element_loss: target must be f32, got bf16; cast it first"},
    {Aspect::DType, [](Device d) { F::squared_loss(zeros({2}, d, DType::I64), zeros({2}, d, DType::I64)); },
     "element_loss: x must be floating-point, got i64; cast it first"},
    {Aspect::Device, [](Device d) { F::squared_loss(zeros({2}, d), zeros({2}, Device::cpu())); },
     "element_loss: target is on cpu, expected cuda:0; move it with to(device)"},
};
const OpErrors kSquaredErrors("squared_loss", kElementRefusals);
const OpErrors kAbsoluteErrors("absolute_loss", kElementRefusals);
const OpErrors kSmoothL1Errors("smooth_l1_loss", kElementRefusals);
const OpErrors kSmoothL1Arguments("smooth_l1_loss",
                                  {
                                      {Aspect::Argument,
                                       [](Device d) { F::smooth_l1_loss(zeros({2}, d), zeros({2}, d), -1); },
                                       "element_loss: beta must not be negative, got -1"},
                                  });
const OpErrors kFocalErrors("focal_loss", kElementRefusals);
const OpErrors kFocalArguments(
    "focal_loss",
    {
        {Aspect::Argument, [](Device d) { F::focal_loss(zeros({2}, d), zeros({2}, d), 0.5, -1); },
         "element_loss: gamma must not be negative, got -1"},
        {Aspect::Argument, [](Device d) { F::focal_loss(zeros({2}, d), zeros({2}, d), 1.5); },
         "element_loss: alpha must be at most 1, got 1.5"},
    });
const OpErrors kBceErrors("binary_cross_entropy", kElementRefusals);
const OpErrors kBceArguments(
    "binary_cross_entropy",
    {
        {Aspect::Shape,
         [](Device d) {
           F::binary_cross_entropy(zeros({2, 3}, d), zeros({2, 3}, d), zeros({2}, d));
         },
         "element_loss: positive_weight must have shape [3], got [2]"},
        {Aspect::Shape, [](Device d) { F::binary_cross_entropy(zeros({}, d), zeros({}, d), zeros({1}, d)); },
         "element_loss: x must have an axis for the positive weight"},
        {Aspect::Device,
         [](Device d) { F::binary_cross_entropy(zeros({2}, d), zeros({2}, d), zeros({2}, Device::cpu())); },
         "element_loss: positive_weight is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) { kernels::element_loss_forward(zeros({2}, d), zeros({2}, d), zeros({2}, d), {}); },
         "element_loss: only the binary cross-entropy takes a positive weight"},
    });

const Op kCrossEntropy("cross_entropy", [](const Inputs& in, const Params& p) {
  kernels::CrossEntropyParams params{.reduction = reduction(p), .label_smoothing = p.number("smoothing")};
  if (p.has("ignored")) params.ignore_index = p.integer("ignored");
  return Outputs{F::cross_entropy(in[0], in[1], in[2], params)};
});
Tensor labels(std::vector<std::int64_t> values, Device device) {
  const Shape shape{static_cast<std::int64_t>(values.size())};
  return Tensor::from_values(values, shape, device);
}
/// A CUDA device tells of a bad label at the next read, in the same words.
void read_loss(Device d, std::vector<std::int64_t> values) {
  F::cross_entropy(zeros({3, 3}, d), labels(std::move(values), d)).item<float>();
}
const OpErrors kCrossEntropyErrors(
    "cross_entropy",
    {
        {Aspect::Rank, [](Device d) { F::cross_entropy(zeros({3}, d), labels({0}, d)); },
         "cross_entropy: logits must be (N, C, ...), got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           F::cross_entropy(zeros({2, 3}, d), labels({0}, d));
         },
         "cross_entropy: labels must have shape [2], got [1]"},
        {Aspect::Shape,
         [](Device d) {
           F::cross_entropy(zeros({2, 3, 1, 1}, d), labels({0, 1}, d));
         },
         "cross_entropy: labels must have shape [2, 1, 1], got [2]"},
        {Aspect::Shape,
         [](Device d) {
           F::cross_entropy(zeros({0, 3}, d), labels({}, d));
         },
         "cross_entropy: logits must hold at least one row and one class, got shape [0, 3]"},
        {Aspect::Shape,
         [](Device d) {
           F::cross_entropy(zeros({1, 3}, d), labels({0}, d), zeros({2}, d));
         },
         "cross_entropy: class_weight must have shape [3], got [2]"},
        {Aspect::DType,
         [](Device d) {
           F::cross_entropy(zeros({1, 3}, d), zeros({1}, d, DType::I32));
         },
         "cross_entropy: labels must be i64, got i32; cast it first"},
        {Aspect::DType,
         [](Device d) {
           F::cross_entropy(zeros({1, 3}, d, DType::F16), labels({0}, d), zeros({3}, d, DType::F16));
         },
         "cross_entropy: class_weight must be f32, got f16; cast it first"},
        {Aspect::Device,
         [](Device d) {
           F::cross_entropy(zeros({1, 3}, d), labels({0}, Device::cpu()));
         },
         "cross_entropy: labels is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Device,
         [](Device d) {
           F::cross_entropy(zeros({1, 3}, d), labels({0}, d), zeros({3}, Device::cpu()));
         },
         "cross_entropy: class_weight is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) {
           read_loss(d, {1, 3, -1});
         },
         "cross_entropy: the label of row 1 is 3, expected 0 to 2 (3 classes)"},
        {Aspect::Argument,
         [](Device d) {
           read_loss(d, {1, 2, -1});
         },
         "cross_entropy: the label of row 2 is -1, expected 0 to 2 (3 classes)"},
        {Aspect::Argument,
         [](Device d) {
           F::cross_entropy(zeros({1, 3}, d), labels({0}, d), {}, {.label_smoothing = 1.5});
         },
         "cross_entropy: label_smoothing must be in [0, 1], got 1.5"},
    });

const Op kSoftCrossEntropy("soft_cross_entropy", [](const Inputs& in, const Params&) {
  return Outputs{F::soft_cross_entropy(in[0], in[1])};
});
const OpErrors kSoftCrossEntropyErrors(
    "soft_cross_entropy",
    {
        {Aspect::Rank, [](Device d) { F::soft_cross_entropy(zeros({3}, d), zeros({3}, d)); },
         "soft_cross_entropy: expected rows (N, D), got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           F::soft_cross_entropy(zeros({2, 3}, d), zeros({2, 4}, d));
         },
         "soft_cross_entropy: shapes must agree, got [2, 3] and [2, 4]"},
        {Aspect::DType,
         [](Device d) {
           F::soft_cross_entropy(zeros({2, 3}, d), zeros({2, 3}, d, DType::F16));
         },
         "soft_cross_entropy: expected two tensors of one floating-point dtype, got f32 and f16; cast one"},
        {Aspect::Device,
         [](Device d) {
           F::soft_cross_entropy(zeros({2, 3}, d), zeros({2, 3}, Device::cpu()));
         },
         "soft_cross_entropy: expected two tensors on one device, got cuda:0 and cpu; move one with "
         "to(device)"},
    });

const Op kDice("dice_loss", [](const Inputs& in, const Params& p) {
  return Outputs{F::dice_loss(in[0], in[1], p.number("smooth"))};
});
const OpErrors kDiceErrors(
    "dice_loss",
    {
        {Aspect::Rank, [](Device d) { F::dice_loss(zeros({3}, d), zeros({3}, d)); },
         "dice_loss: expected probabilities (N, ...), got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           F::dice_loss(zeros({2, 3}, d), zeros({2, 4}, d));
         },
         "dice_loss: shapes must agree, got [2, 3] and [2, 4]"},
        {Aspect::DType,
         [](Device d) {
           F::dice_loss(zeros({2, 3}, d), zeros({2, 3}, d, DType::F16));
         },
         "dice_loss: expected two tensors of one floating-point dtype, got f32 and f16; cast one"},
        {Aspect::Device,
         [](Device d) {
           F::dice_loss(zeros({2, 3}, d), zeros({2, 3}, Device::cpu()));
         },
         "dice_loss: expected two tensors on one device, got cuda:0 and cpu; move one with to(device)"},
    });

const Op kCosine("cosine_similarity",
                 [](const Inputs& in, const Params&) { return Outputs{F::cosine_similarity(in[0], in[1])}; });
const OpErrors kCosineErrors(
    "cosine_similarity",
    {
        {Aspect::Rank, [](Device d) { F::cosine_similarity(zeros({3}, d), zeros({3}, d)); },
         "cosine_similarity: expected rows (N, D), got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           F::cosine_similarity(zeros({2, 3}, d), zeros({2, 4}, d));
         },
         "cosine_similarity: shapes must agree, got [2, 3] and [2, 4]"},
        {Aspect::DType,
         [](Device d) {
           F::cosine_similarity(zeros({2, 3}, d), zeros({2, 3}, d, DType::F16));
         },
         "cosine_similarity: expected two tensors of one floating-point dtype, got f32 and f16; cast one"},
        {Aspect::Device,
         [](Device d) {
           F::cosine_similarity(zeros({2, 3}, d), zeros({2, 3}, Device::cpu()));
         },
         "cosine_similarity: expected two tensors on one device, got cuda:0 and cpu; move one with "
         "to(device)"},
    });
const Op kDistance("squared_distance", [](const Inputs& in, const Params&) {
  return Outputs{F::squared_distance(in[0], in[1])};
});
const OpErrors kDistanceErrors(
    "squared_distance",
    {
        {Aspect::Rank, [](Device d) { F::squared_distance(zeros({3}, d), zeros({3}, d)); },
         "squared_distance: expected rows (N, D), got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           F::squared_distance(zeros({2, 3}, d), zeros({2, 4}, d));
         },
         "squared_distance: shapes must agree, got [2, 3] and [2, 4]"},
        {Aspect::DType,
         [](Device d) {
           F::squared_distance(zeros({2, 3}, d), zeros({2, 3}, d, DType::F16));
         },
         "squared_distance: expected two tensors of one floating-point dtype, got f32 and f16; cast one"},
        {Aspect::Device,
         [](Device d) {
           F::squared_distance(zeros({2, 3}, d), zeros({2, 3}, Device::cpu()));
         },
         "squared_distance: expected two tensors on one device, got cuda:0 and cpu; move one with "
         "to(device)"},
    });

const Op kTriplet("triplet_loss", [](const Inputs& in, const Params& p) {
  return Outputs{F::triplet_loss(in[0], in[1], in[2], p.number("margin"), p.flag("squared"))};
});
const OpErrors kTripletErrors(
    "triplet_loss",
    {
        {Aspect::Rank, [](Device d) { F::triplet_loss(zeros({3}, d), zeros({3}, d), zeros({3}, d)); },
         "triplet_loss: expected rows (N, D), got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           F::triplet_loss(zeros({2, 3}, d), zeros({2, 3}, d), zeros({2, 4}, d));
         },
         "triplet_loss: shapes must agree, got [2, 3] and [2, 4]"},
        {Aspect::DType,
         [](Device d) {
           F::triplet_loss(zeros({2, 3}, d), zeros({2, 3}, d, DType::F16), zeros({2, 3}, d));
         },
         "triplet_loss: expected two tensors of one floating-point dtype, got f32 and f16; cast one"},
        {Aspect::Device,
         [](Device d) {
           F::triplet_loss(zeros({2, 3}, d), zeros({2, 3}, Device::cpu()), zeros({2, 3}, d));
         },
         "triplet_loss: expected two tensors on one device, got cuda:0 and cpu; move one with to(device)"},
    });

const Op kContrastive("contrastive_loss", [](const Inputs& in, const Params& p) {
  return Outputs{F::contrastive_loss(in[0], in[1], in[2], p.number("margin"))};
});
const OpErrors kContrastiveErrors(
    "contrastive_loss",
    {
        {Aspect::Rank, [](Device d) { F::contrastive_loss(zeros({3}, d), zeros({3}, d), zeros({3}, d)); },
         "contrastive_loss: expected rows (N, D), got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           F::contrastive_loss(zeros({2, 3}, d), zeros({2, 3}, d), zeros({3}, d));
         },
         "contrastive_loss: same must have shape [2], got [3]"},
        {Aspect::DType,
         [](Device d) {
           F::contrastive_loss(zeros({2, 3}, d), zeros({2, 3}, d), zeros({2}, d, DType::F16));
         },
         "contrastive_loss: same must be f32 like the rows, got f16; cast it first"},
        {Aspect::Device,
         [](Device d) {
           F::contrastive_loss(zeros({2, 3}, d), zeros({2, 3}, d), zeros({2}, Device::cpu()));
         },
         "contrastive_loss: same is on cpu, expected cuda:0; move it with to(device)"},
    });

const Op kCosineLoss("cosine_loss", [](const Inputs& in, const Params& p) {
  return Outputs{F::cosine_loss(in[0], in[1], in[2], p.number("margin"))};
});
const OpErrors kCosineLossErrors(
    "cosine_loss",
    {
        {Aspect::Rank, [](Device d) { F::cosine_loss(zeros({3}, d), zeros({3}, d), zeros({3}, d)); },
         "cosine_loss: expected rows (N, D), got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           F::cosine_loss(zeros({2, 3}, d), zeros({2, 3}, d), zeros({3}, d));
         },
         "cosine_loss: same must have shape [2], got [3]"},
        {Aspect::DType,
         [](Device d) {
           F::cosine_loss(zeros({2, 3}, d), zeros({2, 3}, d), zeros({2}, d, DType::F16));
         },
         "cosine_loss: same must be f32 like the rows, got f16; cast it first"},
        {Aspect::Device,
         [](Device d) {
           F::cosine_loss(zeros({2, 3}, d), zeros({2, 3}, d), zeros({2}, Device::cpu()));
         },
         "cosine_loss: same is on cpu, expected cuda:0; move it with to(device)"},
    });

}  // namespace
}  // namespace dlcuda::testing
