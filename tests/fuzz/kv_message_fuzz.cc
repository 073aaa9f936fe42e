// Whatever bytes come as a message, MessageReader reads none outside them, says whether they are
// well formed, and what it read can be built again into a message that reads the same. The input is
// the message. It lies in a block of exactly its size, so that the sanitizer sees any byte too
// many.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "protocol/kv_gets.h"
#include "protocol/kv_handshake.h"
#include "protocol/kv_layout.h"
#include "protocol/kv_message.h"
#include "protocol/kv_puts.h"

namespace {

using namespace rdmakv::wire;  // NOLINT
using Bytes = std::span<const std::byte>;

void require(bool holds) {
  if (!holds) std::abort();
}

// Touches every byte, so that the sanitizer judges the span.
uint64_t sum(Bytes bytes) {
  return std::accumulate(
      bytes.begin(), bytes.end(), uint64_t{0},
      [](uint64_t before, std::byte byte) { return before + static_cast<uint64_t>(byte); });
}

void require_inside(Bytes part, Bytes whole) {
  if (part.empty()) return;
  require(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
  require(sum(part) <= 255 * part.size());
}

void read_requests(Bytes message) {
  MessageReader reader(message);
  std::vector<std::byte> again(message.size() + 16 + size_t{8} * kMaxRequestsPerMessage);
  MessageBuilder builder(again, MessageKind::kRequests);
  RequestView request;
  uint32_t count = 0;
  while (reader.next(request)) {
    ++count;
    require(request.key.size() <= kMaxKeyBytes);
    require_inside(std::as_bytes(std::span(request.key.data(), request.key.size())), message);
    require_inside(request.value, message);
    require(builder.add_request(request.header, request.key, request.value));
  }
  require(count <= kMaxRequestsPerMessage);
  if (!reader.valid()) return;
  require(count == reader.header().count);
  again.resize(builder.finish(reader.header().clock_ms));
  MessageReader second(again);
  RequestView copy;
  MessageReader first(message);
  while (first.next(request)) {
    require(second.next(copy));
    require(std::memcmp(&copy.header, &request.header, sizeof(copy.header)) == 0);
    require(copy.key == request.key);
    require(copy.value.size() == request.value.size());
  }
  require(!second.next(copy) && second.valid());
}

void read_replies(Bytes message) {
  MessageReader reader(message);
  ReplyView reply;
  uint32_t count = 0;
  while (reader.next(reply)) {
    ++count;
    require_inside(reply.value, message);
  }
  require(!reader.valid() || count == reader.header().count);
}

// What is read as puts can be written again, and is the same bytes but for the padding.
void read_puts(Bytes value) {
  PutsReader reader(value);
  PutView put;
  size_t at = 0;
  while (reader.next(put)) {
    require_inside(std::as_bytes(std::span(put.key.data(), put.key.size())), value);
    require_inside(put.value, value);
    std::vector<std::byte> again(put_bytes(put.key.size(), put.value.size(), put.expiry_ms != 0));
    write_put(again.data(), put);
    const size_t bytes = sizeof(PutHeader) + (put.expiry_ms != 0 ? sizeof(int64_t) : 0) +
                         put.key.size() + put.value.size();
    require(again.size() <= value.size() - at);
    require(std::memcmp(again.data(), value.data() + at, bytes) == 0);
    at += again.size();
  }
  require(reader.whole() == (at == value.size()));
}

// Likewise gets, and their results.
void read_gets(Bytes value) {
  GetsReader reader(value);
  std::string_view key;
  size_t at = 0;
  while (reader.next(key)) {
    require(key.size() <= kMostGetKeyBytes);
    require_inside(std::as_bytes(std::span(key.data(), key.size())), value);
    std::vector<std::byte> again(get_bytes(key.size()));
    write_get(again.data(), key);
    require(again.size() <= value.size() - at);
    require(std::memcmp(again.data(), value.data() + at, sizeof(uint16_t) + key.size()) == 0);
    at += again.size();
  }
  require(reader.whole() == (at == value.size()));
}

void read_get_results(Bytes value) {
  GetResultsReader reader(value);
  ReplyView reply;
  size_t at = 0;
  while (reader.next(reply)) {
    require_inside(reply.value, value);
    require(reply.header.expiry_ms >= 0);
    std::vector<std::byte> again(kMostGetResultHead + padded(reply.value.size()));
    const uint64_t bytes = write_get_result(again.data(), reply.header, reply.value);
    require(bytes <= again.size() && bytes <= value.size() - at);
    GetResultsReader second(Bytes(again).first(bytes));
    ReplyView copy;
    require(second.next(copy) && second.whole());
    require(std::memcmp(&copy.header, &reply.header, sizeof(copy.header)) == 0);
    at += bytes;
  }
  require(reader.whole() == (at == value.size()));
}

void read_short_get_results(Bytes value) {
  GetResultsReader reader(value, true);
  ReplyView reply;
  while (reader.next(reply)) {
    require_inside(reply.value, value);
    std::vector<std::byte> again(kMostShortGetHead + padded(reply.value.size()));
    const uint64_t bytes = write_short_get(again.data(), reply.header, reply.value);
    require(bytes <= again.size());
    GetResultsReader second(Bytes(again).first(bytes), true);
    ReplyView copy;
    require(second.next(copy) && second.whole());
    require(copy.header.status == reply.header.status && copy.header.flags == reply.header.flags);
    require(copy.value.size() == reply.value.size());
  }
}

template <typename Body>
void read_body(Bytes message) {
  MessageReader reader(message);
  Body body;
  if (reader.body(body)) require(message.size() == sizeof(MessageHeader) + sizeof(Body));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto exact = std::make_unique<std::byte[]>(size);
  if (size > 0) std::memcpy(exact.get(), data, size);
  const Bytes message(exact.get(), size);
  read_requests(message);
  read_replies(message);
  read_puts(message);
  read_gets(message);
  read_get_results(message);
  read_short_get_results(message);
  read_body<Hello>(message);
  read_body<Challenge>(message);
  read_body<Proof>(message);
  read_body<Welcome>(message);
  read_body<ConnectRefusal>(message);
  // The same bytes as an entry that a client READ.
  EntryView view;
  if (verify_entry(message, 1, "key", view)) {
    require_inside(view.value, message);
    require(view.key == "key");
  }
  return 0;
}
