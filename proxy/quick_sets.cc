#include "proxy/quick_sets.h"

#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/quick_commands.h"
#include "proxy/set_options.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

constexpr std::string_view kOk = "+OK\r\n";

constexpr auto kManyOks = [] {
  std::array<char, kOk.size() * PutRun::kMost> text{};
  for (size_t i = 0; i < text.size(); ++i) text[i] = kOk[i % kOk.size()];
  return text;
}();

void sets_done(PutRun& run) {
  auto& request = *static_cast<Request*>(run.context);
  if (run.failed == 0) {
    request.output().append({kManyOks.data(), kOk.size() * run.taken});
    return request.finish();
  }
  for (size_t i = 0; i < run.taken; ++i) {
    run.codes[i] == Code::kOk ? request.reply().ok() : request.fail(run.codes[i], run.servers[i]);
  }
  request.finish();
}

// What a SET, SETEX or PSETEX stores, if it stores it whatever there is and says no more than +OK.
bool find_put(Worker& worker, const Command& command, Arguments arguments, wire::PutView& put) {
  const bool is_set = command.handler == &commands::set;
  if (!is_set && command.handler != &commands::setex && command.handler != &commands::psetex) {
    return false;
  }
  const bool expires = arguments.size() > 3;
  SetOptions options;
  if (is_set && expires) {
    if (arguments.size() != 5) return false;
    const std::optional<SetOptions> parsed = parse_set_options(arguments.subspan(3), 0);
    if (!parsed) return false;
    options = *parsed;
  } else if (!is_set) {
    if (arguments.size() != 4) return false;
    options.expiry = arguments[2];
    options.unit =
        command.handler == &commands::setex ? TimeUnit::kSeconds : TimeUnit::kMilliseconds;
    options.relative = true;
  }
  put = {arguments[1], std::as_bytes(std::span(arguments[is_set ? 2 : 3])), 0};
  if (!expires) return true;
  const int64_t now = options.relative ? worker.client().server_clock_ms(put.key) : 0;
  return parse_expiry(*options.expiry, options.unit, options.relative, now, put.expiry_ms) ==
         ExpiryError::kNone;
}

}  // namespace

// All of a batch may have to become Requests after all, which must not be too many.
bool Connection::may_be_quick_set() const {
  return worker_.put_runner() != nullptr && may_go_unseen() &&
         queue_.size() + PutRun::kMost <= in_flight_limit();
}

bool Connection::take_quick_set(Arguments arguments) {
  QuickSets& quick = worker_.quick_sets();
  const Command* const command = find_quick(worker_, quick, arguments);
  wire::PutView put;
  if (command == nullptr || !find_put(worker_, *command, arguments, put)) return false;
  if (!quick.empty() && command != &quick.command()) issue_quick();
  if (quick.empty() && (!may_be_quick_set() || (command->flags & worker_.held_flags()) != 0))
    return false;
  quick.add(*command, arguments, put);
  if (quick.full()) issue_quick();
  return true;
}

void Connection::issue_quick() {
  QuickSets& quick = worker_.quick_sets();
  if (quick.empty()) return;
  const std::span<const wire::PutView> puts = quick.puts();
  SetRun& run = *worker_.set_runs().take();
  run.done = &sets_done;
  const size_t taken = worker_.put_runner()->put_run(puts, run);
  if (run.full) worker_.put_window().runs_full(worker_.now_us());
  puts_run_ = true;
  if (taken > 0) {
    run.keep(quick, taken);
    Request& request = new_request(&quick.command(), static_cast<uint32_t>(taken));
    request.sets_ = &run;
    run.context = &request;
    worker_.submitted();
    worker_.stats().processed.add(taken);
    last_command_ = &quick.command();
  } else {
    worker_.set_runs().give(&run);
  }
  for (size_t i = taken; i < puts.size() && !closed(); ++i) execute(quick.arguments(i));
  quick.clear();
  if (queue_.size() >= in_flight_limit() || replies_fill_up()) block(kInFlight);
}

// For the slow log.
void Connection::note_slow_sets(Request& request, uint64_t elapsed_us) {
  for (uint32_t i = 0; i < request.commands_; ++i) {
    const wire::PutView put = request.sets_->kept(i);
    request.operation.key = put.key;
    request.operation.input = put.value;
    request.argument_count_ = static_cast<uint32_t>(request.sets_->argument_count(i));
    note_slow(request, elapsed_us);
  }
}

}  // namespace rdmakv::proxy
