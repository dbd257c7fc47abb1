// A profile as a Chrome trace. Process 1 is the host, with a row for each thread; process 100 + i is CUDA
// device i, with a row for each stream.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "dlcuda/core/check.h"
#include "dlcuda/core/file.h"
#include "dlcuda/core/profile_recording.h"

namespace dlcuda {
namespace profile_detail {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kHost = 1, kFirstDevice = 100;

double microseconds(std::int64_t nanoseconds) { return double(nanoseconds) / 1e3; }

int process_of(Device device) { return device.is_cpu() ? kHost : kFirstDevice + device.index; }

std::string shape_text(const TensorView& view) {
  return fmt::format("[{}]", fmt::join(view.shape, view.shape + view.rank, ", "));
}

/// The arguments of a call, from its text: "x.raw(), optional_view(bias), {1, 2}" are three.
std::vector<std::string> split_arguments(std::string_view text) {
  std::vector<std::string> result(1);
  int depth = 0;
  for (const char c : text) {
    if (c == '(' || c == '{') ++depth;
    if (c == ')' || c == '}') --depth;
    if (c == ',' && depth == 0) {
      result.emplace_back();
    } else if (c != ' ' && c != '\n') {
      result.back() += c;
    }
  }
  return result;
}

/// The tensor in an argument's text: "out.y.raw()" is out.y, "along_axis(x, 1)" is x.
std::string tensor_name(std::string argument) {
  constexpr std::string_view kRaw = ".raw()";
  if (const auto raw = argument.find(kRaw); raw != std::string::npos) argument.erase(raw);
  if (const auto open = argument.rfind('('); open != std::string::npos) argument.erase(0, open + 1);
  return argument.substr(0, argument.find_first_of(",)"));
}

Json arguments_of(const Record& record, std::span<const Argument> all) {
  Json result = Json::object();
  if (!record.is_op) {
    if (*record.detail != '\0') result["detail"] = record.detail;
    return result;
  }
  const auto own = all.subspan(record.first_argument, record.argument_count);
  const auto names = split_arguments(record.detail);
  Json tensors = Json::object();
  for (const Argument& argument : own) {
    const auto position = std::size_t(argument.position);
    std::string key = position < names.size() ? tensor_name(names[position]) : "";
    while (tensors.contains(key)) key += "'";  // another tensor of the same struct
    tensors[key] = shape_text(argument.view);
  }
  if (!own.empty()) {
    result["tensors"] = std::move(tensors);
    result["dtype"] = to_string(own.front().view.dtype);
  }
  result["device"] = to_string(record.device);
  result["bytes"] = record.bytes;
  if (record.flops > 0) result["flops"] = record.flops;
  return result;
}

class TraceWriter {
 public:
  std::string write(const Recording& recording) {
    name_row("process_name", kHost, 0, "host");
    int thread = 0;
    for (const auto& log : recording.logs) write_thread(*log, ++thread);
    for (const auto& [device, number] : rows_) {
      name_row("process_name", process_of(device.first), 0, to_string(device.first));
      name_row("thread_name", process_of(device.first), number, fmt::format("stream {}", number));
    }
    return fmt::format("{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}\n]}}\n",
                       fmt::join(events_, ",\n"));
  }

 private:
  using Row = std::pair<Device, void*>;  // a stream
  struct RowOrder {
    bool operator()(const Row& a, const Row& b) const {
      return std::pair(a.first.index, a.second) < std::pair(b.first.index, b.second);
    }
  };

  void add(const Json& event) {
    events_.push_back(event.dump(-1, ' ', false, Json::error_handler_t::replace));
  }

  void name_row(const char* what, int process, int thread, const std::string& name) {
    add({{"ph", "M"}, {"name", what}, {"pid", process}, {"tid", thread}, {"args", {{"name", name}}}});
  }

  void add_slice(const Record& record, const Span& span, int process, int thread, Json arguments) {
    add({{"ph", "X"},
         {"name", record.name},
         {"cat", to_string(record.phase)},
         {"ts", microseconds(span.begin)},
         {"dur", microseconds(span.end - span.begin)},
         {"pid", process},
         {"tid", thread},
         {"args", std::move(arguments)}});
  }

  int row_of(const Record& op) {
    return rows_.try_emplace({op.device, op.stream.native()}, int(rows_.size()) + 1).first->second;
  }

  void write_thread(const ThreadLog& log, int thread) {
    name_row("thread_name", kHost, thread, log.name);
    // On a stream a range lasts from the first of its operations there to the last. It comes before them: of
    // slices with the same times, the first one is taken for the outer one.
    std::map<std::pair<std::uint32_t, int>, Span> device_ranges;
    for (const Record& record : log.records) {
      if (!record.on_device) continue;
      const int row = row_of(record);
      devices_.try_emplace(row, record.device);
      for (auto around = record.parent; around != kNone; around = log.records[around].parent) {
        Span& span = device_ranges.try_emplace({around, row}, *record.on_device).first->second;
        span = {std::min(span.begin, record.on_device->begin), std::max(span.end, record.on_device->end)};
      }
    }
    for (const auto& [key, span] : device_ranges) {
      const Record& range = log.records[key.first];
      add_slice(range, span, process_of(devices_.at(key.second)), key.second,
                arguments_of(range, log.arguments));
    }
    for (const Record& record : log.records) {
      const Json arguments = arguments_of(record, log.arguments);
      add_slice(record, record.host, kHost, thread, arguments);
      if (record.on_device) {
        add_slice(record, *record.on_device, process_of(record.device), row_of(record), arguments);
      }
    }
    for (const MemorySample& sample : log.memory) {
      add({{"ph", "C"},
           {"name", to_string(sample.device) + " active bytes"},
           {"ts", microseconds(sample.time)},
           {"pid", kHost},
           {"args", {{"active", sample.active}}}});
    }
  }

  std::vector<std::string> events_;
  std::map<Row, int, RowOrder> rows_;
  std::map<int, Device> devices_;  // of the rows
};

}  // namespace
}  // namespace profile_detail

using namespace profile_detail;

std::string Profile::chrome_trace() const { return TraceWriter().write(stopped()); }

void Profile::write_chrome_trace(const std::filesystem::path& path) const {
  const std::string text = chrome_trace();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

std::vector<ProfileTotal> Profile::totals() const {
  std::map<std::tuple<std::string, ProfilePhase, DeviceType>, ProfileTotal> sums;
  for (const auto& log : stopped().logs) {
    for (const Record& record : log->records) {
      if (!record.is_op) continue;
      const DeviceType device = record.device.type;
      ProfileTotal& sum = sums.try_emplace({record.name, record.phase, device},
                                           ProfileTotal{record.name, record.phase, device})
                              .first->second;
      // Without a time on its device it was not finished, or the device has failed.
      const Span span = record.on_device ? *record.on_device : record.device.is_cpu() ? record.host : Span{};
      ++sum.calls;
      sum.milliseconds += double(span.end - span.begin) / 1e6;
      sum.flops += record.flops;
      sum.bytes += record.bytes;
    }
  }
  std::vector<ProfileTotal> result;
  for (auto& [key, sum] : sums) result.push_back(std::move(sum));
  std::stable_sort(result.begin(), result.end(),
                   [](const auto& a, const auto& b) { return a.milliseconds > b.milliseconds; });
  return result;
}

std::string Profile::table() const {
  const auto rows = totals();
  double all = 0;
  for (const ProfileTotal& row : rows) all += row.milliseconds;
  std::string text = fmt::format("{:<40} {:>7} {:>10} {:>7} {:>9} {:>8}\n", "operation", "calls", "total ms",
                                 "share", "GFLOP/s", "GB/s");
  for (const ProfileTotal& row : rows) {
    std::string name = row.name;
    if (row.phase != ProfilePhase::Forward) name += fmt::format(" ({})", to_string(row.phase));
    const auto per_second = [&](double amount) {
      const bool known = amount > 0 && row.milliseconds > 0;
      return known ? fmt::format("{:.1f}", amount / row.milliseconds / 1e6) : std::string("-");
    };
    text +=
        fmt::format("{:<40} {:>7} {:>10.3f} {:>6.1f}% {:>9} {:>8}\n", name, row.calls, row.milliseconds,
                    all > 0 ? 100 * row.milliseconds / all : 0, per_second(row.flops), per_second(row.bytes));
  }
  const double whole = double(recording_->whole.end - recording_->whole.begin) / 1e6;
  return text + fmt::format("operations {:.3f} ms, recorded for {:.3f} ms\n", all, whole);
}

}  // namespace dlcuda
