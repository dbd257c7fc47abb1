// zoo_exchange MODEL IN OUT SAVED [--train]: what a model of the zoo computes, for torchvision_check.py.
//
// SAVED: the state of a new model, as programs save it. IN: another state ("weights/NAME"), images "x0" and
// "x1", and the labels of x0. OUT: "initial_logits" of the new model for x0; and with the weights of IN
// "logits0", "logits1", and "channels_last0" for x0 in that format; then, with dropout off and in inference
// mode, or in training mode with --train, the gradients of the cross-entropy of x0: "grad/x", "grad/NAME",
// and the buffers as they are then: "after/NAME"; and with the weights of IN again, for x0, "bf16" in that
// precision and "folded" with the batch norms folded into their convolutions. "googlenet_auxiliary" is
// GoogLeNet with its auxiliary classifiers, whose losses count in training.
#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/models/googlenet/googlenet.h"
#include "dlcuda/models/zoo.h"

namespace {

using namespace dlcuda;

std::unique_ptr<Module> make(const std::string& name) {
  if (name != "googlenet_auxiliary") return make_model(name);
  return std::make_unique<GoogLeNet>(GoogLeNetConfig{.auxiliary = true});
}

void switch_off_dropout(const Module& module) {
  for (const auto& [name, child] : module.children()) {
    if (dynamic_cast<Dropout*>(child) || dynamic_cast<StochasticDepth*>(child)) child->eval();
    switch_off_dropout(*child);
  }
}

Tensor loss_of(Module& model, const Tensor& x, const Tensor& labels) {
  if (auto* const googlenet = dynamic_cast<GoogLeNet*>(&model)) return googlenet->loss(x, labels);
  return functional::cross_entropy(model(x), labels);
}

void run(const std::string& name, const char* in_path, const char* out_path, const char* saved_path,
         bool train) {
  const SafetensorsFile in(in_path);
  NamedTensors out;
  NamedTensors state;
  const std::string prefix = "weights/";
  for (const std::string& entry : in.names()) {
    if (entry.starts_with(prefix)) state.emplace_back(entry.substr(prefix.size()), in.tensor(entry));
  }
  const auto model = make(name);
  model->eval();
  {
    const autograd::NoGrad no_grad;
    save_safetensors(saved_path, model->state_dict());
    out.emplace_back("initial_logits", (*model)(in.tensor("x0")));
    model->load_state_dict(state);
    out.emplace_back("logits0", (*model)(in.tensor("x0")));
    out.emplace_back("logits1", (*model)(in.tensor("x1")));
    out.emplace_back("channels_last0",
                     (*model)(kernels::to_format(in.tensor("x0"), MemoryFormat::ChannelsLast)));
  }
  model->train(train);
  switch_off_dropout(*model);
  Tensor x = in.tensor("x0");
  x.set_requires_grad();
  loss_of(*model, x, in.tensor("labels")).backward();
  out.emplace_back("grad/x", x.grad());
  for (const auto& [parameter, tensor] : model->parameters()) {
    if (tensor.grad().defined()) out.emplace_back("grad/" + parameter, tensor.grad());
  }
  for (const auto& [buffer, tensor] : model->buffers()) out.emplace_back("after/" + buffer, tensor.clone());

  const autograd::NoGrad no_grad;
  model->eval();
  model->load_state_dict(state);
  model->to(DType::BF16);
  const Tensor bf16 = (*model)(kernels::cast(in.tensor("x0"), DType::BF16));
  out.emplace_back("bf16", kernels::cast(bf16, DType::F32));
  model->to(DType::F32);
  model->load_state_dict(state);
  fold_batch_norm(*model);
  out.emplace_back("folded", (*model)(in.tensor("x0")));
  save_safetensors(out_path, out);
}

}  // namespace

int main(int argc, char** argv) {
  const bool train = argc == 6 && std::string(argv[5]) == "--train";
  if (argc != 5 && !train) {
    std::fprintf(stderr,
                 "usage: zoo_exchange MODEL IN.safetensors OUT.safetensors SAVED.safetensors [--train]\n");
    return 2;
  }
  try {
    run(argv[1], argv[2], argv[3], argv[4], train);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "zoo_exchange: %s: %s\n", argv[1], error.what());
    return 1;
  }
}
