#include <fmt/format.h>

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
using Kernel = Tensor (*)(const Tensor&, const kernels::DropoutParams&);

/// What all of them refuse in the same way.
ErrorCase refuses_slices(const std::string& op, Kernel kernel) {
  return {Aspect::Shape,
          [kernel](Device d) {
            kernel(zeros({2, 4, 2, 2}, d).channel_slice(0, 2), params(d, 0.5));
          },
          op + ": x of shape [2, 2, 2, 2] is a slice; take kernels::contiguous() of it first"};
}
ErrorCase refuses_integers(const std::string& op, Kernel kernel) {
  return {Aspect::DType,
          [kernel](Device d) {
            kernel(zeros({2, 2}, d, DType::I32), params(d, 0.5));
          },
          op + ": x must be floating-point, got i32; cast it first"};
}
ErrorCase refuses_another_device(const std::string& op, Kernel kernel) {
  return {Aspect::Device,
          [kernel](Device d) {
            kernel(zeros({2, 2}, d), params(Device::cpu(), 0.5));
          },
          op + ": call.step is on cpu, expected cuda:0; move it with to(device)"};
}
ErrorCase refuses_no_probability(const std::string& op, Kernel kernel, double p) {
  return {Aspect::Argument,
          [kernel, p](Device d) {
            kernel(zeros({2, 2}, d), params(d, p));
          },
          fmt::format("{}: p must be a probability, got {}", op, p)};
}
ErrorCase refuses_rank(const std::string& op, Kernel kernel, const Shape& shape, const std::string& wanted) {
  return {Aspect::Rank, [kernel, shape](Device d) { kernel(zeros(shape, d), params(d, 0.5)); },
          fmt::format("{}: x must be {}, got shape {}", op, wanted, to_string(shape))};
}

const OpErrors kDropoutErrors("dropout", {anything_goes(Aspect::Rank, "element-wise"),
                                          refuses_slices("dropout", kernels::dropout),
                                          refuses_integers("dropout", kernels::dropout),
                                          refuses_another_device("dropout", kernels::dropout),
                                          refuses_no_probability("dropout", kernels::dropout, 1.5)});

const Op kChannelDropout("channel_dropout",
                         [](const Inputs& in, const Params& p) { return run(F::channel_dropout, in, p); });
const OpErrors kChannelDropoutErrors(
    "channel_dropout", {refuses_rank("channel_dropout", kernels::channel_dropout, Shape{3}, "(N, C, ...)"),
                        refuses_slices("channel_dropout", kernels::channel_dropout),
                        refuses_integers("channel_dropout", kernels::channel_dropout),
                        refuses_another_device("channel_dropout", kernels::channel_dropout),
                        refuses_no_probability("channel_dropout", kernels::channel_dropout, -0.5)});

const Op kSampleDropout("sample_dropout",
                        [](const Inputs& in, const Params& p) { return run(F::sample_dropout, in, p); });
const OpErrors kSampleDropoutErrors(
    "sample_dropout", {refuses_rank("sample_dropout", kernels::sample_dropout, Shape{}, "(N, ...)"),
                       refuses_slices("sample_dropout", kernels::sample_dropout),
                       refuses_integers("sample_dropout", kernels::sample_dropout),
                       refuses_another_device("sample_dropout", kernels::sample_dropout),
                       refuses_no_probability("sample_dropout", kernels::sample_dropout, 1.01)});

}  // namespace
}  // namespace dlcuda::testing
