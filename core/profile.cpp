#include "dlcuda/core/profile.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <unordered_set>

#include "dlcuda/core/capture.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/nvtx.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/profile_recording.h"

namespace dlcuda {
namespace profile_detail {
namespace {

unsigned wanted_by_environment() {
  const char* value = std::getenv("DLCUDA_NVTX");
  return value != nullptr && std::string_view(value) == "1" ? kNvtx : 0;
}

/// The recording that runs, for threads that meet it for the first time.
struct Current {
  std::mutex mutex;
  std::shared_ptr<Recording> recording;
  std::uint64_t made = 0;
};
Current& current() {
  static auto* one = new Current;
  return *one;
}
std::atomic<std::uint64_t> current_number{0};  // 0: none

struct ThisThread {
  std::string name;
  ProfilePhase phase = ProfilePhase::Forward;
  std::uint64_t recording_number = 0;
  std::weak_ptr<ThreadLog> log;  // whose profile may be gone
};
ThisThread& this_thread() {
  thread_local ThisThread state;
  return state;
}

std::string default_thread_name() {
  const auto id = ::gettid();
  return id == ::getpid() ? "main thread" : fmt::format("thread {}", id);
}

/// Makes the running recording this thread's; false when there is none.
bool join_recording(ThisThread& self) {
  const std::uint64_t number = current_number.load(std::memory_order_acquire);
  if (number == 0) return false;
  if (self.recording_number == number) return true;
  std::shared_ptr<Recording> recording;
  {
    const std::lock_guard lock(current().mutex);
    recording = current().recording;
  }
  if (!recording) return false;
  const auto log =
      std::make_shared<ThreadLog>(self.name.empty() ? default_thread_name() : self.name, recording->origin);
  {
    const std::lock_guard lock(recording->mutex);
    if (recording->stopped) return false;
    recording->logs.push_back(log);
  }
  self.recording_number = recording->number;
  self.log = log;
  return true;
}

/// Appends a record that is the innermost one from now on; kNone when the recording has ended.
std::uint32_t open(const ThisThread& self, Record record, std::span<const Argument> arguments = {}) {
  const auto log = self.log.lock();
  if (!log) return kNone;
  const std::lock_guard lock(log->mutex);
  if (log->closed) return kNone;
  const auto index = std::uint32_t(log->records.size());
  record.first_argument = std::uint32_t(log->arguments.size());
  record.argument_count = std::uint32_t(arguments.size());
  log->arguments.insert(log->arguments.end(), arguments.begin(), arguments.end());
  record.phase = self.phase;
  record.parent = log->innermost;
  record.host = {log->now(), kOpen};
  log->records.push_back(std::move(record));
  log->innermost = index;
  return index;
}

/// Nothing where the recording has ended meanwhile.
void close(const ThisThread& self, std::uint64_t recording, std::uint32_t index) {
  const auto log = self.log.lock();
  if (!log || self.recording_number != recording) return;
  const std::int64_t now = log->now();
  const std::lock_guard lock(log->mutex);
  if (log->closed) return;
  Record& record = log->records[index];
  record.host.end = now;
  log->innermost = record.parent;
  if (!record.is_op) return;
  if (record.device_begin) {
    Event end(record.device, true);
    end.record(record.stream);
    record.device_end = std::move(end);
  }
  const std::size_t active = allocator_for(record.device).stats().total.active.current;
  if (log->memory.empty() || log->memory.back().active != active ||
      !(log->memory.back().device == record.device)) {
    log->memory.push_back({now, record.device, active});
  }
}

}  // namespace

std::atomic<unsigned> wanted{wanted_by_environment()};

const char* keep_text(std::string_view text) {
  static auto& mutex = *new std::mutex;
  static auto& texts = *new std::unordered_set<std::string>;
  const std::lock_guard lock(mutex);
  return texts.emplace(text).first->c_str();
}

void ProfileOp::begin(const OpInfo& info, std::span<const Argument> arguments) {
  if (const capture::Planning* const plan = capture::planning()) {
    if (plan->on_operation) plan->on_operation(info);
    return;
  }
  begun_ = true;
  cuda::push_range(info.name);
  ThisThread& self = this_thread();
  if (!join_recording(self)) return;
  Record record{.name = info.name, .detail = info.arguments, .is_op = true};
  record.device = info.device;
  record.flops = info.flops;
  record.bytes = info.bytes;
  // An event that a CUDA graph captures belongs to the graph, and has no time.
  if (info.device.is_cuda() && capture::recording() == nullptr) {
    record.stream = current_stream(info.device);
    record.device_begin.emplace(info.device, true);
    record.device_begin->record(record.stream);
  }
  index_ = open(self, std::move(record), arguments);
  if (index_ != kNone) recording_ = self.recording_number;
}

void ProfileOp::end() noexcept {
  cuda::pop_range();
  if (recording_ == 0) return;
  try {
    close(this_thread(), recording_, index_);
  } catch (...) {
    // The device has failed, which the operation itself reports; it stays without a time on the device.
  }
}

}  // namespace profile_detail

using namespace profile_detail;

const char* to_string(ProfilePhase phase) {
  switch (phase) {
    case ProfilePhase::Forward:
      return "forward";
    case ProfilePhase::Backward:
      return "backward";
    case ProfilePhase::Update:
      return "update";
    case ProfilePhase::Data:
      return "data";
  }
  return "?";
}

void name_profile_thread(std::string_view name) { this_thread().name = name; }

void ProfileRange::begin(const char* name, const char* detail, std::optional<ProfilePhase> phase) {
  ThisThread& self = this_thread();
  previous_phase_ = self.phase;
  self.phase = phase.value_or(self.phase);
  begun_ = true;
  cuda::push_range(name);
  if (!join_recording(self)) return;
  index_ = open(self, Record{.name = name, .detail = detail, .is_op = false});
  if (index_ != kNone) recording_ = self.recording_number;
}

void ProfileRange::begin(const Name& name, std::optional<ProfilePhase> phase) {
  begin(keep_text(name.name), keep_text(name.detail), phase);
}

void ProfileRange::end() noexcept {
  cuda::pop_range();
  ThisThread& self = this_thread();
  self.phase = previous_phase_;
  if (recording_ != 0) close(self, recording_, index_);
}

Profile::Profile() : recording_(std::make_shared<Recording>()) {
  const std::lock_guard lock(current().mutex);
  DLCUDA_CHECK(!current().recording, Error,
               "Profile: another one records already; stop it first, there is one at a time");
  recording_->number = ++current().made;
  current().recording = recording_;
  current_number.store(recording_->number, std::memory_order_release);
  wanted.fetch_or(kRecord);
}

namespace {

/// Ends a recording: threads that are in the middle of something find their log closed.
void end_recording(Recording& recording) {
  {
    const std::lock_guard lock(current().mutex);
    wanted.fetch_and(~kRecord);
    current_number.store(0, std::memory_order_release);
    current().recording = nullptr;
  }
  const std::lock_guard lock(recording.mutex);
  recording.stopped = true;
  recording.whole = {0, recording.now()};
  for (const auto& log : recording.logs) {
    const std::lock_guard log_lock(log->mutex);
    log->closed = true;
    for (Record& record : log->records) {
      if (record.host.end == kOpen) record.host.end = recording.whole.end;
    }
  }
}

/// Turns the events of a recording into times. The clocks of host and device are brought together at an event
/// that has just been waited for.
void read_device_times(Recording& recording) {
  struct Anchor {
    Event event;
    std::int64_t time;
  };
  std::vector<std::optional<Anchor>> anchors;
  for (const auto& log : recording.logs) {
    for (const Record& record : log->records) {
      if (record.device_end) record.device_end->synchronize();
    }
  }
  for (const auto& log : recording.logs) {
    for (Record& record : log->records) {
      if (!record.device_end) continue;
      const auto slot = std::size_t(record.device.index);
      if (slot >= anchors.size()) anchors.resize(slot + 1);
      auto& anchor = anchors[slot];
      if (!anchor) {
        anchor.emplace(Anchor{Event(record.device, true), 0});
        anchor->event.record(Stream(record.device));
        anchor->event.synchronize();
        anchor->time = recording.now();
      }
      const auto time_of = [&](const Event& event) {
        return anchor->time - std::int64_t(double(anchor->event.elapsed_ms_since(event)) * 1e6);
      };
      record.on_device = Span{time_of(*record.device_begin), time_of(*record.device_end)};
    }
  }
}

}  // namespace

Profile::~Profile() {
  if (!recording_->stopped) end_recording(*recording_);
}

void Profile::stop() {
  if (recording_->stopped) return;
  end_recording(*recording_);
  read_device_times(*recording_);
}

const Recording& Profile::stopped() const {
  DLCUDA_CHECK(recording_->stopped, Error, "Profile: it still records; call stop() first");
  return *recording_;
}

}  // namespace dlcuda
