#include "proxy/quick_gets.h"

#include <charconv>
#include <cstring>

#include "protocol/kv_layout.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/quick_commands.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

// Replies of so many bytes are written before more are made, while they are in the cache.
constexpr size_t kWorthWriting = size_t{256} * 1024;

static_assert(AtOnceReader::kMost <= GetRun::kMost);

class Answers final : public AtOnce, private OutputSource {
 public:
  // `may_lie`: values may be used in place, if the output is written before anything else is done.
  Answers(OutputChain& output, resp::Protocol protocol, Client& client, bool may_lie)
      : output_(output),
        most_(output.pending() + kWorthWriting),
        reply_(output, protocol),
        client_(client),
        may_lie_(may_lie) {}

  void take(size_t, const ValueAtOnce& answer) override {
    if (!answer.found) return reply_.null();
    ++found_;
    if (answer.in_place) return take_in_place(answer.value);
    if (answer.value.size() >= wire::kLargeValue) return take_large(answer.value);
    reply_.bulk({reinterpret_cast<const char*>(answer.value.data()), answer.value.size()});
  }

  // No more than is worth writing: the rest of the batch comes after that.
  std::byte* room(uint64_t bytes) override {
    full_ = output_.pending() >= most_;
    if (full_) return nullptr;
    room_ = client_.allocate(static_cast<uint32_t>(bytes + kEnd.size()));
    return room_.data();
  }
  bool wants_in_place(uint64_t) override {
    full_ = output_.pending() >= most_;
    const bool wants = may_lie_ && !full_ && in_place_ < kMostInPlace;
    wanted_ |= wants;
    return wants;
  }
  bool wanted_in_place() const { return wanted_; }
  bool any_in_place() const { return in_place_ > 0; }
  uint64_t found() const { return found_; }
  bool full() const { return full_; }

 private:
  static constexpr std::string_view kEnd = "\r\n";
  // Two pieces each, so that one write takes all.
  static constexpr uint32_t kMostInPlace = (OutputChain::kPiecesPerWrite - 2) / 2;
  static constexpr size_t kMostBegin = 16;
  static_assert(kMostBegin <= wire::kEntryHeaderBytes);

  void take_in_place(std::span<const std::byte> value) {
    ++in_place_;
    reply_.bulk_header(value.size());
    output_.append_from(*this, value, false);
    output_.append(kEnd);
  }

  // OutputSource
  bool holds() override { return true; }
  void piece_left() override {}

  void take_large(std::span<const std::byte> value) {
    char begin[kMostBegin] = {'$'};
    char* end = std::to_chars(begin + 1, std::end(begin), value.size()).ptr;
    end = std::copy(kEnd.begin(), kEnd.end(), end);
    const auto length = static_cast<size_t>(end - begin);
    // The entry is ours to overwrite: its header is before the value, and there is room behind it.
    std::byte* const at = room_.data() + (value.data() - room_.data()) - length;
    std::memcpy(at, begin, length);
    std::memcpy(at + length + value.size(), kEnd.data(), kEnd.size());
    output_.append_value(std::move(room_), {at, length + value.size() + kEnd.size()});
  }

  OutputChain& output_;
  const size_t most_;
  resp::ReplyWriter reply_;
  Client& client_;
  const bool may_lie_;
  uint32_t in_place_ = 0;
  bool wanted_ = false;
  ValueBuffer room_;  // with the entry that is next to be taken
  bool full_ = false;
  uint64_t found_ = 0;
};

}  // namespace

// Either they are answered at once, which only the next in turn can be, or they are asked for. And
// all of a batch may have to become Requests after all, which must not be too many.
bool Connection::may_be_quick_get() const {
  const bool at_once = worker_.at_once() != nullptr && queue_.empty();
  return (at_once || worker_.get_runner() != nullptr) && may_go_unseen() &&
         queue_.size() + AtOnceReader::kMost <=
             (at_once ? worker_.settings().pipeline_limit.load() : in_flight_limit());
}

bool Connection::take_quick_get(Arguments arguments) {
  QuickGets& quick = worker_.quick_gets();
  const Command* const command = find_quick(worker_, quick, arguments);
  if (command == nullptr || command->handler != &commands::get) return false;
  if (quick.empty() && (!may_be_quick_get() || (command->flags & worker_.held_flags()) != 0)) {
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
  size_t done = queue_.empty() ? answer_at_once(keys) : 0;
  if (worker_.get_runner() != nullptr) done += ask_for_gets(keys.subspan(done));
  for (; done < keys.size() && !closed(); ++done) {
    const std::string_view arguments[] = {quick.name(), keys[done]};
    execute(arguments);
  }
  quick.clear();
}

// How many of the gathered keys could be.
size_t Connection::answer_at_once(std::span<const std::string_view> keys) {
  if (worker_.at_once() == nullptr) return 0;
  const Command& command = worker_.quick_gets().command();
  size_t done = 0;
  for (bool more = true; more && done < keys.size() && !closed() && !output_full();) {
    Answers answers(output_, session_.protocol, worker_.client(),
                    output_.empty() && tls_ == nullptr);
    const size_t answered = worker_.at_once()->get_at_once(keys.subspan(done), answers);
    if (answers.any_in_place()) write_in_place();
    if (answers.wanted_in_place()) worker_.at_once()->read_in_place();
    done += answered;
    more = answers.full();
    WorkerStats& stats = worker_.stats();
    stats.processed.add(answered);
    stats.commands[command.index].calls.add(answered);
    stats.hits.add(answers.found());
    stats.misses.add(answered - answers.found());
    if (answered > 0) last_command_ = &command;
    if (output_.pending() >= kWorthWriting) write_pending();
    if (answered > 0 && !closed()) output_grew();
  }
  return done;
}

// How many of the gathered keys are under way, in runs.
size_t Connection::ask_for_gets(std::span<const std::string_view> keys) {
  const Command& command = worker_.quick_gets().command();
  size_t done = 0;
  for (size_t taken = 1; taken > 0 && done < keys.size() && !closed() && !output_full();) {
    QuickGetRun& run = *worker_.get_runs().take();
    run.keep(keys.subspan(done));
    taken = worker_.get_runner()->get_run(run);
    if (taken == 0) {
      worker_.get_runs().give(&run);
      break;
    }
    done += taken;
    Request& request = new_request(&command, static_cast<uint32_t>(taken));
    run.begin(worker_, request);
    hold_room(request, taken * wire::kLargeValue);
    worker_.submitted();
    worker_.stats().processed.add(taken);
    last_command_ = &command;
  }
  if (queue_.size() >= in_flight_limit() || replies_fill_up()) block(kInFlight);
  return done;
}

// For the slow log.
void Connection::note_slow_gets(Request& request, uint64_t elapsed_us) {
  request.argument_count_ = 2;
  request.gets_->for_each_key(request, [&](std::string_view key) {
    request.operation.key = key;
    note_slow(request, elapsed_us);
  });
}

}  // namespace rdmakv::proxy
