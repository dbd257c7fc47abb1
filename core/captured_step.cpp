#include "dlcuda/core/captured_step.h"

#include <algorithm>
#include <utility>

#include "dlcuda/core/capture.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/graph.h"
#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/pool.h"
#include "dlcuda/core/profile_recording.h"
#include "dlcuda/core/stream.h"

namespace dlcuda {
namespace {

/// What must agree for a recording to serve.
struct Layout {
  Shape shape;
  DType dtype;
  MemoryFormat format;
  bool of(const Tensor& tensor) const {
    return dtype == tensor.dtype() && format == tensor.format() && shape == tensor.shape();
  }
};

std::vector<Layout> layouts_of(const std::vector<Tensor>& inputs) {
  std::vector<Layout> result;
  result.reserve(inputs.size());
  for (const Tensor& input : inputs) result.push_back({input.shape(), input.dtype(), input.format()});
  return result;
}

/// Recordings for the same shapes that may wait for their host state (gradients that are written or added to)
/// to come round again.
constexpr std::size_t kMostVariants = 4;

/// Recordings in a row for shapes that had one already, with no replay between them, after which the host
/// state is taken never to come round: recording costs more than running, and its memory is new each time.
constexpr int kMostInVain = 4 * static_cast<int>(kMostVariants);

/// A step for one set of layouts.
class Plan {
 public:
  Plan(Device device, std::vector<Layout> layouts)
      : device_(device), layouts_(std::move(layouts)), stream_(device) {}
  ~Plan() { forget(); }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  bool serves(const std::vector<Tensor>& inputs) const {
    return std::equal(layouts_.begin(), layouts_.end(), inputs.begin(), inputs.end(),
                      [](const Layout& layout, const Tensor& input) { return layout.of(input); });
  }
  bool ready() const { return recording_ != nullptr; }
  bool valid() const {
    if (!(current_stream(device_) == stream_)) return false;
    for (const auto& guard : recording_->guards) {
      if (!guard()) return false;
    }
    return true;
  }
  std::size_t launches() const { return launches_; }
  const std::vector<Tensor>& outputs() const { return outputs_; }

  void record(const CapturedStep::Function& function, const std::vector<Tensor>& inputs);
  void replay(const std::vector<Tensor>& inputs);
  void forget() noexcept;

  bool warm = false;  ///< has run before

 private:
  void record_graph(const CapturedStep::Function& function, capture::Recording& recording);
  void copy_in(const std::vector<Tensor>& inputs);

  Device device_;
  std::vector<Layout> layouts_;
  // In this order: tensors go before the pool that their memory comes from.
  std::unique_ptr<MemoryPool> pool_;
  std::vector<Tensor> inputs_, outputs_;
  std::unique_ptr<capture::Recording> recording_;
  Stream stream_;  ///< of the caller that recorded: where the memory belongs, and replays run
  void* graph_ = nullptr;
  std::size_t launches_ = 0;
};

void Plan::copy_in(const std::vector<Tensor>& inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs_[i].copy_from(inputs[i]);
}

void Plan::record(const CapturedStep::Function& function, const std::vector<Tensor>& inputs) {
  forget();
  stream_ = current_stream(device_);
  pool_ = std::make_unique<MemoryPool>(allocator_for(device_));
  auto recording = std::make_unique<capture::Recording>(device_);
  try {
    {
      const MemoryPoolScope scope(*pool_, stream_);
      for (const Tensor& input : inputs) inputs_.push_back(Tensor::empty_like(input));
    }
    copy_in(inputs);
    if (device_.is_cuda()) {
      record_graph(function, *recording);
    } else {
      const MemoryPoolScope scope(*pool_, stream_);
      const capture::RecordingScope recording_now(*recording);
      outputs_ = function(inputs_);
      launches_ = recording->calls.size();
    }
  } catch (...) {
    for (auto undo = recording->undo.rbegin(); undo != recording->undo.rend(); ++undo) (*undo)();
    forget();
    throw;
  }
  recording->undo.clear();
  recording_ = std::move(recording);
  if (device_.is_cuda()) {
    cuda::launch_graph(device_.index, graph_, stream_.native());
  } else if (!recording_->refusal.empty()) {
    // The step itself has run all the same.
    const std::string why = recording_->refusal;
    recording_.reset();
    throw capture::Refused(why);
  }
}

void Plan::record_graph(const CapturedStep::Function& function, capture::Recording& recording) {
  const Stream stream = Stream::create(device_);
  // What the pool's memory was used for before is still under way on the caller's stream.
  Event before(device_);
  before.record(stream_);
  before.block(stream);
  const StreamGuard guard(stream);
  const MemoryPoolScope scope(*pool_, stream_);
  const capture::RecordingScope recording_now(recording);
  cuda::begin_capture(device_.index, stream.native());
  try {
    outputs_ = function(inputs_);
  } catch (...) {
    cuda::abandon_capture(device_.index, stream.native());
    throw;
  }
  graph_ = cuda::end_capture(device_.index, stream.native(), &launches_);
}

void Plan::replay(const std::vector<Tensor>& inputs) {
  copy_in(inputs);
  profile_detail::ProfileOp op;
  if (profiling()) [[unlikely]]
    op.begin({"captured_step", "", device_}, {});
  if (device_.is_cuda()) {
    cuda::launch_graph(device_.index, graph_, stream_.native());
  } else {
    for (const auto& call : recording_->calls) call();
  }
  for (const auto& change : recording_->after_replay) change();
}

void Plan::forget() noexcept {
  if (graph_ != nullptr) {
    try {
      stream_.synchronize();
    } catch (const Error&) {
      // A lost device runs nothing.
    }
    cuda::destroy_graph(std::exchange(graph_, nullptr));
  }
  recording_.reset();
  inputs_.clear();
  outputs_.clear();
  pool_.reset();
}

}  // namespace

class CapturedStep::Impl {
 public:
  Impl(Device device, Function function) : device_(device), function_(std::move(function)) {}

  const std::vector<Tensor>& run(const std::vector<Tensor>& inputs);

  std::string fallback_reason_;
  Counts counts_;
  std::size_t launches_ = 0;

 private:
  const std::vector<Tensor>& run_eagerly(const std::vector<Tensor>& inputs);
  const std::vector<Tensor>& record(Plan& plan, const std::vector<Tensor>& inputs);
  const std::vector<Tensor>& give_up(std::string reason, const std::vector<Tensor>& inputs);
  Plan& plan_for(const std::vector<Tensor>& inputs);

  Device device_;
  Function function_;
  std::vector<std::unique_ptr<Plan>> plans_;
  std::vector<Tensor> eager_outputs_;
  int in_vain_ = 0;  // recordings since the last replay, of shapes that had one already
};

// A plan whose recording serves; else one without a recording.
Plan& CapturedStep::Impl::plan_for(const std::vector<Tensor>& inputs) {
  std::vector<std::unique_ptr<Plan>*> outdated;
  for (auto& plan : plans_) {
    if (!plan->serves(inputs)) continue;
    if (!plan->ready() || plan->valid()) return *plan;
    outdated.push_back(&plan);
  }
  const bool known = !outdated.empty();
  if (known) ++in_vain_;
  if (outdated.size() == kMostVariants) {
    // The oldest one is recorded anew, and then the newest.
    std::rotate(plans_.begin(), plans_.begin() + (outdated.front() - plans_.data()) + 1, plans_.end());
    plans_.back()->forget();
    return *plans_.back();
  }
  plans_.push_back(std::make_unique<Plan>(device_, layouts_of(inputs)));
  plans_.back()->warm = known;
  return *plans_.back();
}

const std::vector<Tensor>& CapturedStep::Impl::run_eagerly(const std::vector<Tensor>& inputs) {
  ++counts_.eager;
  const std::vector<Tensor> kept = inputs;  // they may be what the last call returned
  eager_outputs_ = {};                      // whose memory serves the step
  eager_outputs_ = function_(kept);
  return eager_outputs_;
}

const std::vector<Tensor>& CapturedStep::Impl::give_up(std::string reason,
                                                       const std::vector<Tensor>& inputs) {
  const std::vector<Tensor> kept = inputs;  // they may be outputs of a recording that goes now
  fallback_reason_ = std::move(reason);
  plans_.clear();
  return run_eagerly(kept);
}

const std::vector<Tensor>& CapturedStep::Impl::record(Plan& plan, const std::vector<Tensor>& inputs) {
  ++counts_.recorded;
  plan.record(function_, inputs);
  launches_ = plan.launches();
  return plan.outputs();
}

const std::vector<Tensor>& CapturedStep::Impl::run(const std::vector<Tensor>& inputs) {
  for (const Tensor& input : inputs) {
    DLCUDA_CHECK(input.device() == device_, DeviceError,
                 "CapturedStep: the step is on {}, an input of shape {} is on {}; move it with to()",
                 to_string(device_), to_string(input.shape()), to_string(input.device()));
  }
  // Inside another step's recording it is a part of that.
  const bool part = capture::recording() != nullptr || capture::planning() != nullptr;
  if (part || !fallback_reason_.empty()) return run_eagerly(inputs);
  Plan& plan = plan_for(inputs);
  if (in_vain_ > kMostInVain) {
    return give_up(fmt::format("{} recordings in a row could not be replayed, because the host's part of the "
                               "state was new at each call: random numbers drawn in the step without "
                               "Generator::advance_step() in it, or gradients that are cleared elsewhere",
                               kMostInVain),
                   inputs);
  }
  if (plan.ready()) {
    in_vain_ = 0;
    ++counts_.replayed;
    plan.replay(inputs);
    launches_ = plan.launches();
    return plan.outputs();
  }
  if (device_.is_cuda() && !std::exchange(plan.warm, true)) return run_eagerly(inputs);
  const std::vector<Tensor> kept = inputs;  // they may be outputs of a recording that goes now
  try {
    return record(plan, kept);
  } catch (const capture::Refused& refused) {
    fallback_reason_ = refused.what();
  } catch (const OutOfMemoryError& error) {
    // As it is, the step has run before; a pool of its own is what it has no room for.
    if (device_.is_cpu()) throw;
    fallback_reason_ = error.what();
  }
  --counts_.recorded;
  if (device_.is_cuda()) return give_up(fallback_reason_, kept);
  ++counts_.eager;  // it ran while it was recorded
  eager_outputs_ = plan.outputs();
  plans_.clear();
  return eager_outputs_;
}

CapturedStep::CapturedStep(Device device, Function function)
    : impl_(std::make_unique<Impl>(device, std::move(function))) {}
CapturedStep::~CapturedStep() = default;

const std::vector<Tensor>& CapturedStep::operator()(const std::vector<Tensor>& inputs) {
  return impl_->run(inputs);
}
const std::string& CapturedStep::fallback_reason() const { return impl_->fallback_reason_; }
const CapturedStep::Counts& CapturedStep::counts() const { return impl_->counts_; }
std::size_t CapturedStep::launches() const { return impl_->launches_; }

}  // namespace dlcuda
