#include "proxy/latency_monitor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace rdmakv::proxy {
namespace {

constexpr size_t kColumns = 80;
constexpr int kRows = 4;
constexpr std::string_view kFill = "_o#";

std::string age(int64_t seconds) {
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m", seconds / 60);
  if (seconds < 86400) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86400);
}

struct Column {
  int height;  // in steps, kFill.size() of them a row
  std::string label;
};

// The rows of columns from top to bottom, a blank line, the labels downwards.
void draw_columns(const std::vector<Column>& columns, size_t begin, size_t end, std::string& text) {
  const auto steps = static_cast<int>(kFill.size());
  for (int row = kRows - 1; row >= 0; --row) {
    for (size_t i = begin; i < end; ++i) {
      const int above = columns[i].height - row * steps;
      text += above < 0 ? ' ' : above < steps ? kFill[static_cast<size_t>(above)] : '|';
    }
    text += '\n';
  }
  text.append(end - begin, ' ').append("\n");
  size_t longest = 0;
  for (size_t i = begin; i < end; ++i) longest = std::max(longest, columns[i].label.size());
  for (size_t line = 0; line < longest; ++line) {
    for (size_t i = begin; i < end; ++i) {
      text += line < columns[i].label.size() ? columns[i].label[line] : ' ';
    }
    text += '\n';
  }
}

struct Summary {
  double average = 0, deviation = 0, period = 0;
};

Summary summarize(const LatencyEvent& event, int64_t now_s) {
  Summary summary;
  const auto count = static_cast<double>(event.samples.size());
  for (const LatencySample& sample : event.samples) summary.average += sample.milliseconds / count;
  summary.average = std::floor(summary.average);
  for (const LatencySample& sample : event.samples) {
    summary.deviation += std::abs(sample.milliseconds - summary.average) / count;
  }
  summary.period = static_cast<double>(now_s - event.samples.front().time_s) / count;
  return summary;
}

}  // namespace

void LatencyMonitor::add(std::string_view event, int64_t time_s, uint32_t milliseconds) {
  const std::lock_guard lock(mutex_);
  auto found = series_.find(event);
  if (found == series_.end()) found = series_.emplace(event, Series{}).first;
  Series& series = found->second;
  series.highest = std::max(series.highest, milliseconds);
  if (!series.samples.empty() && series.samples.back().time_s == time_s) {
    uint32_t& latest = series.samples.back().milliseconds;
    latest = std::max(latest, milliseconds);
    return;
  }
  series.samples.push_back({time_s, milliseconds});
  if (series.samples.size() > kMostSamples) series.samples.pop_front();
}

std::vector<LatencyEvent> LatencyMonitor::events() const {
  const std::lock_guard lock(mutex_);
  std::vector<LatencyEvent> events;
  for (const auto& [name, series] : series_) {
    events.push_back({name, {series.samples.begin(), series.samples.end()}, series.highest});
  }
  return events;
}

LatencyEvent LatencyMonitor::event(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = series_.find(name);
  if (found == series_.end()) return {std::string(name), {}, 0};
  const Series& series = found->second;
  return {found->first, {series.samples.begin(), series.samples.end()}, series.highest};
}

size_t LatencyMonitor::reset(const std::vector<std::string_view>& names) {
  const std::lock_guard lock(mutex_);
  if (names.empty()) {
    const size_t count = series_.size();
    series_.clear();
    return count;
  }
  size_t count = 0;
  for (const std::string_view name : names) {
    const auto found = series_.find(name);
    if (found == series_.end()) continue;
    series_.erase(found);
    ++count;
  }
  return count;
}

std::string draw_latency(const LatencyEvent& event, int64_t now_s) {
  uint32_t low = UINT32_MAX, high = 0;
  for (const LatencySample& sample : event.samples) {
    low = std::min(low, sample.milliseconds);
    high = std::max(high, sample.milliseconds);
  }
  const int steps = kRows * static_cast<int>(kFill.size());
  const double range = high == low ? 1 : high - low;
  std::vector<Column> columns;
  for (const LatencySample& sample : event.samples) {
    const int height = static_cast<int>((sample.milliseconds - low) * steps / range);
    columns.push_back({std::min(height, steps - 1), age(now_s - sample.time_s)});
  }
  std::string text = fmt::format("{} - high {} ms, low {} ms (all time high {} ms)\n", event.name,
                                 high, low, event.highest);
  text.append(kColumns, '-').append("\n");
  for (size_t begin = 0; begin < columns.size(); begin += kColumns) {
    if (begin > 0) text += '\n';
    draw_columns(columns, begin, std::min(begin + kColumns, columns.size()), text);
  }
  return text;
}

std::string diagnose_latency(const std::vector<LatencyEvent>& events, uint64_t threshold_ms,
                             int64_t now_s) {
  if (events.empty() && threshold_ms == 0) {
    return "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis "
           "instance. You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in "
           "order to enable it. If we weren't in a deep space mission I'd suggest to take a look "
           "at https://redis.io/topics/latency-monitor.\n";
  }
  if (events.empty()) {
    return "Dave, no latency spike was observed during the lifetime of this Redis instance, not in "
           "the slightest bit. I honestly think you ought to sit down calmly, take a stress pill, "
           "and think things over.\n";
  }
  std::string text =
      "Dave, I have observed latency spikes in this Redis instance. You don't mind talking about "
      "it, do you Dave?\n\n";
  for (size_t i = 0; i < events.size(); ++i) {
    const LatencyEvent& event = events[i];
    const Summary summary = summarize(event, now_s);
    text += fmt::format(
        "{}. {}: {} latency spikes (average {:.0f}ms, mean deviation {:.0f}ms, period {:.2f} "
        "sec). Worst all time event {}ms.\n",
        i + 1, event.name, event.samples.size(), summary.average, summary.deviation, summary.period,
        event.highest);
  }
  text +=
      "\nI have a few advices for you:\n\n"
      "- Check your Slow Log to understand what are the commands you are running which are too "
      "slow to execute. Please check https://redis.io/commands/slowlog for more information.\n"
      "- Look at `# Backends` of INFO: a server that is away or slow makes its own keys slow.\n";
  return text;
}

}  // namespace rdmakv::proxy
