#include "dlcuda/layers/functional/linear.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

const Op kLinear("linear",
                 [](const Inputs& in, const Params&) { return Outputs{F::linear(in[0], in[1], in[2])}; });
const OpErrors kLinearErrors(
    "linear",
    {
        {Aspect::Rank,
         [](Device d) {
           F::linear(zeros({2, 3}, d), zeros({3}, d));
         },
         "linear: weight must be (out, in), got shape [3]"},
        {Aspect::Rank,
         [](Device d) {
           F::linear(zeros({2, 3, 4}, d), zeros({5, 4}, d));
         },
         "linear: expected x of shape (N, 4) for a weight of shape [5, 4], got [2, 3, 4]; flatten it first"},
        {Aspect::Shape,
         [](Device d) {
           F::linear(zeros({2, 3}, d), zeros({5, 4}, d));
         },
         "linear: expected x of shape (N, 4) for a weight of shape [5, 4], got [2, 3]"},
        {Aspect::Shape,
         [](Device d) {
           F::linear(zeros({2, 4}, d), zeros({5, 4}, d), zeros({4}, d));
         },
         "matmul: bias must have shape [5], got [4]"},
        {Aspect::DType,
         [](Device d) {
           F::linear(zeros({2, 4}, d), zeros({5, 4}, d, DType::BF16));
         },
         "matmul: b must be f32, got bf16; cast it first"},
        {Aspect::DType,
         [](Device d) {
           F::linear(zeros({2, 4}, d, DType::I64), zeros({5, 4}, d, DType::I64));
         },
         "matmul: a must be floating-point, got i64; cast it first"},
        {Aspect::Device,
         [](Device d) {
           F::linear(zeros({2, 4}, d), zeros({5, 4}, Device::cpu()));
         },
         "matmul: b is on cpu, expected cuda:0; move it with to(device)"},
    });

const Op kBiasAdd("bias_add",
                  [](const Inputs& in, const Params&) { return Outputs{F::bias_add(in[0], in[1])}; });
const OpErrors kBiasAddErrors("bias_add",
                              {
                                  {Aspect::Rank, [](Device d) { F::bias_add(zeros({}, d), zeros({3}, d)); },
                                   "bias_add: x must have a channel axis (rank 2 or more), got shape []"},
                                  {Aspect::Shape,
                                   [](Device d) {
                                     F::bias_add(zeros({2, 4}, d), zeros({3}, d));
                                   },
                                   "bias_add: bias must have shape [4], got [3]"},
                                  {Aspect::DType,
                                   [](Device d) {
                                     F::bias_add(zeros({2, 3}, d), zeros({3}, d, DType::BF16));
                                   },
                                   "bias_add: bias must be f32, got bf16; cast it first"},
                                  {Aspect::Device,
                                   [](Device d) {
                                     F::bias_add(zeros({2, 3}, d), zeros({3}, Device::cpu()));
                                   },
                                   "bias_add: bias is on cpu, expected cuda:0; move it with to(device)"},
                              });

}  // namespace
}  // namespace dlcuda::testing
