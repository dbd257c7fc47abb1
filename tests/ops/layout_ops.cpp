#include "dlcuda/kernels/indexing.h"
#include "dlcuda/layers/functional/layout.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

int axis_of(const Params& p) { return static_cast<int>(p.integer("axis")); }
std::vector<int> ints(const Params& p, const std::string& name) { return p.get<std::vector<int>>(name); }
std::vector<F::AxisPadding> padding_of(const Params& p) {
  std::vector<F::AxisPadding> result;
  for (const auto& [before, after] : p.get<std::vector<std::array<std::int64_t, 2>>>("padding")) {
    result.push_back({before, after});
  }
  return result;
}
const std::vector<std::pair<std::string, DType>> kDTypes = {
    {"f32", DType::F32}, {"bf16", DType::BF16}, {"f16", DType::F16}, {"i32", DType::I32}};
DType dtype_named(const std::string& name) {
  for (const auto& [known, dtype] : kDTypes) {
    if (known == name) return dtype;
  }
  throw std::runtime_error("a case names the dtype " + name);
}
Tensor labels(std::vector<std::int64_t> values, Device device) {
  const Shape shape{static_cast<std::int64_t>(values.size())};
  return Tensor::from_values(values, shape, device);
}

const Op kConcat("concat",
                 [](const Inputs& in, const Params& p) { return Outputs{F::concat(in, axis_of(p))}; });
Tensor join(const Inputs& all, int axis = 0) { return F::concat(all, axis); }
const OpErrors kConcatErrors(
    "concat",
    {
        {Aspect::Rank,
         [](Device d) {
           join({zeros({2, 3}, d), zeros({2}, d)});
         },
         "concat: tensor 1 must have 2 axes, got shape [2]"},
        {Aspect::Rank, [](Device d) { join({zeros({}, d)}); }, "concat: axis 0 does not exist in shape []"},
        {Aspect::Shape,
         [](Device d) {
           join({zeros({2, 3}, d), zeros({2, 4}, d)});
         },
         "concat: tensor 1 must have shape [2, 3], got [2, 4]"},
        {Aspect::DType,
         [](Device d) {
           join({zeros({2}, d), zeros({2}, d, DType::I32)});
         },
         "concat: tensor 1 must be f32, got i32; cast it first"},
        {Aspect::Device,
         [](Device d) {
           join({zeros({2}, d), zeros({2}, Device::cpu())});
         },
         "concat: tensor 1 is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument, [](Device) { join({}); }, "concat: there must be at least one tensor"},
        {Aspect::Argument, [](Device d) { join({zeros({2}, d)}, 1); },
         "concat: axis 1 does not exist in shape [2]"},
    });

const Op kNarrow("narrow", [](const Inputs& in, const Params& p) {
  return Outputs{F::narrow(in[0], axis_of(p), p.integer("begin"), p.integer("length"))};
});
const OpErrors kNarrowErrors("narrow",
                             {
                                 {Aspect::Rank, [](Device d) { F::narrow(zeros({}, d), 0, 0, 1); },
                                  "narrow: axis 0 does not exist in shape []"},
                                 {Aspect::Shape,
                                  [](Device d) {
                                    F::narrow(zeros({2, 3}, d), 1, 2, 2);
                                  },
                                  "narrow: 2 elements from 2 on do not lie in axis 1 of shape [2, 3]"},
                                 anything_goes(Aspect::DType, "elements are moved"),
                                 anything_goes(Aspect::Device, "one tensor"),
                                 {Aspect::Argument,
                                  [](Device d) {
                                    F::narrow(zeros({2, 3}, d), 1, -1, 1);
                                  },
                                  "narrow: 1 elements from -1 on do not lie in axis 1 of shape [2, 3]"},
                             });

const Op kSplit("split", [](const Inputs& in, const Params& p) {
  return F::split(in[0], p.integers("lengths"), axis_of(p));
});
const OpErrors kSplitErrors("split",
                            {
                                {Aspect::Rank,
                                 [](Device d) { F::split(zeros({2}, d), std::array<std::int64_t, 1>{2}, 1); },
                                 "axis 1 is out of range for shape [2]"},
                                {Aspect::Shape,
                                 [](Device d) {
                                   F::split(zeros({2, 3}, d), std::array<std::int64_t, 2>{1, 1}, 1);
                                 },
                                 "split: the lengths add up to 2, but axis 1 of shape [2, 3] has 3"},
                                anything_goes(Aspect::DType, "elements are moved"),
                                anything_goes(Aspect::Device, "one tensor"),
                                {Aspect::Argument,
                                 [](Device d) {
                                   F::split(zeros({2, 3}, d), std::array<std::int64_t, 2>{-1, 4}, 1);
                                 },
                                 "narrow: -1 elements from 0 on do not lie in axis 1 of shape [2, 3]"},
                            });

const Op kPad("pad", [](const Inputs& in, const Params& p) {
  return Outputs{F::pad(in[0], padding_of(p), p.number("value"))};
});
const OpErrors kPadErrors("pad", {
                                     {Aspect::Rank,
                                      [](Device d) {
                                        F::pad(zeros({2, 3}, d), std::array<F::AxisPadding, 1>{});
                                      },
                                      "pad: x of shape [2, 3] needs 2 entries of padding, got 1"},
                                     {Aspect::Shape,
                                      [](Device d) {
                                        F::pad(zeros({2}, d), std::array<F::AxisPadding, 1>{{{-2, -1}}});
                                      },
                                      "pad: -2 and -1 take more from axis 0 of shape [2] than there is"},
                                     anything_goes(Aspect::DType, "elements are moved"),
                                     anything_goes(Aspect::Device, "one tensor"),
                                 });

const Op kPadReflect("pad_reflect", [](const Inputs& in, const Params& p) {
  return Outputs{F::pad_reflect(in[0], p.array<4>("padding"))};
});
const OpErrors kPadReflectErrors(
    "pad_reflect",
    {
        {Aspect::Rank,
         [](Device d) {
           F::pad_reflect(zeros({2, 3}, d), {});
         },
         "pad_reflect: x must have 4 axes, got shape [2, 3]"},
        {Aspect::Shape,
         [](Device d) {
           F::pad_reflect(zeros({1, 1, 2, 3}, d), {0, 0, 2, 0});
         },
         "pad_reflect: padding must be at least 0 and less than the extent, got 2 for [1, 1, 2, 3]"},
        {Aspect::DType,
         [](Device d) {
           F::pad_reflect(zeros({1, 1, 2, 3}, d, DType::U8), {});
         },
         "pad_reflect: x must be floating-point, got u8; cast it first"},
        anything_goes(Aspect::Device, "one tensor"),
        {Aspect::Argument,
         [](Device d) {
           F::pad_reflect(zeros({1, 1, 2, 3}, d), {0, -1, 0, 0});
         },
         "pad_reflect: padding must be at least 0 and less than the extent, got -1 for [1, 1, 2, 3]"},
    });

const Op kFlip("flip",
               [](const Inputs& in, const Params& p) { return Outputs{F::flip(in[0], ints(p, "axes"))}; });
const OpErrors kFlipErrors("flip", {
                                       {Aspect::Rank, [](Device d) { F::flip(zeros({}, d), std::array{0}); },
                                        "flip: axis 0 does not exist in shape []"},
                                       anything_goes(Aspect::Shape, "any shape"),
                                       anything_goes(Aspect::DType, "elements are moved"),
                                       anything_goes(Aspect::Device, "one tensor"),
                                       {Aspect::Argument,
                                        [](Device d) {
                                          F::flip(zeros({2, 3}, d), std::array{1, -1});
                                        },
                                        "flip: axis -1 is named twice"},
                                   });

const Op kPermute("permute", [](const Inputs& in, const Params& p) {
  return Outputs{F::permute(in[0], ints(p, "order"))};
});
const OpErrors kPermuteErrors("permute", {
                                             {Aspect::Rank,
                                              [](Device d) {
                                                F::permute(zeros({2, 3}, d), std::array{0});
                                              },
                                              "permute: x of shape [2, 3] needs an order of 2 axes, got 1"},
                                             anything_goes(Aspect::Shape, "any shape"),
                                             anything_goes(Aspect::DType, "elements are moved"),
                                             anything_goes(Aspect::Device, "one tensor"),
                                             {Aspect::Argument,
                                              [](Device d) {
                                                F::permute(zeros({2, 3}, d), std::array{0, 0});
                                              },
                                              "permute: axis 0 is named twice"},
                                             {Aspect::Argument,
                                              [](Device d) {
                                                F::permute(zeros({2, 3}, d), std::array{0, 2});
                                              },
                                              "permute: axis 2 does not exist in shape [2, 3]"},
                                         });

const Op kTranspose("transpose",
                    [](const Inputs& in, const Params&) { return Outputs{F::transpose(in[0])}; });
const OpErrors kTransposeErrors("transpose", {
                                                 {Aspect::Rank, [](Device d) { F::transpose(zeros({2}, d)); },
                                                  "transpose: x must have at least 2 axes, got shape [2]"},
                                                 anything_goes(Aspect::Shape, "any shape"),
                                                 anything_goes(Aspect::DType, "elements are moved"),
                                                 anything_goes(Aspect::Device, "one tensor"),
                                             });

const Op kPixelShuffle("pixel_shuffle", [](const Inputs& in, const Params& p) {
  return Outputs{F::pixel_shuffle(in[0], p.integer("factor"))};
});
const OpErrors kPixelShuffleErrors("pixel_shuffle",
                                   {
                                       {Aspect::Rank,
                                        [](Device d) {
                                          F::pixel_shuffle(zeros({4, 2, 2}, d), 2);
                                        },
                                        "pixel_shuffle: x must have 4 axes, got shape [4, 2, 2]"},
                                       {Aspect::Shape,
                                        [](Device d) {
                                          F::pixel_shuffle(zeros({1, 6, 2, 2}, d), 2);
                                        },
                                        "pixel_shuffle: the channels of x must be a multiple of 4 (the "
                                        "factor squared), got shape [1, 6, 2, 2]"},
                                       anything_goes(Aspect::DType, "elements are moved"),
                                       anything_goes(Aspect::Device, "one tensor"),
                                       {Aspect::Argument,
                                        [](Device d) {
                                          F::pixel_shuffle(zeros({1, 4, 2, 2}, d), 0);
                                        },
                                        "pixel_shuffle: factor must be between 1 and 32768, got 0"},
                                   });
const Op kPixelUnshuffle("pixel_unshuffle", [](const Inputs& in, const Params& p) {
  return Outputs{F::pixel_unshuffle(in[0], p.integer("factor"))};
});
const OpErrors kPixelUnshuffleErrors(
    "pixel_unshuffle",
    {
        {Aspect::Rank,
         [](Device d) {
           F::pixel_unshuffle(zeros({4, 2, 2}, d), 2);
         },
         "pixel_unshuffle: x must have 4 axes, got shape [4, 2, 2]"},
        {Aspect::Shape,
         [](Device d) {
           F::pixel_unshuffle(zeros({1, 1, 2, 3}, d), 2);
         },
         "pixel_unshuffle: height and width of x must be multiples of the factor 2, got shape [1, 1, 2, 3]"},
        anything_goes(Aspect::DType, "elements are moved"),
        anything_goes(Aspect::Device, "one tensor"),
        {Aspect::Argument,
         [](Device d) {
           F::pixel_unshuffle(zeros({1, 4, 2, 2}, d), -1);
         },
         "pixel_unshuffle: factor must be between 1 and 32768, got -1"},
    });
const Op kSpaceToDepth("space_to_depth", [](const Inputs& in, const Params& p) {
  return Outputs{F::space_to_depth(in[0], p.integer("factor"))};
});
const OpErrors kSpaceToDepthErrors(
    "space_to_depth",
    {
        {Aspect::Rank,
         [](Device d) {
           F::space_to_depth(zeros({4, 2, 2}, d), 2);
         },
         "space_to_depth: x must have 4 axes, got shape [4, 2, 2]"},
        {Aspect::Shape,
         [](Device d) {
           F::space_to_depth(zeros({1, 1, 3, 2}, d), 2);
         },
         "space_to_depth: height and width of x must be multiples of the factor 2, got shape [1, 1, 3, 2]"},
        anything_goes(Aspect::DType, "elements are moved"),
        anything_goes(Aspect::Device, "one tensor"),
        {Aspect::Argument,
         [](Device d) {
           F::space_to_depth(zeros({1, 4, 2, 2}, d), 0);
         },
         "space_to_depth: factor must be between 1 and 32768, got 0"},
    });
const Op kDepthToSpace("depth_to_space", [](const Inputs& in, const Params& p) {
  return Outputs{F::depth_to_space(in[0], p.integer("factor"))};
});
const OpErrors kDepthToSpaceErrors("depth_to_space",
                                   {
                                       {Aspect::Rank,
                                        [](Device d) {
                                          F::depth_to_space(zeros({4, 2, 2}, d), 2);
                                        },
                                        "depth_to_space: x must have 4 axes, got shape [4, 2, 2]"},
                                       {Aspect::Shape,
                                        [](Device d) {
                                          F::depth_to_space(zeros({1, 5, 2, 2}, d), 2);
                                        },
                                        "depth_to_space: the channels of x must be a multiple of 4 (the "
                                        "factor squared), got shape [1, 5, 2, 2]"},
                                       anything_goes(Aspect::DType, "elements are moved"),
                                       anything_goes(Aspect::Device, "one tensor"),
                                       {Aspect::Argument,
                                        [](Device d) {
                                          F::depth_to_space(zeros({1, 4, 2, 2}, d), 0);
                                        },
                                        "depth_to_space: factor must be between 1 and 32768, got 0"},
                                   });

const Op kReorg("reorg", [](const Inputs& in, const Params& p) {
  return Outputs{F::reorg(in[0], p.integer("factor"))};
});
const OpErrors kReorgErrors(
    "reorg",
    {
        {Aspect::Rank,
         [](Device d) {
           F::reorg(zeros({4, 2, 2}, d), 2);
         },
         "reorg: x must have 4 axes, got shape [4, 2, 2]"},
        {Aspect::Shape,
         [](Device d) {
           F::reorg(zeros({1, 2, 2, 2}, d), 2);
         },
         "reorg: x must have channels in multiples of 4 (the factor squared), height and width in multiples "
         "of 2, got shape [1, 2, 2, 2]"},
        {Aspect::Shape,
         [](Device d) {
           F::reorg(zeros({1, 4, 2, 3}, d), 2);
         },
         "reorg: x must have channels in multiples of 4 (the factor squared), height and width in multiples "
         "of 2, got shape [1, 4, 2, 3]"},
        anything_goes(Aspect::DType, "elements are moved"),
        anything_goes(Aspect::Device, "one tensor"),
        {Aspect::Argument,
         [](Device d) {
           F::reorg(zeros({1, 4, 2, 2}, d), 0);
         },
         "reorg: factor must be between 1 and 32768, got 0"},
    });

const Op kResize("resize", [](const Inputs& in, const Params& p) {
  const std::string mode = p.text("mode");
  const F::Resample resample = mode == "nearest"    ? F::Resample::Nearest
                               : mode == "bilinear" ? F::Resample::Bilinear
                                                    : F::Resample::BilinearCorners;
  return Outputs{F::resize(in[0], p.array<2>("size"), resample)};
});
const OpErrors kResizeErrors(
    "resize", {
                  {Aspect::Rank,
                   [](Device d) {
                     F::resize(zeros({2, 3}, d), {2, 2}, F::Resample::Nearest);
                   },
                   "resize: x must have 4 axes, got shape [2, 3]"},
                  {Aspect::Shape,
                   [](Device d) {
                     F::resize(zeros({1, 1, 0, 3}, d), {2, 2}, F::Resample::Nearest);
                   },
                   "resize: pictures must have at least one pixel, got [1, 1, 0, 3] to be resized to 2 x 2"},
                  {Aspect::Shape,
                   [](Device d) {
                     F::resize(zeros({1, 1, 2, 3}, d), {0, 2}, F::Resample::Bilinear);
                   },
                   "resize: pictures must have at least one pixel, got [1, 1, 2, 3] to be resized to 0 x 2"},
                  {Aspect::DType,
                   [](Device d) {
                     F::resize(zeros({1, 1, 2, 3}, d, DType::U8), {2, 2}, F::Resample::Bilinear);
                   },
                   "resize: x must be floating-point, got u8; cast it first"},
                  anything_goes(Aspect::Device, "one tensor"),
                  {Aspect::Argument,
                   [](Device d) {
                     F::resize(zeros({1, 1, 2, 3}, d), {2, 2}, F::Resample::Reflect);
                   },
                   "resize: Reflect is a padding; use pad_reflect"},
              });

const Op kGather("gather", [](const Inputs& in, const Params& p) {
  return Outputs{F::gather(in[0], axis_of(p), in[1])};
});
const OpErrors kGatherErrors(
    "gather",
    {
        {Aspect::Rank,
         [](Device d) {
           F::gather(zeros({2, 3}, d), 1, labels({0}, d));
         },
         "gather: index must have 2 axes, got shape [1]"},
        {Aspect::Shape,
         [](Device d) {
           F::gather(zeros({2, 3}, d), 1, zeros({3, 1}, d, DType::I64));
         },
         "gather: index of shape [3, 1] reaches beyond axis 0 of shape [2, 3]"},
        {Aspect::DType,
         [](Device d) {
           F::gather(zeros({2, 3}, d), 1, zeros({2, 1}, d, DType::I32));
         },
         "gather: index must be i64, got i32; cast it first"},
        {Aspect::DType,
         [](Device d) { kernels::gather_backward(zeros({1}, d, DType::I32), {2}, 0, labels({0}, d)); },
         "gather_backward: dy must be floating-point, got i32; cast it first"},
        {Aspect::Device, [](Device d) { F::gather(zeros({2}, d), 0, labels({0}, Device::cpu())); },
         "gather: index is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument, [](Device d) { F::gather(zeros({2}, d), 1, labels({0}, d)); },
         "gather: axis 1 does not exist in shape [2]"},
        {Aspect::Argument,
         [](Device) {
           F::gather(zeros({2}, Device::cpu()), 0, labels({0, 2}, Device::cpu()));
         },
         "gather: index 2 at position 1 is out of range; expected 0 to 1"},
        {Aspect::Argument,
         [](Device) { F::gather(zeros({2}, Device::cpu()), 0, labels({-1}, Device::cpu())); },
         "gather: index -1 at position 0 is out of range; expected 0 to 1"},
    });

const Op kIndexSelect("index_select", [](const Inputs& in, const Params& p) {
  return Outputs{F::index_select(in[0], axis_of(p), in[1])};
});
const OpErrors kIndexSelectErrors(
    "index_select",
    {
        {Aspect::Rank,
         [](Device d) {
           F::index_select(zeros({2, 3}, d), 1, zeros({2, 1}, d, DType::I64));
         },
         "index_select: index must have 1 axes, got shape [2, 1]"},
        {Aspect::Shape,
         [](Device d) {
           kernels::index_select_backward(zeros({2, 3}, d), {2, 3}, 0, labels({0}, d));
         },
         "index_select_backward: dy must have shape [1, 3], got [2, 3]"},
        {Aspect::DType, [](Device d) { F::index_select(zeros({2}, d), 0, zeros({1}, d)); },
         "index_select: index must be i64, got f32; cast it first"},
        {Aspect::Device, [](Device d) { F::index_select(zeros({2}, d), 0, labels({0}, Device::cpu())); },
         "index_select: index is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device) { F::index_select(zeros({2}, Device::cpu()), 0, labels({2}, Device::cpu())); },
         "index_select: index 2 at position 0 is out of range; expected 0 to 1"},
    });

const Op kEmbedding("embedding", [](const Inputs& in, const Params& p) {
  return Outputs{F::embedding(in[0], in[1], p.integer("padding"))};
});
const OpErrors kEmbeddingErrors(
    "embedding", {
                     {Aspect::Rank, [](Device d) { F::embedding(zeros({3}, d), labels({0}, d)); },
                      "embedding: table must be (V, D), got shape [3]"},
                     anything_goes(Aspect::Shape, "any table, any index"),
                     {Aspect::DType,
                      [](Device d) {
                        F::embedding(zeros({3, 2}, d), zeros({1}, d, DType::I32));
                      },
                      "index_select: index must be i64, got i32; cast it first"},
                     {Aspect::Device,
                      [](Device d) {
                        F::embedding(zeros({3, 2}, d), labels({0}, Device::cpu()));
                      },
                      "index_select: index is on cpu, expected cuda:0; move it with to(device)"},
                     {Aspect::Argument,
                      [](Device) {
                        F::embedding(zeros({3, 2}, Device::cpu()), labels({3}, Device::cpu()));
                      },
                      "index_select: index 3 at position 0 is out of range; expected 0 to 2"},
                     {Aspect::Argument,
                      [](Device d) {
                        F::embedding(zeros({3, 2}, d), labels({0}, d), 3);
                      },
                      "embedding: padding must be a row of the table [3, 2] (or negative: none), got 3"},
                 });

const Op kOneHot("one_hot", [](const Inputs& in, const Params& p) {
  return Outputs{kernels::one_hot(in[0], p.integer("classes"))};
});
const OpErrors kOneHotErrors("one_hot",
                             {
                                 anything_goes(Aspect::Rank, "any rank"),
                                 anything_goes(Aspect::Shape, "any shape"),
                                 {Aspect::DType, [](Device d) { kernels::one_hot(zeros({2}, d), 3); },
                                  "one_hot: labels must be i64, got f32; cast it first"},
                                 anything_goes(Aspect::Device, "one tensor"),
                                 {Aspect::Argument, [](Device d) { kernels::one_hot(labels({0}, d), 0); },
                                  "one_hot: classes must be at least 1, got 0"},
                                 {Aspect::Argument,
                                  [](Device) { kernels::one_hot(labels({3}, Device::cpu()), 3); },
                                  "one_hot: index 3 at position 0 is out of range; expected 0 to 2"},
                             });

const Op kCast("cast", [](const Inputs& in, const Params& p) {
  return Outputs{F::cast(in[0], dtype_named(p.text("to")))};
});
const OpErrors kCastErrors("cast", {
                                       anything_goes(Aspect::Rank, "any rank"),
                                       anything_goes(Aspect::Shape, "any shape"),
                                       {Aspect::DType, [](Device) { F::cast(Tensor(), DType::F32); },
                                        "an undefined tensor was used"},
                                       anything_goes(Aspect::Device, "one tensor"),
                                   });

const Op kToFormat("to_format", [](const Inputs& in, const Params& p) {
  return Outputs{F::to_format(
      in[0], p.text("to") == "contiguous" ? MemoryFormat::Contiguous : MemoryFormat::ChannelsLast)};
});
const OpErrors kToFormatErrors("to_format",
                               {
                                   {Aspect::Rank,
                                    [](Device d) {
                                      F::to_format(zeros({2, 3}, d), MemoryFormat::ChannelsLast);
                                    },
                                    "to_format: channels-last needs 4 axes (N, C, H, W), got shape [2, 3]"},
                                   anything_goes(Aspect::Shape, "any shape"),
                                   anything_goes(Aspect::DType, "elements are moved"),
                                   anything_goes(Aspect::Device, "one tensor"),
                               });

const Op kFlatten("flatten", [](const Inputs& in, const Params&) { return Outputs{F::flatten(in[0])}; });
const OpErrors kFlattenErrors("flatten", {
                                             {Aspect::Rank, [](Device d) { F::flatten(zeros({}, d)); },
                                              "flatten: expected a leading batch axis, got a scalar"},
                                             anything_goes(Aspect::Shape, "any shape"),
                                             anything_goes(Aspect::DType, "elements are moved"),
                                             anything_goes(Aspect::Device, "one tensor"),
                                         });

}  // namespace
}  // namespace dlcuda::testing
