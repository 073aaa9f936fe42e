// Connection: from the socket to execute().
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/connection.h"
#include "proxy/upload.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

// A rest up to this size is copied in front of the next read; a larger one is read into where it
// is.
constexpr size_t kWorthMoving = size_t{16} * 1024;
// A value of this size or more is worth a read of its own, straight to its place: around it so
// little is read that its neighbour, likely as large, is not copied either.
constexpr uint64_t kWorthPlacing = uint64_t{32} * 1024;
constexpr size_t kShortRead = 1024;
// Of what is read into registered memory so much is copied to be parsed, at a time: where a value
// likely follows, and where commands do.
constexpr size_t kLookAtHeader = 256;
constexpr size_t kLookAtCommands = 4096;
// And one of this size fills the cache: proxy/put_window.h. Of smaller ones, what is read at
// once.
constexpr uint64_t kWorthWaiting = uint64_t{64} * 1024;

// One of this size is left in the kernel until it is there as a whole, or so much of it; if not
// more of it than a little has been read.
constexpr uint64_t kWorthAwaiting = uint64_t{192} * 1024;
constexpr uint64_t kMostAwaited = uint64_t{256} * 1024;
constexpr uint64_t kLittleRead = 4096;

}  // namespace

// Who sends SETs does not pass others that wait with theirs.
void Connection::read_in_turn() {
  if (!puts_run_ || !worker_.runs_wait()) return read_some();
  worker_.wait_for_puts(*this);
  want_reading(false);
}

void Connection::read_some() {
  read_once();
  wake_for_what_is_missing();
}

// The client has sent nothing for long, as it seems: but what is awaited may be coming in slowly.
void Connection::read_what_came() {
  if (low_water_ > 1 && reading_) read_some();
}

// Only so many bytes, or the end of the stream, or a full window, are to be told of. What waits in
// the kernel holds no registered memory meanwhile; the buffer that it comes to is one that was used
// a moment ago, so it is in the cache, and it is all there when the server copies it. And this
// thread wakes up once for it.
void Connection::wake_for_what_is_missing() {
  if (closed() || tls_ != nullptr) return;
  const uint64_t bytes = filling_large() ? large_.back().missing() : awaited_;
  const auto mark = bytes >= kWorthAwaiting ? static_cast<int>(std::min(bytes, kMostAwaited)) : 1;
  if (mark == low_water_) return;
  if (low_water_ > 1 && mark > low_water_ && mark - low_water_ < static_cast<int>(kLittleRead))
    return;
  if (::setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark)) == 0) low_water_ = mark;
}

void Connection::read_once() {
  if (blocked()) return want_reading(false);
  if (filling_large()) return read_large();
  if (puts_must_wait()) {
    worker_.wait_for_puts(*this);
    return want_reading(false);
  }
  puts_large_ = puts_run_ = false;
  const bool expected = expects_large_;
  awaited_ != 0 ? consume(rest_.data(), rest_.size()) : read_commands();
  if (!expected || closed() || blocked()) return;
  expects_large_ = filling_large() || awaited_ != 0;
  if (filling_large()) read_large();
}

// What it likely sends next is for a server that is to take more of what was sent before, first.
bool Connection::puts_must_wait() const {
  const PutWindow& window = worker_.put_window();
  return (puts_large_ && !window.takes_large(put_server_, worker_.now_us())) ||
         (puts_run_ && !window.takes_runs(worker_.now_us()));
}

// There may be nothing to be read: then the event loop tells when there is.
void Connection::read_on() {
  if (closed() || blocked()) return;
  read_some();
  if (closed() || blocked() || waits_for_puts_) return;
  want_reading(true);
}

void Connection::put_submitted(Request& request, uint64_t bytes) {
  if (bytes < kWorthWaiting) return;
  puts_large_ = true;
  put_server_ = request.operation.server;
  request.put_server_ = put_server_;
  request.put_bytes_ = bytes;
  worker_.put_window().begins(put_server_, bytes);
}

size_t Connection::bytes_to_read() const {
  return expects_large_ ? kShortRead : Worker::kReadBytes;
}

// False: nothing came, or the connection is closed now.
bool Connection::check_read(ssize_t bytes) {
  worker_.stats().reads.add();
  if (bytes > 0) {
    worker_.stats().input_bytes.add(static_cast<uint64_t>(bytes));
    last_activity_us_ = worker_.now_us();
    return true;
  }
  if (bytes == 0) {
    end_of_input();
  } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    close(std::strerror(errno));
  }
  return false;
}

// The client may have closed one direction only, and still wait for the replies to what it sent.
void Connection::end_of_input() {
  for (LargeArgument& large : large_) large.abandon();
  large_.clear();
  rest_.release();
  close_after_replies();
  want_reading(false);
  close_if_done();
}

void Connection::read_commands() {
  if (rest_.size() > kWorthMoving) {
    const ssize_t bytes = read_bytes(rest_.room(bytes_to_read()), bytes_to_read());
    if (!check_read(bytes)) return;
    rest_.added(static_cast<size_t>(bytes));
    return consume(rest_.data(), rest_.size());
  }
  char* const block = room_for_values(expects_values_);
  char* const to = block != nullptr ? block : worker_.read_buffer().plain() + rest_.size();
  const ssize_t bytes = read_bytes(to, bytes_to_read());
  if (!check_read(bytes)) return;
  expects_values_ = false;
  consume_behind_rest(block, static_cast<size_t>(bytes));
}

// The payload goes where it belongs; what follows it, into the worker's buffer.
void Connection::read_large() {
  LargeArgument& argument = large_.back();
  const std::span<std::byte> space = argument.space(worker_.trash());
  if (space.empty()) return wait_for_space(argument);
  const bool to_the_end =
      tls_ == nullptr && space.size() == argument.missing() && rest_.size() <= kWorthMoving;
  char* const block = room_for_values(to_the_end && argument.length() < kWorthPlacing);
  char* const beyond_at = block != nullptr ? block : worker_.read_buffer().plain() + rest_.size();
  const iovec vector[2] = {{space.data(), space.size()}, {beyond_at, bytes_to_read()}};
  const ssize_t bytes = tls_ != nullptr
                            ? read_bytes(reinterpret_cast<char*>(space.data()), space.size())
                            : ::readv(fd_, vector, to_the_end ? 2 : 1);
  if (!check_read(bytes)) return;
  const size_t taken = std::min(static_cast<size_t>(bytes), space.size());
  argument.advance(taken);
  if (!argument.complete()) return;
  parser_.large_argument_taken(0);
  const size_t beyond = static_cast<size_t>(bytes) - taken;
  if (beyond > 0) consume_behind_rest(block, beyond);
}

// Null: not `wanted`, or there is none.
char* Connection::room_for_values(bool wanted) {
  return wanted ? worker_.read_buffer().registered(worker_.client()) : nullptr;
}

// What was read into the block, or, if that is null, into the worker's plain memory, where there
// was room for the rest before it.
void Connection::consume_behind_rest(const char* block, size_t bytes) {
  char* const plain = worker_.read_buffer().plain();
  const size_t kept = rest_.size();
  if (kept > 0) std::memcpy(plain, rest_.data(), kept);
  rest_.clear();
  block != nullptr ? consume(plain, kept, {block, bytes}) : consume(plain, kept + bytes);
}

// An upload has no chunk free, or no registered memory for one.
void Connection::wait_for_space(const LargeArgument& argument) {
  block(kUpload);
  if (argument.waits_for_arena()) worker_.wait_for_arena(*this);
  want_reading(false);
}

// Parses and issues everything in `data`, as far as nothing blocks; the rest is kept. `data` is the
// worker's plain memory, or rest_ itself. `block`: what follows, in registered memory. Who has its
// key can change it meanwhile, so nothing there is parsed: it is copied to the plain memory first,
// some bytes at a time, which is little when most of it are values.
void Connection::consume(char* data, size_t bytes, std::string_view block) {
  const StageTimer timer(worker_.stage_times(), Stage::kParse);
  std::string_view input(data, bytes);
  beyond_ = block;
  shown_ = 0;
  consuming_ = true;
  if (!beyond_.empty()) input = show_more(input, kLookAtHeader);
  while (!blocked() && !closed()) {
    const resp::ParseResult result = parser_.parse(input);
    if (result == resp::ParseResult::kCommand) {
      if (!take_quick(parser_.arguments(), input)) execute(parser_.arguments());
      input.remove_prefix(parser_.consumed());
      continue;
    }
    input.remove_prefix(parser_.consumed());
    finish_quick();
    if (result == resp::ParseResult::kLargeArgument && begin_large(input)) {
      if (!large_.back().complete()) break;
      if (shown_ == 0 && !beyond_.empty()) input = show_more(input, kLookAtHeader);
      continue;
    }
    if (result == resp::ParseResult::kError) protocol_error(parser_.error());
    if (result != resp::ParseResult::kNeedMore || beyond_.empty()) break;
    input = show_more(input, kLookAtCommands);
  }
  finish_quick();
  consuming_ = false;
  const std::string_view beyond = std::exchange(beyond_, {});
  if (closed()) return rest_.release();
  rest_.assign(input);
  rest_.append(beyond);
  if (query_too_large()) return;
  if (blocked()) want_reading(false);
}

// Copies so many of the next bytes behind `input`: what is to be parsed now.
std::string_view Connection::show_more(std::string_view input, size_t most) {
  char* const plain = worker_.read_buffer().plain();
  const size_t bytes = std::min(most, beyond_.size());
  std::memmove(plain, input.data(), input.size());
  std::memcpy(plain + input.size(), beyond_.data(), bytes);
  beyond_.remove_prefix(bytes);
  shown_ += bytes;
  return {plain, input.size() + bytes};
}

// A large argument begins in `input`, which becomes what is to be parsed next. False: it cannot be
// taken now, and parse() will say it again.
bool Connection::begin_large(std::string_view& input) {
  const Arguments arguments = parser_.arguments();
  const size_t index = arguments.size() - 1;
  const uint64_t length = parser_.large_length(index);
  const std::string_view arrived = input.substr(parser_.large_begin());
  expects_large_ = length >= kWorthPlacing;
  expects_values_ = !expects_large_;
  if (!plan_large(arguments, index, length, arrived.size())) return false;
  awaited_ = 0;
  LargeArgument& argument = large_.back();
  const size_t taken = take_payload(arrived);
  if (taken == arrived.size() && !argument.complete()) {
    beyond_.remove_prefix(take_payload(beyond_));
    input = input.substr(0, parser_.large_begin());
    shown_ = 0;
    if (argument.complete()) parser_.large_argument_taken(0);
  } else if (argument.complete()) {
    parser_.large_argument_taken(taken);
  }
  if (!argument.complete() && (taken < arrived.size() || !beyond_.empty())) {
    overflow_.assign(arrived.substr(taken));
    overflow_.append(std::exchange(beyond_, {}));
    input = input.substr(0, parser_.large_begin());
    wait_for_space(argument);
  }
  return true;
}

// Payload that was read: it stays where it is, or is copied to where it belongs, as far as there is
// room; how much it was.
size_t Connection::take_payload(std::string_view bytes) {
  LargeArgument& argument = large_.back();
  if (!argument.in_read_buffer()) return fill_large(bytes);
  const size_t taken = std::min<uint64_t>(bytes.size(), argument.missing());
  argument.advance(taken);
  return taken;
}

// A registered buffer for a value of which the last `arrived` bytes of what is parsed are the first
// ones: where it lies, if that is registered memory.
LargeArgument Connection::registered_value(size_t index, uint64_t length, size_t arrived) {
  ValueBuffer buffer;
  if (beyond_.data() != nullptr && arrived <= shown_) {
    buffer = worker_.read_buffer().keep(beyond_.data() - arrived, length);
  }
  const bool stays = static_cast<bool>(buffer);
  if (!stays) buffer = worker_.client().allocate(static_cast<uint32_t>(length));
  if (buffer) buffer.set_length(static_cast<uint32_t>(length));
  return stays ? LargeArgument::received(index, length, std::move(buffer))
               : LargeArgument::registered(index, length, std::move(buffer));
}

// Decides where the argument goes: appends it to large_.
bool Connection::plan_large(Arguments arguments, size_t index, uint64_t length, size_t arrived) {
  const auto add = [this](LargeArgument argument) {
    large_.push_back(std::move(argument));
    return true;
  };
  const Command* command = index == 0 ? nullptr : worker_.commands().find(arguments[0]);
  // A command that is queued keeps all its arguments.
  const bool is_value = command != nullptr && command->value_argument == index &&
                        !is_queued(*command) && large_argument(1) == nullptr &&
                        arguments[1].size() <= wire::kMaxKeyBytes;
  if (is_value && guards_ != 0 && !may_store(*command, arguments)) [[unlikely]] {
    return add(LargeArgument::discarded(index, length));
  }
  if (is_value && length <= worker_.client().max_single_put()) {
    if (awaited_ == 0 && tls_ == nullptr && length >= kWorthAwaiting && arrived <= kLittleRead &&
        beyond_.empty()) {
      awaited_ = length - arrived;
      return false;
    }
    LargeArgument argument = registered_value(index, length, arrived);
    if (argument.has_memory()) return add(std::move(argument));
    block(kArena);
    worker_.wait_for_arena(*this);
    return false;
  }
  if (is_value) {
    // Not begun without room for a chunk: the server would hold the value's place for nothing.
    if (!worker_.client().allocate(Upload::chunk_bytes(worker_.client()))) {
      block(kArena);
      worker_.wait_for_arena(*this);
      return false;
    }
    Upload& upload = worker_.start_upload(*this, arguments[1], length);
    return add(LargeArgument::uploaded(index, length, upload));
  }
  // What one command holds on the heap is bounded; its other arguments are in rest_.
  uint64_t held = length;
  for (const LargeArgument& other : large_) {
    if (other.kind() == LargeArgument::Kind::kHeap) held += other.length();
  }
  if (held > worker_.settings().query_buffer_limit) {
    worker_.stats().query_limit_closes.add();
    close("its query is larger than client-query-buffer-limit");
    return false;
  }
  return add(LargeArgument::on_heap(index, length));
}

// Copies payload that was read already to where it belongs, as far as there is room; how much it
// was.
size_t Connection::fill_large(std::string_view bytes) {
  LargeArgument& argument = large_.back();
  size_t taken = 0;
  while (taken < bytes.size() && !argument.complete()) {
    const std::span<std::byte> space = argument.space(worker_.trash());
    if (space.empty()) break;
    const size_t piece = std::min(space.size(), bytes.size() - taken);
    std::memcpy(space.data(), bytes.data() + taken, piece);
    argument.advance(piece);
    taken += piece;
  }
  return taken;
}

// Goes on with payload that had been read when there was no room for it.
void Connection::drain_overflow() {
  const size_t taken = fill_large(overflow_.view());
  LargeArgument& argument = large_.back();
  overflow_.assign(overflow_.view().substr(taken));
  if (!argument.complete()) {
    if (!overflow_.empty()) wait_for_space(argument);
    return;
  }
  parser_.large_argument_taken(0);
  rest_.append(overflow_.view());
  overflow_.release();
}

void Connection::protocol_error(std::string_view text) {
  Request& request = new_request(nullptr);
  request.error(text);
  close_after_replies();
  request.finish();
}

bool Connection::query_too_large() {
  if (rest_.size() <= worker_.settings().query_buffer_limit) return false;
  worker_.stats().query_limit_closes.add();
  close("its query is larger than client-query-buffer-limit");
  return true;
}

void Connection::resume() {
  if (closed() || blocked()) return;
  if (!deferred_.empty()) run_deferred();
  if (closed() || blocked()) return;
  if (filling_large() && !overflow_.empty()) drain_overflow();
  if (!rest_.empty() && !filling_large()) consume(rest_.data(), rest_.size());
  wake_for_what_is_missing();
  if (closed() || blocked() || waits_for_puts_) return;
  want_reading(true);
  if (tls_ != nullptr && tls_->established() && tls_->pending()) read_some();
}

void Connection::run_deferred() {
  const std::vector<std::string> kept = std::exchange(deferred_, {});
  const std::vector<std::string_view> arguments(kept.begin(), kept.end());
  execute(arguments);
}

void Connection::arena_available() {
  unblock(kArena);
  if (filling_large()) unblock(kUpload);
  poke_head();
}

void Connection::upload_progressed() {
  // Until the command is complete only the lack of chunks blocks; afterwards, the commit does.
  if (filling_large()) unblock(kUpload);
}

}  // namespace rdmakv::proxy
