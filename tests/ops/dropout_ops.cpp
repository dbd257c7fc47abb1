#include "dlcuda/kernels/dropout.h"
#include "dlcuda/layers/functional/dropout.h"
#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

namespace F = functional;

using Function = Tensor (*)(const Tensor&, double, bool, kernels::Generator&);

/// The call `ordinal` of step `step`. The key of the dropout domain is the seed itself.
Outputs run(Function function, const Inputs& in, const Params& p) {
  kernels::Generator generator(p.get<std::uint64_t>("seed"), RandomDomain::Dropout, in[0].device());
  for (std::int64_t i = 0; i < p.integer("step"); ++i) generator.advance_step();
  for (std::int64_t i = 0; i < p.integer("ordinal"); ++i) (void)generator.next_call();
  return {function(in[0], p.number("p"), true, generator)};
}

kernels::DropoutParams params(Device device, double p) {
  return {.p = p, .call = {.key = 1, .ordinal = 0, .step = Tensor::zeros({1}, DType::I64, device)}};
}

const Op kDropout("dropout", [](const Inputs& in, const Params& p) { return run(F::dropout, in, p); });
const OpErrors kDropoutErrors(
    "dropout",
    {
        anything_goes(Aspect::Rank, "element-wise"),
        {Aspect::Shape,
         [](Device d) {
           kernels::dropout(zeros({2, 4, 2, 2}, d).channel_slice(0, 2), params(d, 0.5));
         },
         "dropout: x of shape [2, 2, 2, 2] is a slice; take kernels::contiguous() of it first"},
        {Aspect::DType, [](Device d) { kernels::dropout(zeros({2}, d, DType::I32), params(d, 0.5)); },
         "dropout: x must be floating-point, got i32; cast it first"},
        {Aspect::Device, [](Device d) { kernels::dropout(zeros({2}, d), params(Device::cpu(), 0.5)); },
         "dropout: call.step is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument, [](Device d) { kernels::dropout(zeros({2}, d), params(d, 1.5)); },
         "dropout: p must be a probability, got 1.5"},
    });

const Op kChannelDropout("channel_dropout",
                         [](const Inputs& in, const Params& p) { return run(F::channel_dropout, in, p); });
const OpErrors kChannelDropoutErrors(
    "channel_dropout",
    {
        {Aspect::Rank, [](Device d) { kernels::channel_dropout(zeros({3}, d), params(d, 0.5)); },
         "channel_dropout: x must be (N, C, ...), got shape [3]"},
        {Aspect::Shape,
         [](Device d) {
           kernels::channel_dropout(zeros({2, 4, 2, 2}, d).channel_slice(0, 2), params(d, 0.5));
         },
         "channel_dropout: x of shape [2, 2, 2, 2] is a slice; take kernels::contiguous() of it first"},
        {Aspect::DType,
         [](Device d) {
           kernels::channel_dropout(zeros({2, 2}, d, DType::I32), params(d, 0.5));
         },
         "channel_dropout: x must be floating-point, got i32; cast it first"},
        {Aspect::Device,
         [](Device d) {
           kernels::channel_dropout(zeros({2, 2}, d), params(Device::cpu(), 0.5));
         },
         "channel_dropout: call.step is on cpu, expected cuda:0; move it with to(device)"},
        {Aspect::Argument,
         [](Device d) {
           kernels::channel_dropout(zeros({2, 2}, d), params(d, -0.5));
         },
         "channel_dropout: p must be a probability, got -0.5"},
    });

}  // namespace
}  // namespace dlcuda::testing
