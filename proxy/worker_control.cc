// Worker: what applies to all its connections and changes now and then: users, CLIENT PAUSE,
// MONITOR, settings, the noting of slow commands.
#include <algorithm>
#include <chrono>

#include "protocol/kv_hash.h"
#include "proxy/command_log.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

// Who sets slowlog-log-slower-than lower than it is by itself wants to see arguments, also when
// keeping them costs something.
constexpr int64_t kUsualSlowLogUs = 10'000;

int64_t wall_clock_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Of a command whose arguments are gone, what its operation still has: the key and the value. The
// others are counted.
void tell_arguments(const Request& request, std::vector<std::string>& arguments) {
  if (request.kept_arguments() != nullptr) {
    arguments = *request.kept_arguments();
    return;
  }
  size_t count = 0;
  const auto add = [&](std::string_view argument) {
    if (count == arguments.size()) arguments.emplace_back();
    arguments[count++] = argument;
  };
  for (std::string_view name = request.command().name; !name.empty();) {
    const std::string_view word = name.substr(0, name.find('|'));
    add(word);
    name.remove_prefix(std::min(word.size() + 1, name.size()));
  }
  const Operation& operation = request.operation;
  if (request.command().first_key != 0 && request.fanout == nullptr && !operation.key.empty()) {
    add(cut_argument(operation.key));
    if (!operation.input.empty() && request.command().value_argument == 2) {
      add(cut_argument(
          {reinterpret_cast<const char*>(operation.input.data()), operation.input.size()}));
    }
  }
  if (request.argument_count() > count) {
    add("... (" + std::to_string(request.argument_count() - count) + " more arguments)");
  }
  arguments.resize(count);
}

}  // namespace

// ---- users and settings ------------------------------------------------------------------------

void Worker::refresh_users() {
  default_user_ = proxy_.access().default_user();
  for (Connection& connection : connections_) {
    if (!connection.closed()) connection.refresh_user();
  }
}

void Worker::apply_settings() {
  const Settings& now = settings();
  const int64_t slow_log_us = now.slow_log_us;
  const uint64_t latency_ms = now.latency_threshold_ms;
  notable_us_ = slow_log_us < 0 ? UINT64_MAX : static_cast<uint64_t>(slow_log_us);
  if (latency_ms > 0) notable_us_ = std::min(notable_us_, latency_ms * 1000);
  if (now.latency_tracking) notable_us_ = 0;
  traced_ = slow_log_us >= 0 && slow_log_us < kUsualSlowLogUs;
  for (Connection& connection : connections_) {
    if (!connection.closed()) connection.update_guards();
  }
  // `timeout` may count from now on.
  arm_tick();
}

bool Worker::go_together(std::string_view a, std::string_view b) const {
  return settings().transactions_per_worker ? client_->same_worker(a, b)
                                            : wire::hash_slot(a) == wire::hash_slot(b);
}

// ---- slow commands -----------------------------------------------------------------------------

void Worker::note_slow(const Connection& connection, const Request& request, uint64_t elapsed_us) {
  const Settings& now = settings();
  const Command& command = request.command();
  if (now.latency_tracking) stats_.commands[command.index].record_latency(elapsed_us);
  const uint64_t threshold_ms = now.latency_threshold_ms;
  if (threshold_ms > 0 && elapsed_us / 1000 >= threshold_ms) {
    const auto milliseconds =
        static_cast<uint32_t>(std::min<uint64_t>(elapsed_us / 1000, UINT32_MAX));
    proxy_.latency_monitor().add((command.flags & kFast) != 0 ? "fast-command" : "command",
                                 wall_clock_s(), milliseconds);
  }
  const int64_t slow_us = now.slow_log_us;
  if (slow_us < 0 || elapsed_us < static_cast<uint64_t>(slow_us)) return;
  if ((command.flags & kSkipSlowlog) != 0) return;
  proxy_.slow_log().add(now.slow_log_entries, [&](SlowLogEntry& entry) {
    entry.time_s = wall_clock_s();
    entry.duration_us = elapsed_us;
    tell_arguments(request, entry.arguments);
    entry.address = connection.address();
    entry.client_name = connection.name();
  });
}

// ---- CLIENT PAUSE ------------------------------------------------------------------------------

void Worker::refresh_pause() {
  time_has_passed();
  const uint64_t now = now_us();
  auto [flags, end_us] = proxy_.paused();
  if (end_us <= now) flags = 0;
  paused_flags_ = flags;
  held_flags_ = kRunsAlone | flags;
  event_del(pause_event_.get());
  if (flags != 0) {
    const uint64_t left = end_us - now;
    const timeval wait = {static_cast<time_t>(left / 1'000'000),
                          static_cast<suseconds_t>(left % 1'000'000)};
    event_add(pause_event_.get(), &wait);
  }
  // What waits looks again, and may have to wait on.
  for (Connection& connection : connections_) {
    if (!connection.closed()) connection.unblock(Connection::kPaused);
  }
}

void Worker::on_pause_end(evutil_socket_t, short, void* self) {
  static_cast<Worker*>(self)->refresh_pause();
}

// ---- MONITOR -----------------------------------------------------------------------------------

void Worker::add_monitor(Connection& connection) {
  monitors_.push_back(&connection);
  has_monitors_ = true;
  proxy_.monitors().fetch_add(1);
}

void Worker::remove_monitor(Connection& connection) {
  if (std::erase(monitors_, &connection) == 0) return;
  connection.forget_pushed();
  has_monitors_ = !monitors_.empty();
  proxy_.monitors().fetch_sub(1);
  for (const std::unique_ptr<Worker>& worker : proxy_.workers()) {
    if (!shutting_down_) worker->post([&worker = *worker] { worker.refresh_monitored(); });
  }
}

void Worker::refresh_monitored() {
  monitored_ = proxy_.monitors() > 0;
  for (Connection& connection : connections_) {
    if (!connection.closed()) connection.update_guards();
  }
}

void Worker::show_to_monitors(std::string line) {
  const auto shared = std::make_shared<const std::string>(std::move(line));
  for (const std::unique_ptr<Worker>& worker : proxy_.workers()) {
    if (worker.get() == this || !worker->has_monitors_) continue;
    worker->post([&worker = *worker, shared] { worker.show_to_own_monitors(*shared); });
  }
  show_to_own_monitors(*shared);
}

// A monitor that is closed for not reading takes itself off the list.
void Worker::show_to_own_monitors(std::string_view line) {
  const std::vector<Connection*> monitors = monitors_;
  for (Connection* monitor : monitors) monitor->push(line);
}

}  // namespace rdmakv::proxy
