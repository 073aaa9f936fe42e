#include "protocol/kv_message.h"

#include <algorithm>

#include "protocol/rules.h"

namespace rdmakv::wire {

MessageReader::MessageReader(std::span<const std::byte> message, uint32_t most) : rest_(message) {
  if (!take(&header_, sizeof(header_))) return;
  if (header_.magic != kMessageMagic) {
    fail("not a message of this protocol (wrong magic)");
  } else if (header_.kind < MessageKind::kRequests || header_.kind > MessageKind::kRefusal) {
    fail("unknown kind of message");
  } else if (header_.reserved != 0 || header_.reserved2 != 0) {
    fail("reserved field not zero");
  } else if (header_.count == 0 || header_.count > most) {
    fail("message with an impossible count");
  }
}

bool MessageReader::take(void* out, size_t bytes) {
  if (rest_.size() < bytes) return fail("message shorter than it says");
  std::memcpy(out, rest_.data(), bytes);
  rest_ = rest_.subspan(bytes);
  return true;
}

// The last piece of a message may come without its padding: a gathered value ends where it ends.
void MessageReader::skip_padded(uint64_t bytes) {
  rest_ = rest_.subspan(std::min<uint64_t>(padded(bytes), rest_.size()));
}

namespace {

// A function of its own kind where there has to be one, and else none.
bool names_function(const RequestHeader& header) {
  switch (header.opcode) {
    case Opcode::kModify:
      return is_modify(header.function);
    case Opcode::kEvaluate:
      return is_evaluate(header.function);
    default:
      return header.function == Function::kNone;
  }
}

}  // namespace

bool MessageReader::next(RequestView& request) {
  if (error_ != nullptr || seen_ == header_.count) {
    if (error_ == nullptr && !rest_.empty()) return fail("bytes behind the last request");
    return false;
  }
  if (header_.kind != MessageKind::kRequests) return fail("not a message of requests");
  if (!take(&request.header, sizeof(request.header))) return false;
  const RequestHeader& header = request.header;
  if (header.opcode < Opcode::kGet || header.opcode > kLastOpcode) return fail("unknown opcode");
  if (header.condition > kLastCondition) return fail("unknown condition");
  constexpr uint8_t kKnown =
      kKeepExpiry | kWantPrevious | kWantIfUnmet | kValueInLanding | kValuesOnly;
  if ((header.flags & ~kKnown) != 0) {
    return fail("unknown flag");
  }
  if (!names_function(header)) return fail("unknown function");
  if (header.key_length > kMaxKeyBytes) return fail("key longer than 64 KB");
  const uint64_t body = uint64_t{header.key_length} + header.value_length;
  if (body > rest_.size() && holds(Rule::kDistrust)) {
    return fail("request longer than its message");
  }
  request.key = {reinterpret_cast<const char*>(rest_.data()), header.key_length};
  request.value = rest_.subspan(header.key_length, header.value_length);
  skip_padded(body);
  ++seen_;
  return true;
}

bool MessageReader::next(ReplyView& reply) {
  if (error_ != nullptr || seen_ == header_.count) {
    if (error_ == nullptr && !rest_.empty()) return fail("bytes behind the last reply");
    return false;
  }
  if (header_.kind != MessageKind::kReplies) return fail("not a message of replies");
  if (!take(&reply.header, sizeof(reply.header))) return false;
  const ReplyHeader& header = reply.header;
  if (header.status > ReplyStatus::kRefused) return fail("unknown status");
  constexpr uint8_t kKnown = kHasValue | kPinned | kExpiryField | kCasClass | kOneKey;
  if ((header.flags & ~kKnown) != 0) return fail("unknown flag");
  const uint64_t length = (header.flags & kHasValue) != 0 ? header.value_length : 0;
  if (length > rest_.size()) return fail("reply longer than its message");
  reply.value = rest_.subspan(0, length);
  skip_padded(length);
  ++seen_;
  return true;
}

std::byte* MessageBuilder::reserve(uint64_t bytes) {
  const uint64_t with_padding = padded(bytes);
  if (buffer_.size() < used_ || buffer_.size() - used_ < with_padding) return nullptr;
  std::byte* at = buffer_.data() + used_;
  // The padding goes over the wire too: no stale memory in it.
  if (with_padding != bytes) std::memset(at + with_padding - 8, 0, 8);
  used_ += static_cast<uint32_t>(with_padding);
  return at;
}

namespace {

// Behind one another from `to` on; the end of them.
std::byte* put_parts(std::byte* to, const RequestHeader& header, std::string_view key,
                     const ValueParts& parts, bool with_rest) {
  const auto put = [&to](const void* from, size_t bytes) {
    if (bytes != 0) std::memcpy(to, from, bytes);
    to += bytes;
  };
  put(&header, sizeof(header));
  put(key.data(), key.size());
  put(parts.operands.data(), parts.operands.size());
  put(parts.comparison.data(), parts.comparison.size());
  if (with_rest) put(parts.rest.data(), parts.rest.size());
  return to;
}

}  // namespace

bool MessageBuilder::add_request(const RequestHeader& header, std::string_view key,
                                 std::span<const std::byte> value) {
  return add_request_in_parts(header, key, {{}, {}, value});
}

bool MessageBuilder::add_request_in_parts(const RequestHeader& header, std::string_view key,
                                          const ValueParts& parts) {
  if (count_ == kMaxRequestsPerMessage) return false;
  const uint32_t begin = used_;
  std::byte* at = reserve(sizeof(header) + key.size() + parts.size());
  if (at == nullptr) return false;
  last_ = begin;
  last_length_ = static_cast<uint32_t>(parts.size());
  put_parts(at, header, key, parts, true);
  ++count_;
  return true;
}

// The buffer may be the peer's to read and to change: it is only written.
std::byte* MessageBuilder::extend_request(uint32_t bytes) {
  if (bytes > room()) return nullptr;
  std::byte* const at = buffer_.data() + used_;
  used_ += bytes;
  last_length_ += bytes;
  std::memcpy(buffer_.data() + last_ + offsetof(RequestHeader, value_length), &last_length_,
              sizeof(last_length_));
  return at;
}

bool MessageBuilder::add_request_head(const RequestHeader& header, std::string_view key,
                                      const ValueParts& parts) {
  const uint64_t bytes = sizeof(header) + key.size() + parts.head_size();
  if (count_ != 0 || buffer_.size() < used_ + bytes) return false;
  put_parts(buffer_.data() + used_, header, key, parts, false);
  used_ += static_cast<uint32_t>(bytes);
  ++count_;
  return true;
}

bool MessageBuilder::add_reply(const ReplyHeader& header, std::span<const std::byte> value) {
  if (count_ == kMaxRequestsPerMessage) return false;
  std::byte* at = reserve(sizeof(header) + value.size());
  if (at == nullptr) return false;
  std::memcpy(at, &header, sizeof(header));
  if (!value.empty()) std::memcpy(at + sizeof(header), value.data(), value.size());
  ++count_;
  return true;
}

bool MessageBuilder::add_reply_head(const ReplyHeader& header) {
  if (count_ != 0 || buffer_.size() < used_ + sizeof(header)) return false;
  std::memcpy(buffer_.data() + used_, &header, sizeof(header));
  used_ += sizeof(header);
  ++count_;
  return true;
}

uint32_t MessageBuilder::finish(uint64_t clock_ms) {
  MessageHeader header;
  header.kind = kind_;
  header.count = count_;
  header.clock_ms = clock_ms;
  std::memcpy(buffer_.data(), &header, sizeof(header));
  return used_;
}

}  // namespace rdmakv::wire
