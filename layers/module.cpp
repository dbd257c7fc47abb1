#include "dlcuda/layers/module.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/profile.h"
#include "dlcuda/core/text.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/state_loader.h"

namespace dlcuda {
namespace {

thread_local ForwardObserver::Callback forward_callback;

/// "layer1" and "conv1": "layer1.conv1". Of a root's and of an inline child's, one is empty.
std::string join(const std::string& path, const std::string& name) {
  return path.empty() || name.empty() ? path + name : path + "." + name;
}

}  // namespace

/// Calls call(owner, name, tensor, kind) for everything registered, as state_dict orders it: a module's
/// parameters, its buffers, then its children.
template <typename Visit>
void Module::visit(const std::string& prefix, const Visit& call) const {
  for (const Kind kind : {Kind::Parameter, Kind::Buffer}) {
    for (const Entry& entry : tensors_) {
      if (entry.kind == kind) call(*this, prefix + entry.name, *entry.tensor, kind);
    }
  }
  for (const auto& [name, child] : children_) {
    child->visit(name.empty() ? prefix : prefix + name + ".", call);
  }
}

Tensor Module::call_with(Tensor (*forward)(const void* context), const void* context) {
  // The root has no name, but what it allocates between its layers is the model's.
  static const MemoryTag kModel("(model)");
  std::optional<MemoryTagScope> scope;
  if (tag_ != MemoryTag()) {
    scope.emplace(tag_);
  } else if (current_memory_tag() == MemoryTag()) {
    scope.emplace(kModel);
  }
  const ProfileRange range([&] {
    const std::string what = describe();
    return ProfileRange::Name{tag_ != MemoryTag() ? tag_.name() : what, what};
  });
  Tensor y = forward(context);
  if (forward_callback) forward_callback(*this, y);
  return y;
}

ForwardObserver::ForwardObserver(Callback callback) {
  DLCUDA_CHECK(!forward_callback, Error, "forward observer: there is one in this thread already");
  forward_callback = std::move(callback);
}
ForwardObserver::~ForwardObserver() { forward_callback = nullptr; }

NamedTensors Module::parameters() const {
  NamedTensors result;
  std::set<const autograd::Meta*> seen;
  visit("", [&](const Module&, std::string name, const Tensor& tensor, Kind kind) {
    if (kind == Kind::Parameter && seen.insert(&tensor.meta()).second) {
      result.emplace_back(std::move(name), tensor);
    }
  });
  return result;
}

NamedTensors Module::buffers() const {
  NamedTensors result;
  visit("", [&](const Module&, std::string name, const Tensor& tensor, Kind kind) {
    if (kind == Kind::Buffer) result.emplace_back(std::move(name), tensor);
  });
  return result;
}

NamedTensors Module::state_dict() const {
  NamedTensors result;
  visit("", [&](const Module&, std::string name, const Tensor& tensor, Kind) {
    result.emplace_back(std::move(name), tensor.detach());
  });
  return result;
}

LoadReport Module::load_state_dict(const NamedTensors& state, const LoadOptions& options) {
  StateSource source;
  for (const auto& [name, tensor] : state) {
    source.entries.push_back(tensor.defined() ? StateSource::Entry{name, tensor.dtype(), tensor.shape()}
                                              : StateSource::Entry{.name = name, .defined = false});
  }
  source.read = [&](std::size_t i) { return state[i].second.detach(); };
  return load_state(*this, source, options);
}

std::int64_t Module::parameter_count() const {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : parameters()) count += tensor.numel();
  return count;
}

void Module::train(bool training) {
  training_ = training;
  for (const auto& [name, child] : children_) child->train(training);
}

std::size_t Module::mark_trainable(std::string_view pattern, bool trainable) {
  std::vector<std::string> names;
  std::vector<Tensor> matching;
  visit("", [&](const Module&, const std::string& name, const Tensor& tensor, Kind kind) {
    if (kind != Kind::Parameter) return;
    if (matches_pattern(name, pattern)) matching.push_back(tensor);
    names.push_back(name);
  });
  DLCUDA_CHECK(!matching.empty(), ArgumentError, "{}: '{}' matches none of the {} parameters of {}{}",
               trainable ? "unfreeze" : "freeze", pattern, names.size(), describe(),
               did_you_mean_pattern(pattern, names));
  for (Tensor& parameter : matching) parameter.set_requires_grad(trainable);
  return matching.size();
}

/// convert(module, tensor): the tensor that takes its place, or the same handle.
template <typename Convert>
void Module::replace_tensors(const Convert& convert) {
  const autograd::NoGrad no_grad;
  std::map<const autograd::Meta*, Tensor> replaced;
  std::vector<std::pair<Tensor*, Tensor>> changes;
  visit("", [&](const Module& owner, const std::string&, Tensor& tensor, Kind) {
    const auto [entry, fresh] = replaced.try_emplace(&tensor.meta());
    if (fresh) {
      entry->second = convert(owner, tensor);
      if (&entry->second.meta() != &tensor.meta()) entry->second.set_requires_grad(tensor.requires_grad());
    }
    changes.emplace_back(&tensor, entry->second);
  });
  // Nothing has changed if one of them did not fit.
  for (auto& [tensor, value] : changes) *tensor = std::move(value);
}

void Module::to(Device device) {
  replace_tensors([&](const Module&, const Tensor& tensor) { return tensor.to(device); });
}

void Module::to(DType dtype) {
  DLCUDA_CHECK(is_floating_point(dtype), DTypeError,
               "Module::to: parameters are floating-point, expected f32, bf16, f16 or f64, got {}",
               to_string(dtype));
  const bool low = dtype == DType::BF16 || dtype == DType::F16;
  replace_tensors([&](const Module& owner, const Tensor& tensor) {
    if (!is_floating_point(tensor.dtype())) return tensor;
    return kernels::cast(tensor, low && owner.keeps_f32() ? DType::F32 : dtype);
  });
}

void Module::to(MemoryFormat format) {
  replace_tensors([&](const Module& owner, const Tensor& tensor) {
    return tensor.rank() == 4 && owner.takes_any_format() ? kernels::to_format(tensor, format) : tensor;
  });
}

void Module::to(Device device, MemoryFormat pictures) {
  to(device.is_cuda() ? pictures : MemoryFormat::Contiguous);
  to(device);
}

void Module::register_parameter(std::string name, Tensor* parameter) {
  register_tensor(std::move(name), parameter, Kind::Parameter);
  parameter->set_requires_grad();
}

void Module::register_buffer(std::string name, Tensor* buffer) {
  register_tensor(std::move(name), buffer, Kind::Buffer);
}

void Module::register_tensor(std::string name, Tensor* tensor, Kind kind) {
  check_name(name);
  DLCUDA_CHECK(tensor != nullptr && tensor->defined(), ArgumentError,
               "register: '{}' is an undefined tensor; give it its values first, or leave it out", name);
  tensors_.push_back({std::move(name), tensor, kind});
}

void Module::register_module(std::string name, Module* child) {
  check_name(name);
  DLCUDA_CHECK(child != nullptr && child != this, ArgumentError, "register_module: '{}' is {}", name,
               child ? "the module itself" : "a null pointer");
  children_.emplace_back(name, child);
  child->set_tags(name);
}

void Module::register_inline(Module* child) {
  DLCUDA_CHECK(child != nullptr && child != this, ArgumentError, "register_inline: the child is {}",
               child ? "the module itself" : "a null pointer");
  for (const Entry& entry : child->tensors_) check_name(entry.name);
  for (const auto& [name, grandchild] : child->children_) {
    if (!name.empty()) check_name(name);
  }
  children_.emplace_back("", child);
  child->set_tags("");
}

void Module::unregister_module(const std::string& name) {
  const auto removed = std::erase_if(children_, [&](const auto& child) { return child.first == name; });
  DLCUDA_CHECK(removed == 1, ArgumentError, "unregister_module: there is no child '{}' in {}", name,
               describe());
}

bool Module::names(const std::string& name) const {
  return std::any_of(tensors_.begin(), tensors_.end(),
                     [&](const Entry& entry) { return entry.name == name; }) ||
         std::any_of(children_.begin(), children_.end(), [&](const auto& child) {
           return child.first.empty() ? child.second->names(name) : child.first == name;
         });
}

void Module::check_name(const std::string& name) const {
  DLCUDA_CHECK(!name.empty() && name.find('.') == std::string::npos, ArgumentError,
               "register: '{}' cannot name a tensor or child: it is {}", name,
               name.empty() ? "empty" : "joined to others by dots, and must not hold one");
  DLCUDA_CHECK(!names(name), ArgumentError, "register: the name '{}' is taken in this module", name);
}

void Module::set_tags(const std::string& path) {
  tag_ = path.empty() ? MemoryTag() : MemoryTag(path);
  for (const auto& [name, child] : children_) child->set_tags(join(path, name));
}

}  // namespace dlcuda
