#include "dlcuda/layers/functional/pooling.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

F::Pool2dParams params_of(const Params& p) {
  return {p.array<2>("kernel"), p.array<2>("stride"), p.array<2>("padding"), p.flag("include"),
          p.flag("ceil")};
}

const Op kAvgPool("avg_pool2d", [](const Inputs& in, const Params& p) {
  return Outputs{F::avg_pool2d(in[0], params_of(p))};
});
const OpErrors kAvgPoolErrors(
    "avg_pool2d", {
                      {Aspect::Rank,
                       [](Device d) {
                         F::avg_pool2d(zeros({4, 4}, d));
                       },
                       "avg_pool2d: x must have 4 axes, got shape [4, 4]"},
                      {Aspect::Shape,
                       [](Device d) {
                         F::avg_pool2d(zeros({1, 1, 4, 4}, d), {{5, 5}, {1, 1}});
                       },
                       "pool2d: a window of 5 does not fit into an input of height 4 with padding 0"},
                      {Aspect::Shape,
                       [](Device d) {
                         kernels::avg_pool2d_backward(zeros({1, 1, 3, 2}, d), {1, 1, 4, 4}, {});
                       },
                       "avg_pool2d_backward: dy must have shape [1, 1, 2, 2], got [1, 1, 3, 2]"},
                      {Aspect::DType,
                       [](Device d) {
                         F::avg_pool2d(zeros({1, 1, 4, 4}, d, DType::I32));
                       },
                       "avg_pool2d: x must be floating-point, got i32; cast it first"},
                      anything_goes(Aspect::Device, "one tensor"),
                      {Aspect::Argument,
                       [](Device d) {
                         F::avg_pool2d(zeros({1, 1, 4, 4}, d), {{2, 2}, {0, 1}});
                       },
                       "pool2d: kernel and stride must be at least 1, got 2 and 0"},
                      {Aspect::Argument,
                       [](Device d) {
                         F::avg_pool2d(zeros({1, 1, 4, 4}, d), {{2, 2}, {1, 1}, {2, 0}});
                       },
                       "pool2d: padding must be between 0 and half the kernel (1), got 2"},
                  });

const Op kMaxPool("max_pool2d", [](const Inputs& in, const Params& p) {
  return Outputs{F::max_pool2d(in[0], params_of(p))};
});
const OpErrors kMaxPoolErrors(
    "max_pool2d",
    {
        {Aspect::Rank,
         [](Device d) {
           F::max_pool2d(zeros({4, 4}, d));
         },
         "max_pool2d: x must have 4 axes, got shape [4, 4]"},
        {Aspect::Shape,
         [](Device d) {
           F::max_pool2d(zeros({1, 1, 1, 4}, d));
         },
         "pool2d: a window of 2 does not fit into an input of height 1 with padding 0"},
        {Aspect::DType,
         [](Device d) {
           F::max_pool2d(zeros({1, 1, 4, 4}, d, DType::U8));
         },
         "max_pool2d: x must be floating-point, got u8; cast it first"},
        {Aspect::DType,
         [](Device d) {
           kernels::max_pool2d_backward(zeros({1, 1, 2, 2}, d), zeros({1, 1, 2, 2}, d), {1, 1, 4, 4}, {});
         },
         "max_pool2d_backward: indices must be i32, got f32; cast it first"},
        {Aspect::Device,
         [](Device d) {
           kernels::max_pool2d_backward(zeros({1, 1, 2, 2}, d),
                                        zeros({1, 1, 2, 2}, Device::cpu(), DType::I32), {1, 1, 4, 4}, {});
         },
         "max_pool2d_backward: indices is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) {
           F::max_pool2d(zeros({1, 1, 4, 4}, d), {{0, 2}, {1, 1}});
         },
         "pool2d: kernel and stride must be at least 1, got 0 and 1"},
    });

const Op kAdaptiveAvg("adaptive_avg_pool2d", [](const Inputs& in, const Params& p) {
  return Outputs{F::adaptive_avg_pool2d(in[0], p.array<2>("size"))};
});
const OpErrors kAdaptiveAvgErrors(
    "adaptive_avg_pool2d",
    {
        {Aspect::Rank,
         [](Device d) {
           F::adaptive_avg_pool2d(zeros({4, 4}, d), {1, 1});
         },
         "adaptive_avg_pool2d: x must have 4 axes, got shape [4, 4]"},
        {Aspect::Shape,
         [](Device d) {
           F::adaptive_avg_pool2d(zeros({1, 1, 0, 4}, d), {1, 1});
         },
         "adaptive_avg_pool2d: pictures must have at least one pixel, got [1, 1, 0, 4]"},
        {Aspect::DType,
         [](Device d) {
           F::adaptive_avg_pool2d(zeros({1, 1, 4, 4}, d, DType::I32), {1, 1});
         },
         "adaptive_avg_pool2d: x must be floating-point, got i32; cast it first"},
        anything_goes(Aspect::Device, "one tensor"),
        {Aspect::Argument,
         [](Device d) {
           F::adaptive_avg_pool2d(zeros({1, 1, 4, 4}, d), {0, 1});
         },
         "adaptive_avg_pool2d: height and width must be at least 1, got 0 and 1"},
    });

const Op kAdaptiveMax("adaptive_max_pool2d", [](const Inputs& in, const Params& p) {
  return Outputs{F::adaptive_max_pool2d(in[0], p.array<2>("size"))};
});
const OpErrors kAdaptiveMaxErrors(
    "adaptive_max_pool2d",
    {
        {Aspect::Rank,
         [](Device d) {
           F::adaptive_max_pool2d(zeros({4, 4}, d), {1, 1});
         },
         "adaptive_max_pool2d: x must have 4 axes, got shape [4, 4]"},
        {Aspect::Shape,
         [](Device d) {
           F::adaptive_max_pool2d(zeros({1, 1, 4, 0}, d), {1, 1});
         },
         "adaptive_max_pool2d: pictures must have at least one pixel, got [1, 1, 4, 0]"},
        {Aspect::DType,
         [](Device d) {
           F::adaptive_max_pool2d(zeros({1, 1, 4, 4}, d, DType::I32), {1, 1});
         },
         "adaptive_max_pool2d: x must be floating-point, got i32; cast it first"},
        {Aspect::Device,
         [](Device d) {
           kernels::adaptive_max_pool2d_backward(
               zeros({1, 1, 2, 2}, d), zeros({1, 1, 2, 2}, Device::cpu(), DType::I32), {1, 1, 4, 4});
         },
         "adaptive_max_pool2d_backward: indices is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) {
           F::adaptive_max_pool2d(zeros({1, 1, 4, 4}, d), {1, -1});
         },
         "adaptive_max_pool2d: height and width must be at least 1, got 1 and -1"},
    });

}  // namespace
}  // namespace dlcuda::testing
