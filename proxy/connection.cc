#include "proxy/connection.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "proxy/command_log.h"
#include "proxy/commands.h"
#include "proxy/fanout.h"
#include "proxy/refused_commands.h"
#include "proxy/transaction_run.h"
#include "proxy/value_stream.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

constexpr uint64_t kIdleUs = 2'000'000;
constexpr int kWritesPerTurn = 4;
constexpr int kDrainReads = 16;

}  // namespace

Connection::Connection(Worker& worker, int fd, uint64_t id, std::string address,
                       std::string local_address, std::unique_ptr<TlsStream> tls)
    : worker_(worker),
      fd_(fd),
      id_(id),
      address_(std::move(address)),
      local_address_(std::move(local_address)),
      created_us_(worker.now_us()),
      last_activity_us_(worker.now_us()),
      user_(worker.default_user()),
      parser_(worker.parser_limits()),
      tls_(std::move(tls)),
      output_(worker.output_pools()),
      pushed_(worker.output_pools()) {
  authenticated_ = user_->no_password() && user_->enabled();
  update_guards();
}

Connection::~Connection() {
  assert(queue_.empty());
  close("the proxy ends");
}

void Connection::start() {
  event_assign(&read_event_, worker_.base(), fd_, EV_READ | EV_PERSIST, &Connection::on_readable,
               this);
  event_assign(&write_event_, worker_.base(), fd_, EV_WRITE | EV_PERSIST, &Connection::on_writable,
               this);
  want_reading(true);
}

void Connection::on_readable(evutil_socket_t, short, void* self) {
  auto& connection = *static_cast<Connection*>(self);
  if (connection.tls_ != nullptr && !connection.tls_->established()) {
    return connection.shake_hands();
  }
  connection.read_in_turn();
}

void Connection::on_writable(evutil_socket_t, short, void* self) {
  auto& connection = *static_cast<Connection*>(self);
  if (connection.tls_ != nullptr && !connection.tls_->established()) {
    return connection.shake_hands();
  }
  connection.write_pending();
}

void Connection::want_reading(bool wanted) {
  if (closed() || wanted == reading_) return;
  reading_ = wanted;
  wanted ? event_add(&read_event_, nullptr) : event_del(&read_event_);
}

void Connection::want_writing(bool wanted) {
  if (closed() || wanted == writing_) return;
  writing_ = wanted;
  wanted ? event_add(&write_event_, nullptr) : event_del(&write_event_);
}

void Connection::unblock(Block reason) {
  if ((blocked_ & reason) == 0) return;
  blocked_ &= ~static_cast<uint32_t>(reason);
  if (blocked_ == 0 && !closed()) worker_.schedule(*this);
}

// ---- issuing -----------------------------------------------------------------------------------

void Connection::execute(Arguments arguments) {
  const Command* container = nullptr;
  const Command* command = worker_.commands().resolve(arguments, &container);
  if (must_wait(command)) {
    for (LargeArgument& large : large_) large.detach();
    return deferred_.assign(arguments.begin(), arguments.end());
  }
  if (!large_.empty()) {
    patched_.assign(arguments.begin(), arguments.end());
    for (const LargeArgument& large : large_) {
      if (large.kind() == LargeArgument::Kind::kHeap ||
          large.kind() == LargeArgument::Kind::kRegistered) {
        patched_[large.index()] = large.view();
      }
    }
    arguments = patched_;
  }
  Request& request = new_request(command);
  request.argument_count_ = static_cast<uint32_t>(arguments.size());
  last_command_ = command;
  worker_.stats().processed.add();
  if (command == nullptr) {
    if (transaction_ != nullptr && transaction_->open()) transaction_->spoil();
    reject_unknown(request, arguments, container);
  } else {
    if ((command->flags & kRunsAlone) != 0 && !is_queued(*command)) block(kBarrier);
    dispatch(request, arguments);
  }
  finish_command();
  if (queue_.size() >= in_flight_limit() || replies_fill_up()) block(kInFlight);
}

void Connection::dispatch(Request& request, Arguments arguments) {
  const Command& command = request.command();
  if (!command.accepts(arguments.size()) || command.handler == nullptr) {
    worker_.stats().commands[command.index].rejected.add();
    request.text = "ERR wrong number of arguments for '";
    request.text.append(command.name).append("' command");
    return reject(request, request.text);
  }
  if (guards_ != 0 && !admit(request, arguments)) [[unlikely]]
    return;
  if (command.first_key != 0) {
    const size_t last = command.last_key >= 0 ? static_cast<size_t>(command.last_key)
                                              : arguments.size() + command.last_key;
    for (size_t at = command.first_key; at <= last && at < arguments.size();
         at += command.key_step) {
      if (arguments[at].size() > wire::kMaxKeyBytes) {
        return reject(request, "ERR key is too long: 65536 bytes at most");
      }
    }
  }
  if (is_queued(command)) [[unlikely]]
    return queue(request, arguments);
  command.handler(request, arguments);
}

// A command that is not fit to run. In a transaction it spoils that; and EXEC then ends it.
void Connection::reject(Request& request, std::string_view text) {
  if (request.command().handler == commands::exec) {
    end_transaction();
    std::string why = "EXECABORT Transaction discarded because of: ";
    why.append(text.substr(std::min(text.find(' ') + 1, text.size())));
    return request.finish_error(why);
  }
  if (transaction_ != nullptr && transaction_->open()) transaction_->spoil();
  request.finish_error(text);
}

Request& Connection::new_request(const Command* command, uint32_t commands) {
  Request& request = take_request(command);
  request.commands_ = commands;
  request.protocol_ = session_.protocol;
  request.silent_ = session_.reply_off || session_.skip_reply;
  request.started_us_ = worker_.now_us();
  queue_.push(request);
  return request;
}

Request& Connection::take_request(const Command* command) {
  Request& request = *worker_.requests().take();
  request.connection_ = this;
  request.command_ = command;
  request.done_ = false;
  request.failed_ = 0;
  request.waiting_reply_.attach(worker_.output_pools());
  return request;
}

Request& Connection::split_request(Request& request, size_t commands) {
  Request& rest = take_request(request.command_);
  rest.protocol_ = request.protocol_;
  rest.silent_ = request.silent_;
  rest.started_us_ = request.started_us_;
  queue_.split(request, static_cast<uint32_t>(commands), rest);
  return rest;
}

// As Redis's commandCheckExistence. Its formats stop at a NUL, as C strings do.
void Connection::reject_unknown(Request& request, Arguments arguments, const Command* container) {
  constexpr size_t kMost = 128;
  const auto c_string = [](std::string_view text, size_t most) {
    return until_nul(text).substr(0, most);
  };
  worker_.stats().unknown.add();
  std::string& text = request.text;
  if (container != nullptr) {
    text = "ERR unknown subcommand '";
    text.append(c_string(arguments[1], kMost)).append("'. Try ");
    for (const char c : c_string(arguments[0], kMost)) {
      text.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c);
    }
    text.append(" HELP.");
    return request.finish_error(text);
  }
  if (const RefusedCommand* refused = find_refused(arguments[0])) {
    text = "ERR ";
    for (const char c : refused->name) text.push_back(static_cast<char>(c - 32));
    text.append(" is not supported: ").append(refused->why);
    return request.finish_error(text);
  }
  // Somebody sends HTTP here, perhaps from a browser that was tricked into it.
  if (equals_ignoring_case(arguments[0], "post") || equals_ignoring_case(arguments[0], "host:")) {
    request.set_silent(true);
    request.finish();
    return close("it speaks HTTP: possible cross-protocol attack");
  }
  std::string shown;
  for (size_t i = 1; i < arguments.size() && shown.size() < kMost; ++i) {
    const size_t room = kMost - shown.size();
    shown.append("'").append(c_string(arguments[i], room)).append("' ");
  }
  text = "ERR unknown command '";
  text.append(c_string(arguments[0], kMost)).append("', with args beginning with: ").append(shown);
  request.finish_error(text);
}

// A barrier needs all earlier commands to be done; the bit itself keeps later ones away. A paused
// command waits for the end of the pause.
bool Connection::must_wait(const Command* command) {
  if (command == nullptr) return false;
  // EXEC does what was queued.
  const uint32_t flags = command->handler == commands::exec && transaction_ != nullptr
                             ? command->flags | transaction_->flags()
                             : command->flags;
  if ((flags & worker_.held_flags()) == 0) return false;
  if ((flags & worker_.paused_flags()) != 0) {
    block(kPaused);
    return true;
  }
  if (queue_.empty() || is_queued(*command)) return false;
  block(kBarrier);
  return true;
}

void Connection::finish_command() {
  for (LargeArgument& large : large_) large.abandon();
  large_.clear();
  session_.skip_reply = std::exchange(session_.skip_next_reply, false);
}

LargeArgument* Connection::large_argument(size_t index) {
  for (LargeArgument& large : large_) {
    if (large.index() == index) return &large;
  }
  return nullptr;
}

// ---- replies -----------------------------------------------------------------------------------

bool Connection::output_full() const {
  return output_.pending() >= worker_.settings().output_pause_bytes;
}

void Connection::output_grew() {
  if (closed()) return;
  worker_.mark_dirty(*this);
  const size_t pending = output_.pending();
  if (pending >= worker_.settings().output_pause_bytes) block(kOutput);
  const uint64_t limit = worker_.settings().output_limit_bytes;
  if (limit != 0 && pending > limit) {
    worker_.stats().output_limit_closes.add();
    return close("its output is larger than client-output-buffer-limit");
  }
  const uint64_t soft = worker_.settings().output_soft_limit_bytes;
  if (soft == 0 || pending <= soft) {
    soft_limit_since_us_ = 0;
  } else if (soft_limit_since_us_ == 0) {
    soft_limit_since_us_ = worker_.now_us();
  }
}

void Connection::push(std::string_view bytes) {
  if (closed()) return;
  (queue_.empty() ? output_ : pushed_).append(bytes);
  if (queue_.empty()) output_grew();
}

void Connection::note_slow(const Request& request, uint64_t elapsed_us) {
  worker_.note_slow(*this, request, elapsed_us);
}

// Those of a run each by itself.
void Connection::note_slow_all(Request& request, uint64_t elapsed_us) {
  if (request.sets_ != nullptr) return note_slow_sets(request, elapsed_us);
  if (request.gets_ != nullptr) return note_slow_gets(request, elapsed_us);
  note_slow(request, elapsed_us);
}

void Connection::request_finished(Request& request) {
  if (request.command_ != nullptr) {
    CommandStats& stats = worker_.stats().commands[request.command_->index];
    stats.calls.add(request.commands_);
    const uint64_t elapsed_us = worker_.now_us() - request.started_us_;
    stats.microseconds.add(elapsed_us * request.commands_);
    if (request.failed_ > 0) stats.failed.add(std::min(request.failed_, request.commands_));
    if (elapsed_us >= worker_.notable_us()) [[unlikely]]
      note_slow_all(request, elapsed_us);
  }
  settle_room(request);
  if (queue_.head() == &request) advance_queue();
}

// Takes finished commands off the queue. A command that becomes the head brings its reply along.
void Connection::advance_queue() {
  if (advancing_) return;
  advancing_ = true;
  for (Request* head = queue_.head(); head != nullptr; head = queue_.head()) {
    if (!head->waiting_reply_.empty()) {
      closed() ? head->waiting_reply_.clear() : output_.splice(head->waiting_reply_);
    }
    if (head->done_ || (head->at_head_ != nullptr && head->fanout == nullptr)) settle_room(*head);
    if (!head->done_ && head->at_head_ != nullptr) {
      std::exchange(head->at_head_, nullptr)(*head);
    }
    if (!head->done_) break;
    worker_.release(queue_.pop());
  }
  advancing_ = false;
  if (queue_.empty() && !pushed_.empty()) output_.splice(pushed_);
  output_grew();
  unblock_in_flight();
  if (queue_.empty()) {
    unblock(kBarrier);
    if (closed()) worker_.reap_later();
  }
}

void Connection::write_pending() {
  if (closed()) return;
  for (int i = 0; i < kWritesPerTurn && !output_.empty(); ++i) {
    if (!write_some()) break;
  }
  if (closed()) return;
  want_writing(!output_.empty());
  if (output_.pending() <= worker_.settings().output_soft_limit_bytes) soft_limit_since_us_ = 0;
  if (output_.pending() <= worker_.settings().output_pause_bytes / 2) {
    unblock(kOutput);
    unblock_in_flight();
    poke_head();
  }
  close_if_done();
}

void Connection::close_if_done() {
  if ((blocked_ & kClosing) != 0 && queue_.empty() && output_.empty()) close("");
}

// A reply that is being written piece by piece may go on.
void Connection::poke_head() {
  Request* head = queue_.head();
  if (head == nullptr) return;
  if (head->stream != nullptr) {
    head->stream->pump();
  } else if (head->fanout != nullptr) {
    head->fanout->write_on();
  } else if (head->run != nullptr) {
    head->run->go_on();
  } else if (head->state != nullptr) {
    head->state->write_on(*head);
  }
}

// ---- the end -----------------------------------------------------------------------------------

void Connection::close(std::string_view reason) {
  if (closed()) return;
  if (!reason.empty()) {
    spdlog::debug("client {} {}: closed: {}", id_, address_, escaped(reason, 256));
  }
  want_reading(false);
  want_writing(false);
  // What the client sent and we did not read would make the kernel reset the connection, and the
  // client might lose our last reply.
  if (tls_ != nullptr) tls_->say_goodbye();
  ::shutdown(fd_, SHUT_WR);
  const std::span<std::byte> trash = worker_.trash();
  for (int i = 0; i<kDrainReads&& ::read(fd_, trash.data(), trash.size())> 0; ++i) {
  }
  ::close(fd_);
  fd_ = -1;
  output_.clear();
  pushed_.clear();
  queue_.drop_replies();
  if (!consuming_) rest_.release();
  overflow_.release();
  for (LargeArgument& large : large_) large.abandon();
  deferred_.clear();
  worker_.connection_closed(*this);
  worker_.pin_waiters().leave(*this);
  poke_head();
}

void Connection::close_broken_reply(Code code) {
  worker_.stats().broken_replies.add();
  spdlog::warn("client {} {}: a value was cut off ({}), so its connection is closed", id_, address_,
               code_name(code));
  close("a reply could not be completed");
}

bool Connection::tidy(uint64_t now_us) {
  if (closed()) return false;
  if (soft_limit_since_us_ != 0) {
    const uint64_t allowed_us = worker_.settings().output_soft_limit_s * 1'000'000;
    if (now_us - std::min(now_us, soft_limit_since_us_) <= allowed_us) return true;
    worker_.stats().output_limit_closes.add();
    close("its output was larger than the soft client-output-buffer-limit for too long");
    return false;
  }
  if (now_us - last_activity_us_ < kIdleUs) return true;
  parser_.release_memory();
  if (rest_.empty()) rest_.release();
  if (overflow_.empty()) overflow_.release();
  if (large_.empty()) large_.shrink_to_fit();
  std::vector<std::string_view>().swap(patched_);
  reply_estimate_ = 0;
  return false;
}

void Connection::spill_if_stalled(uint64_t before_us) {
  if (closed() || last_activity_us_ > before_us) return;
  output_.spill();
  queue_.spill();
  if (filling_large()) large_.back().spill();
}

std::string Connection::describe() const {
  const auto seconds = [this](uint64_t since) { return (worker_.now_us() - since) / 1'000'000; };
  const size_t pending = output_.pending() + queue_.waiting_bytes();
  std::string events = reading_ ? "r" : "";
  if (writing_) events += "w";
  std::string flags;
  const bool queues = transaction_ != nullptr && transaction_->open();
  const TransactionRun* run = queue_.head() != nullptr ? queue_.head()->run.get() : nullptr;
  const bool in_multi = queues || run != nullptr;
  const size_t in_transaction = run != nullptr ? run->command_count()
                                : queues       ? transaction_->commands().size()
                                               : 0;
  if (session_.monitor) flags += 'O';
  if (in_multi) flags += 'x';
  if ((blocked_ & kPaused) != 0) flags += 'b';
  if (transaction_ != nullptr && transaction_->changed()) flags += 'd';
  if ((blocked_ & kClosing) != 0) flags += 'c';
  if (address_.ends_with(":0")) flags += 'U';
  if (session_.no_evict) flags += 'e';
  if (flags.empty()) flags = "N";
  return fmt::format(
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 "
      "multi={} watch={} qbuf={} qbuf-free={} argv-mem=0 multi-mem={} rbs=0 rbp=0 obl=0 oll={} "
      "omem={} "
      "tot-mem={} events={} cmd={} user={} redir=-1 resp={} lib-name={} lib-ver={}\n",
      id_, address_, local_address_, fd_, session_.name, seconds(created_us_),
      seconds(last_activity_us_), flags, in_multi ? static_cast<int64_t>(in_transaction) : -1,
      transaction_ == nullptr ? 0 : transaction_->watched().size(), rest_.size(),
      rest_.capacity() - rest_.size(), queues ? transaction_->bytes() : 0, queue_.size(), pending,
      sizeof(Connection) + rest_.capacity() + pending +
          (transaction_ == nullptr ? 0 : transaction_->memory()),
      events, last_command_ == nullptr ? "NULL" : last_command_->name, user_->name(),
      session_.protocol == resp::Protocol::kResp3 ? 3 : 2, session_.library_name,
      session_.library_version);
}

std::string escaped(std::string_view bytes, size_t limit) {
  std::string text;
  for (const char c : bytes.substr(0, limit)) {
    if (c == '\\' || c == '"') {
      text.append({'\\', c});
    } else if (c >= ' ' && c <= '~') {
      text.push_back(c);
    } else {
      text += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<uint8_t>(c)));
    }
  }
  if (bytes.size() > limit) text += fmt::format("... ({} bytes)", bytes.size());
  return text;
}

}  // namespace rdmakv::proxy
