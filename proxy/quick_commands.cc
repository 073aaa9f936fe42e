// Commands that need no Request each, as they are parsed: GETs (quick_gets.h) and SETs
// (quick_sets.h) are gathered while they stand next to each other.
#include <algorithm>

#include "protocol/kv_message.h"
#include "proxy/connection.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

// Whatever has to look at each command, or at each reply, wants a Request of its own.
bool Connection::may_go_unseen() const {
  const bool in_multi = transaction_ != nullptr && transaction_->open();
  return guards_ == 0 && large_.empty() && !in_multi && worker_.notable_us() != 0 &&
         !session_.reply_off && !session_.skip_reply && !session_.skip_next_reply;
}

// True: the command has been taken. False: it is to be executed, and what was taken has been.
// `input`: what was parsed, which stays while commands are gathered; an inline command with quotes
// lies elsewhere, and does not.
bool Connection::take_quick(Arguments arguments, std::string_view input) {
  const auto stays = [input](std::string_view argument) {
    return argument.data() >= input.data() && argument.data() < input.data() + input.size();
  };
  const bool may_wait = arguments.size() >= 2 && arguments.size() <= QuickSets::kMostArguments &&
                        arguments[1].size() <= wire::kMaxKeyBytes &&
                        std::all_of(arguments.begin(), arguments.end(), stays);
  if (may_wait && arguments.size() > 2) {
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

}  // namespace rdmakv::proxy
