#include "dlcuda/core/autograd.h"

#include <algorithm>
#include <atomic>
#include <queue>
#include <unordered_map>

#include "dlcuda/core/backward.h"
#include "dlcuda/core/capture.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/core/profile.h"

namespace dlcuda::kernels {
// The calls from core up into kernels: sums of gradients, and the first one. Returns into + x, in place when
// `into` is not shared.
Tensor sum_gradients(Tensor into, const Tensor& x);
void accumulate(Tensor& into, const Tensor& x);
void fill(Tensor& x, double value);
}  // namespace dlcuda::kernels

namespace dlcuda::autograd {
namespace {

thread_local bool enabled = true;
thread_local std::uint64_t current_stamp = 0;
thread_local bool accumulating = false;  // in the backward() at hand
std::atomic<std::uint64_t> stamps{0};
std::atomic<std::uint64_t> sequences{0};

}  // namespace

/// Where the gradient of one input goes: to the node that computed it, or to a leaf.
struct Edge {
  std::shared_ptr<Node> node;
  Tensor leaf;
};

class Node {
 public:
  Node(const char* name, const Tensor& output, std::vector<Edge> edges, std::uint32_t needed, bool in_parts,
       BackwardFunction backward)
      : name_(name),
        sequence_(++sequences),
        shape_(output.shape()),
        dtype_(output.dtype()),
        edges_(std::move(edges)),
        needed_(needed),
        in_parts_(in_parts),
        tag_(current_memory_tag()),
        backward_(std::move(backward)) {}

  // A chain of nodes is taken apart with a list of its own: the default destructor would recurse once a node.
  ~Node() { release(); }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void release() {
    backward_ = nullptr;
    std::vector<Edge> pending = std::move(edges_);
    edges_.clear();
    while (!pending.empty()) {
      const Edge edge = std::move(pending.back());
      pending.pop_back();
      if (edge.node && edge.node.use_count() == 1) {
        auto& inner = edge.node->edges_;
        pending.insert(pending.end(), std::make_move_iterator(inner.begin()),
                       std::make_move_iterator(inner.end()));
        inner.clear();
      }
    }
  }

  const char* name() const { return name_; }
  std::uint64_t sequence() const { return sequence_; }
  const std::vector<Edge>& edges() const { return edges_; }
  bool freed() const { return backward_ == nullptr; }
  /// Whether it takes a gradient in two parts.
  bool in_parts() const { return in_parts_; }

  std::vector<Tensor> run(const Tensor& grad, const Tensor& more) const {
    const MemoryTagScope scope(tag_);
    const ProfileRange range([&] {
      return ProfileRange::Name{fmt::format("{} backward", tag_ != MemoryTag() ? tag_.name() : name_), name_};
    });
    auto gradients = backward_(BackwardContext{grad, more, needed_});
    DLCUDA_CHECK(gradients.size() == edges_.size(), Error, "{}: backward gave {} gradients for {} inputs",
                 name_, gradients.size(), edges_.size());
    return gradients;
  }

  void check_gradient(const Tensor& grad) const {
    DLCUDA_CHECK(grad.shape() == shape_, ShapeError,
                 "gradient for the output of {}: expected shape {}, got {}", name_, to_string(shape_),
                 to_string(grad.shape()));
    DLCUDA_CHECK(grad.dtype() == dtype_, DTypeError, "gradient for the output of {}: expected {}, got {}",
                 name_, to_string(dtype_), to_string(grad.dtype()));
  }

 private:
  const char* name_;
  std::uint64_t sequence_;
  Shape shape_;
  DType dtype_;
  std::vector<Edge> edges_;
  std::uint32_t needed_;
  bool in_parts_;
  MemoryTag tag_;  // of the layer that made it: what its backward pass allocates is the layer's, too
  BackwardFunction backward_;
};

namespace {

/// Before the gradient of a leaf is written. Whether it adds, and to what, is settled once.
void note_leaf(capture::Recording& recording, const Tensor& leaf, bool adds) {
  Meta& meta = leaf.meta();
  if (!recording.touch(&meta)) return;
  recording.undo.push_back([leaf, grad = meta.grad, stamp = meta.grad_stamp] {
    leaf.meta().grad = grad;
    leaf.meta().grad_stamp = stamp;
  });
  if (accumulating) {
    const void* buffer = adds ? meta.grad.data() : nullptr;
    recording.guards.push_back([leaf, adds, buffer] {
      const Meta& now = leaf.meta();
      const bool would_add = now.grad_stamp == current_stamp && now.grad.defined();
      return would_add == adds && (!adds || now.grad.data() == buffer);
    });
  }
}

void write_leaf(const Tensor& leaf, Tensor grad) {
  Meta& meta = leaf.meta();
  DLCUDA_CHECK(grad.shape() == leaf.shape(), ShapeError, "gradient of a leaf: expected shape {}, got {}",
               to_string(leaf.shape()), to_string(grad.shape()));
  DLCUDA_CHECK(grad.dtype() == leaf.dtype(), DTypeError, "gradient of a leaf: expected {}, got {}",
               to_string(leaf.dtype()), to_string(grad.dtype()));
  const bool adds = meta.grad_stamp == current_stamp && meta.grad.defined();
  if (capture::Recording* recording = capture::recording()) {
    note_leaf(*recording, leaf, adds);
    // Whoever replays shares the buffer; it stays the same one all the same.
    if (adds) kernels::accumulate(meta.grad, grad);
  } else if (adds) {
    meta.grad = kernels::sum_gradients(std::move(meta.grad), grad);
  }
  if (!adds) {
    // The first write of a step takes the buffer over: nothing is cleared and nothing copied, unless it is
    // shared.
    meta.grad = grad.unique() ? std::move(grad) : grad.clone();
  }
  meta.grad_stamp = current_stamp;
  if (capture::Recording* recording = capture::recording()) {
    recording->after_replay.push_back([leaf, written = meta.grad] {
      leaf.meta().grad = written;
      leaf.meta().grad_stamp = current_stamp;
    });
  }
}

// What the step before wrote is of no use any more once this step computes the same gradient. It goes first,
// so that the new one takes its place: there are never two of them, and no gradient wanders through memory. A
// recording has memory of its own, and may yet have to undo what it changes.
void drop_old_gradients(const Node& node) {
  if (capture::recording() != nullptr) return;
  for (const Edge& edge : node.edges()) {
    if (edge.leaf.defined() && edge.leaf.meta().grad_stamp != current_stamp) edge.leaf.meta().grad = Tensor();
  }
}

/// Gradients on their way, newest node first.
class PendingGradients {
 public:
  void add(const std::shared_ptr<Node>& node, Tensor grad) {
    DLCUDA_CHECK(
        !node->freed(), Error,
        "{}: backward through a graph that was freed by an earlier backward(); compute the loss again",
        node->name());
    node->check_gradient(grad);
    const auto [entry, fresh] = gradients_.try_emplace(node.get());
    Parts& parts = entry->second;
    if (fresh) {
      parts.grad = std::move(grad);
      order_.push({node->sequence(), node});
    } else if (node->in_parts() && !parts.more.defined()) {
      parts.more = std::move(grad);
    } else {
      parts.grad = kernels::sum_gradients(std::move(parts.grad), grad);
    }
  }

  bool empty() const { return order_.empty(); }

  /// A gradient, or what it is the sum of.
  struct Parts {
    Tensor grad, more;
  };
  std::pair<std::shared_ptr<Node>, Parts> take_newest() {
    auto node = order_.top().second;
    order_.pop();
    auto found = gradients_.find(node.get());
    Parts parts = std::move(found->second);
    gradients_.erase(found);
    return {std::move(node), std::move(parts)};
  }

 private:
  using Entry = std::pair<std::uint64_t, std::shared_ptr<Node>>;
  std::unordered_map<const Node*, Parts> gradients_;
  std::priority_queue<Entry> order_;
};

}  // namespace

bool grad_enabled() { return enabled; }
NoGrad::NoGrad() : previous_(enabled) { enabled = false; }
NoGrad::~NoGrad() { enabled = previous_; }

std::uint64_t latest_stamp() { return stamps.load(); }
void end_step() { current_stamp = ++stamps; }

bool any_requires_grad(std::initializer_list<Tensor> inputs) {
  return any_requires_grad(std::span(inputs.begin(), inputs.size()));
}

bool any_requires_grad(std::span<const Tensor> inputs) {
  return enabled && std::any_of(inputs.begin(), inputs.end(),
                                [](const Tensor& input) { return input.defined() && input.requires_grad(); });
}

namespace {

Tensor record_node(const char* name, Tensor output, std::span<const Tensor> inputs, bool in_parts,
                   BackwardFunction backward) {
  if (!any_requires_grad(inputs)) return output;
  DLCUDA_CHECK(inputs.size() <= kMaxInputs, Error, "{}: a node has at most {} inputs, got {}", name,
               kMaxInputs, inputs.size());
  std::vector<Edge> edges;
  edges.reserve(inputs.size());
  std::uint32_t needed = 0;
  for (const Tensor& input : inputs) {
    Edge edge;
    if (input.defined() && input.requires_grad()) {
      needed |= 1u << edges.size();
      if (input.meta().node) {
        edge.node = input.meta().node;
      } else {
        edge.leaf = input;
      }
    }
    edges.push_back(std::move(edge));
  }
  Meta& meta = output.meta();
  meta.requires_grad = true;
  meta.node = std::make_shared<Node>(name, output, std::move(edges), needed, in_parts, std::move(backward));
  return output;
}

}  // namespace

Tensor record(const char* name, Tensor output, std::initializer_list<Tensor> inputs,
              BackwardFunction backward) {
  return record(name, std::move(output), std::span(inputs.begin(), inputs.size()), std::move(backward));
}

Tensor record(const char* name, Tensor output, std::span<const Tensor> inputs, BackwardFunction backward) {
  return record_node(name, std::move(output), inputs, false, std::move(backward));
}

Tensor record_in_parts(const char* name, Tensor output, std::initializer_list<Tensor> inputs,
                       BackwardFunction backward) {
  return record_node(name, std::move(output), std::span(inputs.begin(), inputs.size()), true,
                     std::move(backward));
}

Saved::Saved(const Tensor& tensor) : tensor_(tensor.defined() ? tensor.detach() : tensor) {
  if (tensor_.defined()) version_ = tensor_.version();
}

const Tensor& Saved::get() const {
  DLCUDA_CHECK(
      !tensor_.defined() || tensor_.version() == version_, Error,
      "a tensor of shape {} that the backward pass needs was changed in place after the forward pass "
      "(version {}, saved at {}): change a clone() instead",
      to_string(tensor_.shape()), tensor_.version(), version_);
  return tensor_;
}

}  // namespace dlcuda::autograd

namespace dlcuda {

namespace autograd {
namespace {

void check_root(const Tensor& root) {
  DLCUDA_CHECK(root.requires_grad(), Error,
               "backward: this tensor was not computed from any leaf that requires a gradient, or was "
               "computed under NoGrad");
}

/// gradient: of the root; undefined: 1.
void run_backward(const Tensor& root, Tensor gradient, GradientMode mode) {
  if (mode == GradientMode::Overwrite || current_stamp == 0) {
    current_stamp = ++stamps;
    if (capture::Recording* recording = capture::recording()) {
      recording->after_replay.push_back([] { current_stamp = ++stamps; });
    }
  }
  accumulating = mode == GradientMode::Accumulate;

  NoGrad no_grad;
  const ProfileRange range("backward", ProfilePhase::Backward);
  if (!gradient.defined()) {
    gradient = Tensor::empty(root.shape(), root.dtype(), root.device());
    kernels::fill(gradient, 1);
  }
  if (!root.meta().node) {
    write_leaf(root, std::move(gradient));
    return;
  }
  PendingGradients pending;
  pending.add(root.meta().node, std::move(gradient));
  while (!pending.empty()) {
    auto [node, parts] = pending.take_newest();
    drop_old_gradients(*node);
    auto gradients = node->run(parts.grad, parts.more);
    parts = {};
    const auto& edges = node->edges();
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (!edges[i].node && !edges[i].leaf.defined()) continue;
      if (!gradients[i].defined()) continue;
      if (edges[i].node) {
        pending.add(edges[i].node, std::move(gradients[i]));
      } else {
        write_leaf(edges[i].leaf, std::move(gradients[i]));
      }
    }
    node->release();
  }
}

}  // namespace

void backward(const Tensor& root, const Tensor& gradient, GradientMode mode) {
  check_root(root);
  DLCUDA_CHECK(gradient.defined() && gradient.shape() == root.shape(), ShapeError,
               "backward: the gradient must have the tensor's shape {}, got {}", to_string(root.shape()),
               gradient.defined() ? to_string(gradient.shape()) : "an undefined tensor");
  DLCUDA_CHECK(gradient.dtype() == root.dtype(), DTypeError,
               "backward: the gradient must be {} like the tensor, got {}", to_string(root.dtype()),
               to_string(gradient.dtype()));
  DLCUDA_CHECK(gradient.device() == root.device(), DeviceError,
               "backward: the gradient is on {}, the tensor on {}; move one with to(device)",
               to_string(gradient.device()), to_string(root.device()));
  run_backward(root, gradient.detach(), mode);
}

}  // namespace autograd

void Tensor::backward(GradientMode mode) const {
  autograd::check_root(*this);
  DLCUDA_CHECK(numel() == 1, ShapeError, "backward: expected a scalar, got shape {}; reduce it first",
               to_string(shape()));
  DLCUDA_CHECK(dtype() == DType::F32 || dtype() == DType::F64, DTypeError,
               "backward: expected f32 or f64, got {}", to_string(dtype()));
  autograd::run_backward(*this, Tensor(), mode);
}

}  // namespace dlcuda
