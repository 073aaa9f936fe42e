#include "proxy/quick_gets.h"

#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

class Answers final : public AtOnce {
 public:
  Answers(OutputChain& output, resp::Protocol protocol) : reply_(output, protocol) {}

  void take(size_t, const ValueAtOnce& answer) override {
    if (!answer.found) return reply_.null();
    ++found_;
    reply_.bulk({reinterpret_cast<const char*>(answer.value.data()), answer.value.size()});
  }
  uint64_t found() const { return found_; }

 private:
  resp::ReplyWriter reply_;
  uint64_t found_ = 0;
};

}  // namespace

// Whatever has to look at each command, or at each reply, wants a Request of its own.
bool Connection::may_go_unseen() const {
  const bool in_multi = transaction_ != nullptr && transaction_->open();
  return guards_ == 0 && large_.empty() && !in_multi && worker_.notable_us() != 0 &&
         !session_.reply_off && !session_.skip_reply && !session_.skip_next_reply;
}

// And all of a batch may have to become Requests after all, which must not be too many.
bool Connection::may_be_quick_get() const {
  return worker_.at_once() != nullptr && queue_.empty() && may_go_unseen() &&
         in_flight_limit() >= AtOnceReader::kMost;
}

// True: the command has been taken. False: it is to be executed, and what was taken has been.
// `input`: what was parsed, which stays while commands are gathered; an inline command with quotes
// lies elsewhere, and does not.
bool Connection::take_quick(Arguments arguments, std::string_view input) {
  const auto stays = [input](std::string_view argument) {
    return argument.data() >= input.data() && argument.data() < input.data() + input.size();
  };
  const bool may_wait = (arguments.size() == 2 || arguments.size() == 3) &&
                        arguments[1].size() <= wire::kMaxKeyBytes && stays(arguments[0]) &&
                        stays(arguments[1]);
  if (may_wait && arguments.size() == 3 && stays(arguments[2])) {
    if (!worker_.quick_gets().empty()) answer_quick();
    if (take_quick_set(arguments)) return true;
  }
  if (!worker_.quick_sets().empty()) issue_quick();
  if (may_wait && arguments.size() == 2 && take_quick_get(arguments)) return true;
  answer_quick();
  return false;
}

// At most one of the two holds anything.
void Connection::finish_quick() {
  answer_quick();
  issue_quick();
}

bool Connection::take_quick_get(Arguments arguments) {
  QuickGets& quick = worker_.quick_gets();
  const bool again = !quick.empty() && quick.name() == arguments[0];
  const Command* command =
      again ? &quick.command() : worker_.commands().resolve(arguments, nullptr);
  if (!again && (command == nullptr || command->handler != &commands::get || !may_be_quick_get() ||
                 (command->flags & worker_.held_flags()) != 0)) {
    return false;
  }
  quick.add(*command, arguments[0], arguments[1]);
  if (quick.full()) answer_quick();
  return true;
}

void Connection::answer_quick() {
  QuickGets& quick = worker_.quick_gets();
  if (quick.empty()) return;
  const std::span<const std::string_view> keys = quick.keys();
  Answers answers(output_, session_.protocol);
  const size_t answered = worker_.at_once()->get_at_once(keys, answers);
  if (answered > 0) {
    WorkerStats& stats = worker_.stats();
    stats.processed.add(answered);
    stats.commands[quick.command().index].calls.add(answered);
    stats.hits.add(answers.found());
    stats.misses.add(answered - answers.found());
    last_command_ = &quick.command();
    output_grew();
  }
  for (size_t i = answered; i < keys.size() && !closed(); ++i) {
    const std::string_view arguments[] = {quick.name(), keys[i]};
    execute(arguments);
  }
  quick.clear();
}

}  // namespace rdmakv::proxy
