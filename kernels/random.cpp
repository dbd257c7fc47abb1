#include "dlcuda/kernels/random.h"

#include <map>
#include <memory>
#include <mutex>

#include "dlcuda/core/capture.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

constexpr std::uint64_t kDefaultSeed = 0;

/// All generators of the process, so that one call seeds them. Kept reachable and never destroyed: device
/// memory may be gone when static objects are.
struct Registry {
  std::mutex mutex;
  std::uint64_t seed = kDefaultSeed;
  std::map<std::pair<DeviceType, int>, std::unique_ptr<Generator>> dropout;
  std::unique_ptr<Generator> weights;
};

Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

void check(const char* op, const Tensor& x, const RandomCall& call) {
  require_floating(op, "x", x);
  require_dense(op, "x", x);
  DLCUDA_CHECK(x.dtype() == DType::F32 || x.dtype() == DType::F64, DTypeError,
               "{}: x must be f32 or f64, got {}", op, to_string(x.dtype()));
  require_dtype(op, "call.step", call.step, DType::I64);
  require_device(op, "call.step", call.step, x.device());
}

}  // namespace

Generator::Generator(std::uint64_t seed, RandomDomain domain, Device device)
    : seed_(seed), domain_(domain), step_(Tensor::zeros(Shape{1}, DType::I64, device)) {}

// A recording holds the ordinals that it was made with.
void Generator::set_ordinal(std::uint32_t ordinal) {
  if (capture::Recording* recording = capture::recording()) {
    if (recording->touch(this)) {
      recording->guards.push_back(
          [this, before = ordinal_, seed = seed_] { return ordinal_ == before && seed_ == seed; });
      recording->undo.push_back([this, before = ordinal_] { ordinal_ = before; });
    }
    recording->after_replay.push_back([this, ordinal] { ordinal_ = ordinal; });
  }
  ordinal_ = ordinal;
}

RandomCall Generator::next_call() {
  const RandomCall call{random_key(seed_, domain_), ordinal_, step_};
  set_ordinal(ordinal_ + 1);
  return call;
}

void Generator::advance_step() {
  advance_counter(step_);
  set_ordinal(0);
}

void Generator::end_step() {
  if (ordinal_ != 0) advance_step();
}

void Generator::reseed(std::uint64_t seed) {
  seed_ = seed;
  ordinal_ = 0;
  step_.zero();
}

Generator& dropout_generator(Device device) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  if (capture::Planning* plan = capture::planning()) {
    auto& object = plan->objects["dropout generator of " + to_string(device)];
    if (!object) object = std::make_shared<Generator>(all.seed, RandomDomain::Dropout, device);
    return *static_cast<Generator*>(object.get());
  }
  auto& generator = all.dropout[{device.type, device.index}];
  if (!generator) generator = std::make_unique<Generator>(all.seed, RandomDomain::Dropout, device);
  return *generator;
}

Generator& weight_generator() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  if (capture::Planning* plan = capture::planning()) {
    auto& object = plan->objects["weight generator"];
    if (!object) object = std::make_shared<Generator>(all.seed, RandomDomain::InitialWeights, Device::cpu());
    return *static_cast<Generator*>(object.get());
  }
  if (!all.weights) {
    all.weights = std::make_unique<Generator>(all.seed, RandomDomain::InitialWeights, Device::cpu());
  }
  return *all.weights;
}

void manual_seed(std::uint64_t seed) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.seed = seed;
  for (auto& [device, generator] : all.dropout) generator->reseed(seed);
  if (all.weights) all.weights->reseed(seed);
}

void fill_uniform(Tensor& x, double low, double high, const RandomCall& call) {
  check("fill_uniform", x, call);
  DLCUDA_DISPATCH_LOOPS(x.device(), fill_uniform, x.raw(), low, high, call);
  x.bump_version();
}

void fill_normal(Tensor& x, double mean, double deviation, const RandomCall& call) {
  check("fill_normal", x, call);
  DLCUDA_CHECK(deviation >= 0, ArgumentError, "fill_normal: the deviation must not be negative, got {}",
               deviation);
  DLCUDA_DISPATCH_LOOPS(x.device(), fill_normal, x.raw(), mean, deviation, call);
  x.bump_version();
}

}  // namespace dlcuda::kernels
