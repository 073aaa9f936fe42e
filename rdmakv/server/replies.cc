#include "rdmakv/server/replies.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace rdmakv::server {
namespace {

constexpr uint64_t kReplyHead = sizeof(wire::MessageHeader) + sizeof(wire::ReplyHeader);

}  // namespace

Replies::Replies(Endpoint& endpoint, Partition& partition, Session& session,
                 const MemoryRegion& pool, uint32_t max_message)
    : endpoint_(endpoint),
      partition_(partition),
      session_(session),
      pool_(pool),
      max_message_(max_message) {}

void Replies::give_up() {
  broken_ = true;
  for (uint64_t& extent : writes_) {
    if (extent != 0) partition_.slab().unpin(extent);
    extent = 0;
  }
}

uint32_t Replies::inline_limit(uint32_t message_bytes) {
  return static_cast<uint32_t>(wire::inline_room(message_bytes));
}

// What ready() asks for, as far as it can be had.
bool Replies::prepare() {
  if (broken_ || writing_ == kMostWrites) return false;
  if (!open_) {
    open_ = endpoint_.acquire_message();
    if (!open_) return false;
    builder_ = wire::MessageBuilder({open_.data, open_.capacity}, wire::MessageKind::kReplies);
  }
  if (!spare_) spare_ = endpoint_.acquire_message();
  return static_cast<bool>(spare_);
}

void Replies::add(const wire::RequestHeader& request, Outcome& outcome) {
  ++counters_.replies;
  if (outcome.has_value && outcome.pinned) {
    add_large(request, outcome);
    return;
  }
  std::span<const std::byte> value;
  if (outcome.has_value) {
    // Only statistics can be longer than what goes inside a message; they are cut.
    value = outcome.value.first(std::min<size_t>(outcome.value.size(), session_.inline_limit));
    outcome.reply.flags |= wire::kHasValue;
    outcome.reply.value_length = static_cast<uint32_t>(value.size());
  }
  add_small(outcome.reply, value);
}

void Replies::add_small(const wire::ReplyHeader& header, std::span<const std::byte> value) {
  if (builder_.add_reply(header, value)) return;
  send_open();
  open_ = std::exchange(spare_, {});
  builder_ = wire::MessageBuilder({open_.data, open_.capacity}, wire::MessageKind::kReplies);
  if (!builder_.add_reply(header, value)) broken_ = true;
}

// Overflow-safe: the request's offset and length are the peer's words.
bool Replies::lands(const wire::RequestHeader& request, uint64_t bytes) const {
  const uint64_t offset = uint64_t{request.landing_offset} * wire::kRingUnit;
  return bytes <= request.landing_bytes && bytes <= max_message_ && offset <= landing_.bytes &&
         bytes <= landing_.bytes - offset;
}

void Replies::add_large(const wire::RequestHeader& request, const Outcome& outcome) {
  wire::ReplyHeader header = outcome.reply;
  header.value_length = static_cast<uint32_t>(outcome.value.size());
  if (lands(request, kReplyHead + outcome.value.size())) {
    header.flags |= wire::kHasValue;
    write(request, outcome, header);
    return;
  }
  if (session_.pins.full()) {  // a GET: of a change this was made sure before
    partition_.slab().unpin(outcome.extent);
    header.status = wire::ReplyStatus::kTooMany;
    header.value_length = 0;
    add_small(header, {});
    return;
  }
  ++counters_.pinned;
  header.flags = wire::kPinned | (header.flags & wire::kOneKey);
  header.ticket = session_.pins.add(outcome.extent);
  header.location = outcome.extent;
  header.generation = outcome.generation;
  header.number =
      static_cast<uint64_t>(outcome.value.data() - partition_.slab().at(outcome.extent));
  add_small(header, {});
}

void Replies::write(const wire::RequestHeader& request, const Outcome& outcome,
                    wire::ReplyHeader header) {
  const MessageBuffer buffer = std::exchange(spare_, {});
  wire::MessageBuilder message({buffer.data, buffer.capacity}, wire::MessageKind::kReplies);
  message.add_reply_head(header);
  const uint32_t length = message.finish(clock_ms());
  const auto unused = std::find(std::begin(writes_), std::end(writes_), uint64_t{0});
  assert(unused != std::end(writes_));
  *unused = outcome.extent;
  ++writing_;
  ++counters_.writes;
  // The pool is written by this thread alone; the seam's buffers are not const.
  const LocalBuffer body{const_cast<std::byte*>(outcome.value.data()),
                         static_cast<uint32_t>(outcome.value.size()), pool_.local_key()};
  const RemoteAddress to{landing_.base + uint64_t{request.landing_offset} * wire::kRingUnit,
                         landing_.key};
  const auto context = static_cast<uint64_t>(unused - std::begin(writes_)) + 1;
  if (!endpoint_.write_with_imm(buffer, length, {&body, 1}, to, request.id, context, true)) {
    broken_ = true;
    on_sent(context);
  }
}

void Replies::on_sent(uint64_t context) {
  if (context == 0 || context > kMostWrites || writes_[context - 1] == 0) return;
  partition_.slab().unpin(writes_[context - 1]);
  writes_[context - 1] = 0;
  --writing_;
}

void Replies::send_open() {
  const uint32_t length = builder_.finish(clock_ms());
  ++counters_.messages;
  if (!endpoint_.send(std::exchange(open_, {}), length, 0, false)) broken_ = true;
}

void Replies::flush() {
  const bool sends = open_ && !builder_.empty();
  if (sends) send_open();
  endpoint_.flush();
  if (sends) ready();  // so that the next reply finds its message
}

}  // namespace rdmakv::server
