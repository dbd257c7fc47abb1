#include "dlcuda/train/memory_timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <numeric>
#include <span>
#include <utility>

#include "dlcuda/core/file.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/train/svg.h"

namespace dlcuda {
namespace {

constexpr double kWidth = 1000, kHeight = 452;
constexpr double kLeft = 84, kRight = 690, kTop = 72, kBottom = 376;  // of the plot area
constexpr double kStrip = 20;                                         // the phases, right below it
constexpr double kLegend = 724, kLegendEnd = kWidth - 28, kLegendStep = 20;
constexpr double kLetter = 6.9;  // about the width of a letter at 12 px
constexpr std::size_t kNamed = 12;
constexpr std::size_t kMostColumns = 1200;
constexpr double kMiB = 1 << 20;
// What is reserved is drawn up to here times the peak; beyond it the layers would be squeezed flat.
constexpr double kMostHeadroom = 1.6;

constexpr std::array<const char*, kNamed> kColours{"#2563eb", "#ea580c", "#16a34a", "#9333ea",
                                                   "#eab308", "#0891b2", "#dc2626", "#84cc16",
                                                   "#db2777", "#92400e", "#60a5fa", "#5eead4"};
constexpr const char* kOthersColour = "#9ca3af";

constexpr const char* kStyles =
    R"(  .reserved { fill: none; stroke: #111827; stroke-width: 1.5; stroke-dasharray: 6 4; }
  .peak { fill: #111827; } .phase { fill: #f3f4f6; } .edge { stroke: #ffffff; stroke-width: 2; }
)";
constexpr const char* kDarkStyles =
    R"(    .reserved { stroke: #f1f5f9; } .peak { fill: #f1f5f9; } .phase { fill: #1e293b; } .edge { stroke: #0f172a; }
)";

/// The state of an allocator while a trace goes on.
class Replay {
 public:
  explicit Replay(const MemoryTrace& trace) : reserved_(trace.reserved_at_start) {
    for (const auto& [tag, bytes] : trace.held_at_start) {
      const std::uint32_t id = MemoryTag(tag).id();
      extremes_[id] = {bytes, bytes};
      change(id, bytes);
    }
  }
  /// True when active bytes changed.
  bool apply(const MemoryEvent& event) {
    switch (event.kind) {
      case MemoryEvent::Kind::Allocate:
        change(event.tag, event.bytes);
        return true;
      case MemoryEvent::Kind::Free:
        change(event.tag, 0 - event.bytes);
        return true;
      case MemoryEvent::Kind::SegmentAcquire:
        reserved_ += event.bytes;
        return false;
      case MemoryEvent::Kind::SegmentRelease:
        reserved_ -= event.bytes;
        return false;
      case MemoryEvent::Kind::Defer:
        break;
    }
    return false;
  }
  std::size_t active() const { return active_; }
  std::size_t reserved() const { return reserved_; }
  // Tag ids come in the model's order.
  const std::map<std::uint32_t, std::size_t>& by_tag() const { return by_tag_; }
  /// Whether a tag's bytes stay about the same all the time.
  bool steady(std::uint32_t tag) const {
    const Extremes& extremes = extremes_.at(tag);
    return extremes.least >= extremes.most - extremes.most / 10;
  }

 private:
  struct Extremes {
    std::size_t least, most;
  };

  void change(std::uint32_t tag, std::size_t by) {  // a decrease wraps round
    const std::size_t bytes = by_tag_[tag] += by;
    active_ += by;
    Extremes& extremes = extremes_[tag];  // of a tag that held nothing at the start: from 0
    extremes = {std::min(extremes.least, bytes), std::max(extremes.most, bytes)};
  }

  std::map<std::uint32_t, std::size_t> by_tag_;
  std::map<std::uint32_t, Extremes> extremes_;
  std::size_t active_ = 0, reserved_ = 0;
};

struct Group {
  std::string name;
  std::string colour;
  std::size_t at_peak = 0;
};

/// What there is to draw. Moment 0 is the start of the trace, moment i what the i-th allocation or free left.
struct Series {
  std::vector<Group> groups;                   // from the bottom to the top of the stack
  std::vector<std::vector<std::size_t>> rows;  // of each column: bytes by group, at its highest moment
  std::vector<std::size_t> reserved;           // of each column
  std::size_t moments = 1;
  std::size_t peak_moment = 0, peak_column = 0;
  std::size_t peak = 0, reserved_at_peak = 0;
  std::vector<std::size_t> phase_moments;

  std::size_t column_of(std::size_t moment) const {
    return moment * std::min(moments, kMostColumns) / moments;
  }
};

// A tag has the same colour in every picture, unless two of one picture would want the same.
void colour(std::vector<Group>& groups) {
  std::array<bool, kColours.size()> taken{};
  for (Group& group : groups) {
    std::uint32_t hash = 2166136261u;  // FNV-1a
    for (const char c : group.name) hash = (hash ^ std::uint8_t(c)) * 16777619u;
    std::size_t at = hash % kColours.size();
    while (taken[at]) at = (at + 1) % kColours.size();
    taken[at] = true;
    group.colour = kColours[at];
  }
}

/// The twelve largest at the peak, and one for all others. Returns which group a tag is in; others are in
/// none.
std::map<std::uint32_t, std::size_t> name_groups(Series& series, const Replay& whole,
                                                 std::map<std::uint32_t, std::size_t> at_peak) {
  for (const auto& [tag, bytes] : whole.by_tag()) at_peak.try_emplace(tag, 0);  // came after the peak
  std::vector<std::pair<std::uint32_t, std::size_t>> largest(at_peak.begin(), at_peak.end());
  std::stable_sort(largest.begin(), largest.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  largest.resize(std::min(largest.size(), kNamed));
  // What is steady lies at the bottom, so that it does not ride on what is not; then in the model's order.
  std::sort(largest.begin(), largest.end(), [&](const auto& a, const auto& b) {
    return std::pair(!whole.steady(a.first), a.first) < std::pair(!whole.steady(b.first), b.first);
  });
  std::map<std::uint32_t, std::size_t> group_of;
  std::size_t rest = series.peak;
  for (const auto& [tag, bytes] : largest) {
    group_of[tag] = series.groups.size();
    series.groups.push_back({MemoryTag::from_id(tag).name(), {}, bytes});
    rest -= bytes;
  }
  colour(series.groups);
  if (at_peak.size() > largest.size()) {
    series.groups.push_back({fmt::format("{} others", at_peak.size() - largest.size()), kOthersColour, rest});
  }
  return group_of;
}

void fill_rows(Series& series, const MemoryTrace& trace,
               const std::map<std::uint32_t, std::size_t>& group_of) {
  const std::size_t columns = series.column_of(series.moments - 1) + 1;
  series.rows.resize(columns);
  series.reserved.resize(columns);
  std::vector<std::size_t> highest(columns, 0);
  Replay state(trace);
  std::size_t moment = 0;
  const auto enter = [&] {
    const std::size_t column = series.column_of(moment);
    series.reserved[column] = std::max(series.reserved[column], state.reserved());
    auto& row = series.rows[column];
    if (!row.empty() && state.active() <= highest[column]) return;
    highest[column] = state.active();
    row.assign(series.groups.size(), 0);
    for (const auto& [tag, bytes] : state.by_tag()) {
      const auto found = group_of.find(tag);
      row[found != group_of.end() ? found->second : group_of.size()] += bytes;
    }
  };
  enter();
  for (const MemoryEvent& event : trace.events) {
    if (state.apply(event)) ++moment;
    enter();
  }
}

Series series_of(const MemoryTrace& trace, const std::vector<MemoryPhase>& phases) {
  Series series;
  series.phase_moments.assign(phases.size(), 0);
  Replay state(trace);
  std::map<std::uint32_t, std::size_t> at_peak = state.by_tag();
  series.peak = state.active();
  series.reserved_at_peak = state.reserved();
  for (const MemoryEvent& event : trace.events) {
    if (state.apply(event)) ++series.moments;
    if (state.active() > series.peak) {
      series.peak = state.active();
      series.reserved_at_peak = state.reserved();
      series.peak_moment = series.moments - 1;
      at_peak = state.by_tag();
    }
    const auto time = trace.began + std::chrono::nanoseconds(event.time_ns);
    for (std::size_t i = 0; i < phases.size(); ++i) {
      if (time < phases[i].begins) series.phase_moments[i] = series.moments - 1;
    }
  }
  series.peak_column = series.column_of(series.peak_moment);
  fill_rows(series, trace, name_groups(series, state, std::move(at_peak)));
  return series;
}

class TimelineDrawing {
 public:
  TimelineDrawing(const Series& series, const std::vector<MemoryPhase>& phases)
      : series_(series), phases_(phases) {
    const double peak = std::max(double(series.peak), 1.0);
    const double highest = reserved_fits() ? std::max(most_reserved(), peak) : peak;
    step_ = svg::nice_step(highest / kMiB, 6) * kMiB;
    // Room above the highest line, so that it is not taken for the frame.
    high_ = std::max(step_, (std::floor(highest / step_ + 0.05) + 1) * step_);
  }

  std::string draw() {
    draw_frame();
    draw_stack();
    draw_reserved();
    draw_events();
    draw_phases();
    draw_peak();
    draw_legend();
    return canvas_.take();
  }

 private:
  double x(double moment) const { return kLeft + moment / double(series_.moments) * (kRight - kLeft); }
  double x_of_column(std::size_t column) const {
    return kLeft + double(column) / double(series_.rows.size()) * (kRight - kLeft);
  }
  double most_reserved() const {
    return double(*std::max_element(series_.reserved.begin(), series_.reserved.end()));
  }
  bool reserved_fits() const { return most_reserved() <= kMostHeadroom * double(series_.peak); }
  double y(double bytes) const { return kBottom - bytes / high_ * (kBottom - kTop); }

  void draw_frame() {
    const int ticks = int(high_ / step_ + 0.5), digits = svg::digits_for(step_ / kMiB);
    for (int i = 0; i <= ticks; ++i) {
      const double value = i * step_;
      canvas_.line(i == 0 ? "axis" : "grid", kLeft, y(value), kRight, y(value));
      canvas_.text("text", "end", kLeft - 8, y(value) + 4, fmt::format("{:.{}f} MiB", value / kMiB, digits));
    }
  }

  /// The upper edge of the stack's first `count` groups as steps, from the left or from the right.
  std::vector<std::array<double, 2>> edge(std::size_t count) const {
    std::vector<std::array<double, 2>> points;
    double last = -1;
    for (std::size_t column = 0; column < series_.rows.size(); ++column) {
      const auto& row = series_.rows[column];
      const double height =
          y(double(std::accumulate(row.begin(), row.begin() + std::ptrdiff_t(count), std::size_t(0))));
      if (height == last) continue;
      if (!points.empty()) points.push_back({x_of_column(column), last});
      points.push_back({x_of_column(column), height});
      last = height;
    }
    points.push_back({kRight, last});
    return points;
  }

  static void append(std::string& path, char command, const std::array<double, 2>& point) {
    fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", command, point[0], point[1]);
  }

  void draw_stack() {
    auto lower = edge(0);
    for (std::size_t i = 0; i < series_.groups.size(); ++i) {
      const Group& group = series_.groups[i];
      const auto upper = edge(i + 1);
      std::string path;
      for (const auto& point : upper) append(path, path.empty() ? 'M' : 'L', point);
      for (std::size_t p = lower.size(); p-- > 0;) append(path, 'L', lower[p]);
      canvas_.raw(fmt::format("<path fill=\"{}\" d=\"{}Z\"><title>{}</title></path>\n", group.colour, path,
                              svg::escape(group.name)));
      lower = upper;
    }
  }

  void draw_reserved() {
    if (!reserved_fits()) return;
    std::string path;
    for (std::size_t column = 0; column < series_.reserved.size(); ++column) {
      const double height = y(double(series_.reserved[column]));
      append(path, path.empty() ? 'M' : 'L', {x_of_column(column), height});
      append(path, 'L', {x_of_column(column + 1), height});
    }
    canvas_.raw(fmt::format("<path class=\"reserved\" d=\"{}\"/>\n", path));
  }

  void draw_events() {
    const double step = std::max(1.0, svg::nice_step(double(series_.moments), 8));
    for (double moment = 0; moment < double(series_.moments); moment += step) {
      canvas_.line("axis", x(moment), kBottom + kStrip, x(moment), kBottom + kStrip + 4);
      canvas_.text("text", "middle", x(moment), kBottom + kStrip + 18, fmt::format("{:.0f}", moment));
    }
    canvas_.text("text", "middle", (kLeft + kRight) / 2, kHeight - 14, "allocations and frees, in order");
  }

  void draw_phases() {
    canvas_.rect("phase", kLeft, kBottom + 1, kRight - kLeft, kStrip - 1);
    for (std::size_t i = 0; i < phases_.size(); ++i) {
      const double from = x(double(series_.phase_moments[i]));
      const double to = i + 1 < phases_.size() ? x(double(series_.phase_moments[i + 1])) : kRight;
      if (i > 0) {
        canvas_.line("mark", from, kTop, from, kBottom);
        canvas_.line("edge", from, kBottom + 1, from, kBottom + kStrip);
      }
      const double letters = kLetter * double(phases_[i].name.size());
      if (to - from > letters) {
        canvas_.text("text", "middle", (from + to) / 2, kBottom + kStrip - 6, phases_[i].name);
      }
    }
  }

  void draw_peak() {
    const double at = (x_of_column(series_.peak_column) + x_of_column(series_.peak_column + 1)) / 2;
    const std::string words = fmt::format("peak {}", format_bytes(series_.peak));
    const double half = kLetter * double(words.size()) / 2;
    canvas_.line("mark", at, kTop - 4, at, y(double(series_.peak)));
    canvas_.raw(fmt::format("<circle class=\"peak\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"/>\n", at,
                            y(double(series_.peak))));
    canvas_.text("name", "middle", std::clamp(at, kLeft + half, kRight - half), kTop - 10, words);
  }

  void legend_row(std::string name, std::size_t bytes) {
    const std::string value = format_bytes(bytes);
    // The end of a long name tells more than its beginning.
    const auto room = std::size_t((kLegendEnd - kLegend - 26) / kLetter) - value.size() - 1;
    if (name.size() > room) name = "\u2026" + name.substr(name.size() - (room - 1));
    canvas_.text("text", "start", kLegend + 20, legend_y_, name);
    canvas_.text("text", "end", kLegendEnd, legend_y_, value);
    legend_y_ += kLegendStep;
  }

  void draw_legend() {
    legend_y_ = kTop - 10;
    canvas_.text("name", "start", kLegend, legend_y_, "at the peak");
    legend_y_ += kLegendStep + 4;
    std::vector<const Group*> groups;
    for (const Group& group : series_.groups) groups.push_back(&group);
    const auto named =
        groups.begin() + std::ptrdiff_t(std::min(groups.size(), kNamed));  // the others stay last
    std::stable_sort(groups.begin(), named,
                     [](const Group* a, const Group* b) { return a->at_peak > b->at_peak; });
    for (const Group* group : groups) {
      canvas_.raw(
          fmt::format("<rect fill=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"12\" rx=\"2\"/>\n",
                      group->colour, kLegend, legend_y_ - 10));
      legend_row(group->name, group->at_peak);
    }
    legend_y_ += 4;
    legend_row("active", series_.peak);
    if (reserved_fits()) canvas_.line("reserved", kLegend, legend_y_ - 4, kLegend + 14, legend_y_ - 4);
    legend_row(reserved_fits() ? "reserved" : "reserved (not drawn)", series_.reserved_at_peak);
  }

  const Series& series_;
  const std::vector<MemoryPhase>& phases_;
  double step_ = 0, high_ = 0;  // of the vertical axis, in bytes
  double legend_y_ = 0;
  svg::Canvas canvas_;
};

}  // namespace

std::string draw_memory_timeline(const std::string& title, const MemoryTrace& trace,
                                 const std::vector<MemoryPhase>& phases) {
  std::string whole = title;
  if (trace.dropped != 0) whole += fmt::format(" (the last {} events are missing)", trace.dropped);
  return svg::open(kWidth, kHeight, kLeft, whole, kStyles, kDarkStyles) +
         TimelineDrawing(series_of(trace, phases), phases).draw() + "</svg>\n";
}

MemoryTimelineRecorder::MemoryTimelineRecorder(Device device, std::string title, std::filesystem::path file)
    : device_(device), title_(std::move(title)), file_(std::move(file)) {}

MemoryTimelineRecorder::~MemoryTimelineRecorder() {
  if (recording_) allocator_for(device_).stop_trace();
}

void MemoryTimelineRecorder::begin() {
  allocator_for(device_).start_trace();
  recording_ = true;
}

void MemoryTimelineRecorder::phase(std::string_view name) {
  if (!recording_) return;
  phases_.push_back({std::string(name), std::chrono::steady_clock::now()});
}

void MemoryTimelineRecorder::finish() {
  recording_ = false;
  const std::string picture = draw_memory_timeline(title_, allocator_for(device_).stop_trace(), phases_);
  AtomicFile file(file_);
  file.write(std::as_bytes(std::span(picture)));
  file.commit();
}

}  // namespace dlcuda
