#include "proxy/quick_sets.h"

#include "proxy/commands.h"
#include "proxy/connection.h"
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

}  // namespace

// All of a batch may have to become Requests after all, which must not be too many.
bool Connection::may_be_quick_set() const {
  return worker_.put_runner() != nullptr && may_go_unseen() &&
         queue_.size() + PutRun::kMost <= in_flight_limit();
}

bool Connection::take_quick_set(Arguments arguments) {
  QuickSets& quick = worker_.quick_sets();
  const bool again = !quick.empty() && quick.name() == arguments[0];
  const Command* command =
      again ? &quick.command() : worker_.commands().resolve(arguments, nullptr);
  if (!again && (command == nullptr || command->handler != &commands::set || !may_be_quick_set() ||
                 (command->flags & worker_.held_flags()) != 0)) {
    return false;
  }
  quick.add(*command, arguments[0], arguments[1], arguments[2]);
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
  if (taken > 0) {
    run.keep(puts.first(taken));
    Request& request = new_request(&quick.command(), static_cast<uint32_t>(taken));
    request.argument_count_ = 3;
    request.sets_ = &run;
    run.context = &request;
    worker_.submitted();
    worker_.stats().processed.add(taken);
    last_command_ = &quick.command();
  } else {
    worker_.set_runs().give(&run);
  }
  for (size_t i = taken; i < puts.size() && !closed(); ++i) {
    const std::string_view value(reinterpret_cast<const char*>(puts[i].value.data()),
                                 puts[i].value.size());
    const std::string_view arguments[] = {quick.name(), puts[i].key, value};
    execute(arguments);
  }
  quick.clear();
  if (queue_.size() >= in_flight_limit() || replies_fill_up()) block(kInFlight);
}

// For the slow log, each by itself.
void Connection::note_slow_sets(Request& request, uint64_t elapsed_us) {
  for (uint32_t i = 0; i < request.commands_; ++i) {
    const wire::PutView put = request.sets_->kept(i);
    request.operation.key = put.key;
    request.operation.input = put.value;
    note_slow(request, elapsed_us);
  }
}

}  // namespace rdmakv::proxy
