#include "dlcuda/layers/functional/arithmetic.h"

#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/layers/functional/reduction.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

#define DLCUDA_BINARY_OP(name, Name)                                                                        \
  const Op k##Name(#name, [](const Inputs& in, const Params&) { return Outputs{F::name(in[0], in[1])}; });  \
  const OpErrors k##Name##Errors(                                                                           \
      #name,                                                                                                \
      {anything_goes(Aspect::Rank, "shapes are broadcast"),                                                 \
       {Aspect::Shape,                                                                                      \
        [](Device d) {                                                                                      \
          F::name(zeros({2, 3}, d), zeros({2}, d));                                                         \
        },                                                                                                  \
        #name                                                                                               \
        ": a [2, 3] and b [2] do not broadcast: 3 and 2 differ, counted 1 from the end, and neither is 1"}, \
       {Aspect::DType, [](Device d) { F::name(zeros({2}, d), zeros({2}, d, DType::BF16)); },                \
        #name ": b must be f32, got bf16; cast it first"},                                                  \
       {Aspect::DType, [](Device d) { F::name(zeros({2}, d, DType::I32), zeros({2}, d, DType::I32)); },     \
        #name ": a must be floating-point, got i32; cast it first"},                                        \
       {Aspect::Device, [](Device d) { F::name(zeros({2}, d), zeros({2}, Device::cpu())); },                \
        #name ": b is on cpu, expected cuda:0; move it with to(device)"}})

DLCUDA_BINARY_OP(add, Add);
DLCUDA_BINARY_OP(subtract, Subtract);
DLCUDA_BINARY_OP(multiply, Multiply);
DLCUDA_BINARY_OP(divide, Divide);
DLCUDA_BINARY_OP(maximum, Maximum);
DLCUDA_BINARY_OP(minimum, Minimum);

#define DLCUDA_UNARY_OP(name, Name, call, kind)                                                              \
  const Op k##Name(#name, [](const Inputs& in, [[maybe_unused]] const Params& p) { return Outputs{call}; }); \
  const OpErrors k##Name##Errors(                                                                            \
      #name, {anything_goes(Aspect::Rank, "element-wise"),                                                   \
              {Aspect::Shape,                                                                                \
               [](Device d) {                                                                                \
                 kernels::unary_backward(zeros({2}, d), zeros({3}, d), {.op = kernels::UnaryOp::kind});      \
               },                                                                                            \
               #name "_backward: x must have shape [2], got [3]"},                                           \
              {Aspect::DType,                                                                                \
               [](Device d) { kernels::unary(zeros({2}, d, DType::U8), {.op = kernels::UnaryOp::kind}); },   \
               #name ": x must be floating-point, got u8; cast it first"},                                   \
              {Aspect::Device,                                                                               \
               [](Device d) {                                                                                \
                 kernels::unary_backward(zeros({2}, d), zeros({2}, Device::cpu()),                           \
                                         {.op = kernels::UnaryOp::kind});                                    \
               },                                                                                            \
               #name "_backward: x is on cpu, expected cuda:0; move it with to(device)"}})

DLCUDA_UNARY_OP(affine, Affine, F::affine(in[0], p.number("factor"), p.number("offset")), Affine);
DLCUDA_UNARY_OP(exp, Exp, F::exp(in[0]), Exp);
DLCUDA_UNARY_OP(log, Log, F::log(in[0]), Log);
DLCUDA_UNARY_OP(sqrt, Sqrt, F::sqrt(in[0]), Sqrt);
DLCUDA_UNARY_OP(rsqrt, Rsqrt, F::rsqrt(in[0]), Rsqrt);
DLCUDA_UNARY_OP(abs, Abs, F::abs(in[0]), Abs);
DLCUDA_UNARY_OP(square, Square, F::square(in[0]), Square);
DLCUDA_UNARY_OP(power, Power, F::power(in[0], p.number("exponent")), Power);
DLCUDA_UNARY_OP(clamp, Clamp, F::clamp(in[0], p.number("low"), p.number("high")), Clamp);
const OpErrors kClampArguments("clamp",
                               {
                                   {Aspect::Argument, [](Device d) { F::clamp(zeros({2}, d), 1, -1); },
                                    "clamp: the lower bound 1 is above the upper bound -1"},
                               });

std::vector<int> axes(const Params& p) { return p.get<std::vector<int>>("axes"); }

#define DLCUDA_REDUCTION_OP(name, Name, call)                                                         \
  const Op k##Name(#name, [](const Inputs& in, const Params& p) { return Outputs{call}; });           \
  const OpErrors k##Name##Errors(                                                                     \
      #name, {{Aspect::Rank, [](Device d) { F::name(zeros({}, d), std::array{0}); },                  \
               "reduce: axis 0 does not exist in shape []"},                                          \
              {Aspect::Shape,                                                                         \
               [](Device d) {                                                                         \
                 F::name(zeros({2, 4, 2, 2}, d).channel_slice(0, 2), std::array{0});                  \
               },                                                                                     \
               "reduce: x of shape [2, 2, 2, 2] is a slice; take kernels::contiguous() of it first"}, \
              {Aspect::DType, [](Device d) { F::name(zeros({2}, d, DType::I32)); },                   \
               "reduce: x must be floating-point, got i32; cast it first"},                           \
              anything_goes(Aspect::Device, "one tensor"),                                            \
              {Aspect::Argument,                                                                      \
               [](Device d) {                                                                         \
                 F::name(zeros({2, 3}, d), std::array{1, -1});                                        \
               },                                                                                     \
               "reduce: axis -1 is named twice"}})

DLCUDA_REDUCTION_OP(sum, Sum, F::sum(in[0], axes(p), p.flag("keep")));
DLCUDA_REDUCTION_OP(mean, Mean, F::mean(in[0], axes(p), p.flag("keep")));
DLCUDA_REDUCTION_OP(amax, Amax, F::amax(in[0], axes(p), p.flag("keep")));
DLCUDA_REDUCTION_OP(amin, Amin, F::amin(in[0], axes(p), p.flag("keep")));
DLCUDA_REDUCTION_OP(variance, Variance, F::variance(in[0], axes(p), p.flag("keep"), p.number("correction")));
const OpErrors kAmaxEmpty("amax", {
                                      {Aspect::Shape,
                                       [](Device d) {
                                         F::amax(zeros({0, 3}, d), std::array{0});
                                       },
                                       "reduce: the maximum or minimum of no elements, shape [0, 3]"},
                                  });

const Op kNorm("norm", [](const Inputs& in, const Params& p) {
  const std::string name = p.text("norm");
  return Outputs{F::norm(in[0],
                         name == "l1"   ? F::Norm::L1
                         : name == "l2" ? F::Norm::L2
                                        : F::Norm::Max,
                         axes(p), p.flag("keep"))};
});
const OpErrors kNormErrors(
    "norm", {
                {Aspect::Rank, [](Device d) { F::norm(zeros({}, d), F::Norm::L1, std::array{0}); },
                 "reduce: axis 0 does not exist in shape []"},
                {Aspect::Shape,
                 [](Device d) {
                   F::norm(zeros({0, 3}, d), F::Norm::Max, std::array{0});
                 },
                 "reduce: the maximum or minimum of no elements, shape [0, 3]"},
                {Aspect::DType, [](Device d) { F::norm(zeros({2}, d, DType::I32), F::Norm::L2); },
                 "square: x must be floating-point, got i32; cast it first"},
                anything_goes(Aspect::Device, "one tensor"),
                {Aspect::Argument,
                 [](Device d) {
                   F::norm(zeros({2, 3}, d), F::Norm::L2, std::array{2});
                 },
                 "reduce: axis 2 does not exist in shape [2, 3]"},
            });

const Op kArgmax("argmax", [](const Inputs& in, const Params& p) {
  return Outputs{kernels::argmax(in[0], static_cast<int>(p.integer("axis")))};
});
const OpErrors kArgmaxErrors("argmax", {
                                           {Aspect::Rank, [](Device d) { kernels::argmax(zeros({}, d), 0); },
                                            "argmax: axis 0 does not exist in shape []"},
                                           {Aspect::Shape,
                                            [](Device d) {
                                              kernels::argmax(zeros({0, 3}, d), 0);
                                            },
                                            "argmax: axis 0 of shape [0, 3] is empty"},
                                           {Aspect::DType,
                                            [](Device d) { kernels::argmax(zeros({2}, d, DType::I32), 0); },
                                            "argmax: x must be floating-point, got i32; cast it first"},
                                           anything_goes(Aspect::Device, "one tensor"),
                                           {Aspect::Argument,
                                            [](Device d) {
                                              kernels::argmax(zeros({2, 3}, d), 2);
                                            },
                                            "argmax: axis 2 does not exist in shape [2, 3]"},
                                       });
const Op kArgmin("argmin", [](const Inputs& in, const Params& p) {
  return Outputs{kernels::argmin(in[0], static_cast<int>(p.integer("axis")))};
});
const OpErrors kArgminErrors("argmin", {
                                           {Aspect::Rank, [](Device d) { kernels::argmin(zeros({}, d), 0); },
                                            "argmin: axis 0 does not exist in shape []"},
                                           {Aspect::Shape,
                                            [](Device d) {
                                              kernels::argmin(zeros({0, 3}, d), 0);
                                            },
                                            "argmin: axis 0 of shape [0, 3] is empty"},
                                           {Aspect::DType,
                                            [](Device d) { kernels::argmin(zeros({2}, d, DType::I32), 0); },
                                            "argmin: x must be floating-point, got i32; cast it first"},
                                           anything_goes(Aspect::Device, "one tensor"),
                                           {Aspect::Argument,
                                            [](Device d) {
                                              kernels::argmin(zeros({2, 3}, d), -3);
                                            },
                                            "argmin: axis -3 does not exist in shape [2, 3]"},
                                       });

}  // namespace
}  // namespace dlcuda::testing
