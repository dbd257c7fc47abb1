#include "dlcuda/kernels/matmul.h"
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

const Op kMatmul("matmul", [](const Inputs& in, const Params&) { return Outputs{F::matmul(in[0], in[1])}; });
const OpErrors kMatmulErrors(
    "matmul", {
                  {Aspect::Rank,
                   [](Device d) {
                     F::matmul(zeros({2}, d), zeros({2, 3}, d));
                   },
                   "matmul: a must be a matrix or a batch of them (rank 2 or 3), got shape [2]"},
                  {Aspect::Rank,
                   [](Device d) {
                     F::matmul(zeros({2, 3}, d), zeros({4, 3, 2}, d));
                   },
                   "matmul: a [2, 3] and b [4, 3, 2] are not as many matrices"},
                  {Aspect::Shape,
                   [](Device d) {
                     F::matmul(zeros({2, 3}, d), zeros({2, 3}, d));
                   },
                   "matmul: a [2, 3] has 3 columns, b [2, 3] has 2 rows"},
                  {Aspect::Shape,
                   [](Device d) {
                     F::matmul(zeros({5, 2, 3}, d), zeros({4, 3, 2}, d));
                   },
                   "matmul: a [5, 2, 3] and b [4, 3, 2] are not as many matrices"},
                  {Aspect::DType,
                   [](Device d) {
                     F::matmul(zeros({2, 3}, d), zeros({3, 2}, d, DType::F16));
                   },
                   "matmul: b must be f32, got f16; cast it first"},
                  {Aspect::Device,
                   [](Device d) {
                     F::matmul(zeros({2, 3}, d), zeros({3, 2}, Device::cpu()));
                   },
                   "matmul: b is on cpu, expected cuda:0; move it with to(device)"},
                  {Aspect::Argument,
                   [](Device d) {
                     kernels::matmul(zeros({4, 2, 3}, d), zeros({2, 3}, d), {}, {.transpose_a = true});
                   },
                   "matmul: a [4, 2, 3] (transposed) needs a b for each of its matrices, got [2, 3]"},
              });

const Op kGram("gram_matrix", [](const Inputs& in, const Params&) { return Outputs{F::gram_matrix(in[0])}; });
const OpErrors kGramErrors(
    "gram_matrix",
    {
        {Aspect::Rank, [](Device d) { F::gram_matrix(zeros({2}, d)); },
         "gram_matrix: x must be (N, C, ...), got shape [2]"},
        {Aspect::Shape,
         [](Device d) {
           F::gram_matrix(zeros({2, 4, 2, 2}, d).channel_slice(0, 2));
         },
         "gram_matrix: x of shape [2, 2, 2, 2] is a slice; take kernels::contiguous() of it first"},
        {Aspect::DType,
         [](Device d) {
           F::gram_matrix(zeros({2, 3}, d, DType::I64));
         },
         "gram_matrix: x must be floating-point, got i64; cast it first"},
        {Aspect::Device,
         [](Device d) {
           kernels::gram_matrix_backward(zeros({2, 3, 3}, Device::cpu()), zeros({2, 3}, d));
         },
         "gram_matrix_backward: dy is on cpu, expected cuda:0; move it with to(device)"},
    });

}  // namespace
}  // namespace dlcuda::testing
