// Connection: what its replies may take, and the pins of values that wait for their turn.
//
// held_ is what the replies of commands under way take or may take: for each operation that may
// bring a value room_to_lend(), and wire::kLargeValue at least, since so much comes unasked; once a
// command is done, what its reply really takes. With what is in the output it stays below
//
//   output-pause-bytes      values lent; what goes beyond stays at the server, pinned, and is
//                           streamed as the client reads
//   + output-pause-bytes    small values of commands under way, while replies were small so far
//   + one command           MGET has up to Fanout::kWindow small values under way
//   + 2 x 256 KB            the pieces of a streamed value
//
// whatever the sizes of earlier replies were.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/fanout.h"
#include "proxy/repeat.h"
#include "proxy/value_stream.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

constexpr size_t kFewestInFlight = 4;
constexpr uint64_t kUnknownValue = uint64_t{64} * 1024;  // lent, as long as none was large
constexpr uint64_t kInPlaceCounts = uint64_t{128} * 1024;

bool may_bring_value(const Operation& operation) {
  return (operation.kind == OperationKind::kGet && operation.destination.data() == nullptr) ||
         operation.kind == OperationKind::kEvaluate || operation.want_previous ||
         operation.want_if_unmet;
}

}  // namespace

size_t Connection::in_flight_limit() const {
  const Settings& settings = worker_.settings();
  const size_t most = settings.pipeline_limit;
  if (reply_estimate_ == 0) return most;
  const size_t fitting = settings.output_pause_bytes / expected_reply();
  return std::min(most, std::max(fitting, kFewestInFlight));
}

void Connection::note_reply_bytes(uint64_t bytes) {
  reply_estimate_ = std::max(bytes, reply_estimate_ - reply_estimate_ / 8);
}

// What is not lent costs no memory where it is written from its place; but a pin.
uint64_t Connection::expected_reply() const {
  return worker_.pinned_memory() != nullptr ? std::min(reply_estimate_, kInPlaceCounts)
                                            : reply_estimate_;
}

// The largest value that the next command may have lent; 0: none.
uint64_t Connection::room_to_lend() const {
  const uint64_t most = worker_.settings().output_pause_bytes;
  const uint64_t largest = worker_.pinned_memory() != nullptr ? kUnknownValue : most / 2;
  uint64_t room = kUnknownValue;
  if (reply_estimate_ != 0) {
    // Larger ones are streamed anyway.
    if (reply_estimate_ > largest) return 0;
    room = std::min(reply_estimate_ + reply_estimate_ / 8, largest);
  }
  return held_ + output_.pending() + room <= most ? room : 0;
}

uint64_t Connection::reserve_room(Request& request, Operation& operation) {
  if (!may_bring_value(operation)) return 0;
  const uint64_t room = room_to_lend();
  operation.lend_most = static_cast<uint32_t>(std::min<uint64_t>(room, UINT32_MAX));
  const uint64_t held = std::max<uint64_t>(room, wire::kLargeValue);
  hold_room(request, held);
  return held;
}

void Connection::hold_room(Request& request, uint64_t bytes) {
  request.held_ += bytes;
  held_ += bytes;
}

void Connection::give_room_back(Request& request, uint64_t bytes) {
  request.held_ -= bytes;
  held_ -= bytes;
}

void Connection::settle_room(Request& request) {
  give_room_back(request, request.held_);
  if (is_head(request) || closed() || request.in_transaction()) return;
  request.held_ = request.waiting_reply_.pending();
  held_ += request.held_;
}

bool Connection::replies_fill_up() const {
  const uint64_t most = worker_.settings().output_pause_bytes;
  const uint64_t taken = held_ + output_.pending();
  return reply_estimate_ == 0 ? taken > 2 * most
                              : taken + std::min(expected_reply(), most / 2) > most;
}

void Connection::unblock_in_flight() {
  if ((blocked_ & kInFlight) == 0 || queue_.size() > in_flight_limit() / 2) return;
  if (held_ + output_.pending() <= worker_.settings().output_pause_bytes / 2) unblock(kInFlight);
}

// ---- pins --------------------------------------------------------------------------------------

bool Connection::order_matters(const Request& request, std::string_view key) const {
  for (const Request* later = request.next_; later != nullptr; later = later->next_) {
    if (later->command_ == nullptr) continue;
    if (later->gets_ != nullptr && !later->gets_->asks_for(key)) continue;
    const Command& command = *later->command_;
    const bool writes = (command.flags & kWrite) != 0 || command.handler == commands::exec;
    if (command.first_key == 0 && !writes) continue;
    const bool one_key = command.first_key != 0 && command.first_key == command.last_key &&
                         !later->operation.key.empty();
    if (one_key && later->operation.key != key) continue;
    if (one_key && !writes && later->repeat.pending) continue;
    return true;
  }
  return false;
}

size_t Connection::give_back_pins(uint32_t session) {
  size_t count = 0;
  for (Request* request = queue_.head(); request != nullptr; request = request->next_) {
    if (request->fanout != nullptr) count += request->fanout->give_back_pins(session);
    if (give_parked_pin_back(*request, session)) ++count;
  }
  return count;
}

void Connection::stream_begins() {
  taken_us_ = worker_.now_us();
}

void Connection::make_way(uint64_t now_us, uint64_t slow_us) {
  if (output_.empty()) return;
  const uint64_t stalled_us = now_us - std::min(now_us, taken_us_);
  if (stalled_us < PinWaiters::kStalledUs) return;
  if (!output_.spill_sources()) return close_broken_reply(Code::kUnavailable);
  const Request* head = queue_.head();
  if (head == nullptr) return;
  const PinWaiters& waiters = worker_.pin_waiters();
  for (const uint32_t session : waiters.sessions()) give_back_pins(session);
  if (slow_us == 0 || stalled_us < slow_us || head->stream == nullptr) return;
  if (!waiters.wants(head->stream->session())) return;
  worker_.stats().slow_reader_closes.add();
  spdlog::warn(
      "client {} {}: closed: it has taken nothing of a large reply for {} s while others wait for "
      "what it holds (slow-reader-timeout)",
      id_, address_, stalled_us / 1'000'000);
  close("it does not read, and others wait");
}

}  // namespace rdmakv::proxy
