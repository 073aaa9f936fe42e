#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "protocol/kv_gets.h"
#include "protocol/kv_layout.h"
#include "protocol/kv_puts.h"
#include "rdmakv/transport/authentication.h"
#include "tests/fakes/fake_fabric.h"

namespace rdmakv::fakes {
namespace {

constexpr uint64_t kClock = 1'700'000'000'000;

template <typename Body>
void send_body(FakeEndpoint& endpoint, wire::MessageKind kind, const Body& body) {
  std::vector<std::byte> buffer(endpoint.options().message_bytes);
  wire::MessageBuilder builder(buffer, kind);
  ASSERT_TRUE(builder.add_body(body));
  endpoint.deliver({buffer.data(), builder.finish(kClock)});
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span<const char>(text));
}

}  // namespace

FakeServer::FakeServer() : ring(wire::kRingBytes), pool(8u << 20) {}

void FakeServer::on_message(FakeEndpoint& endpoint, std::span<const std::byte> message) {
  wire::MessageReader reader(message);
  ASSERT_TRUE(reader.valid()) << reader.error();
  if (reader.header().kind == wire::MessageKind::kRequests) {
    take(endpoint, message, false, 0);
  } else {
    handshake(endpoint, reader);
  }
}

void FakeServer::handshake(FakeEndpoint& endpoint, wire::MessageReader& reader) {
  static uint8_t client_nonce[wire::kNonceBytes];
  if (reader.header().kind == wire::MessageKind::kHello) {
    wire::Hello hello;
    ASSERT_TRUE(reader.body(hello));
    std::memcpy(client_nonce, hello.nonce, sizeof(client_nonce));
    if (hold_handshake) return;
    if (refuse) {
      wire::ConnectRefusal refusal;
      refusal.code = *refuse;
      refusal.version = version;
      std::memcpy(refusal.text, "no\n", 3);
      return send_body(endpoint, wire::MessageKind::kRefusal, refusal);
    }
    wire::Challenge challenge;
    challenge.version = version;
    challenge.secret_wanted = secret.empty() ? 0 : 1;
    challenge.nonce[0] = 5;
    if (!secret.empty()) {
      ASSERT_TRUE(make_proof(secret, Role::kServer, hello.nonce, challenge.nonce, challenge.proof));
    }
    return send_body(endpoint, wire::MessageKind::kChallenge, challenge);
  }
  ASSERT_EQ(reader.header().kind, wire::MessageKind::kProof);
  ++proofs;
  wire::Proof proof;
  ASSERT_TRUE(reader.body(proof));
  EXPECT_NE(endpoint.exposed, nullptr) << "the landing region's key was told before expose()";
  if (!secret.empty()) {
    uint8_t nonce[wire::kNonceBytes] = {5};
    uint8_t expected[wire::kProofBytes];
    ASSERT_TRUE(make_proof(secret, Role::kClient, client_nonce, nonce, expected));
    EXPECT_TRUE(proof_matches(expected, proof.proof));
  }
  endpoint.landing = proof.landing;
  endpoint.proven = true;
  wire::Welcome welcome;
  welcome.epoch = epoch;
  welcome.clock_ms = kClock;
  welcome.workers = workers;
  welcome.worker = endpoint.request.worker;
  welcome.credits = credits;
  welcome.ring = {reinterpret_cast<uint64_t>(ring.data()), ring.size(), 33, 0};
  welcome.pool = {reinterpret_cast<uint64_t>(pool.data()), pool.size(), 44, 0};
  welcome.max_value_bytes = wire::kMaxValueBytes;
  if (change_welcome) change_welcome(welcome);
  send_body(endpoint, wire::MessageKind::kWelcome, welcome);
}

void FakeServer::on_write(FakeEndpoint& endpoint, RemoteAddress to,
                          std::span<const std::byte> bytes, uint32_t immediate) {
  const auto base = reinterpret_cast<uint64_t>(ring.data());
  const bool inside = to.address >= base && bytes.size() <= ring.size() &&
                      to.address - base <= ring.size() - bytes.size() && to.key == 33;
  if (!inside) {
    ++writes_outside_ring;
    return;
  }
  EXPECT_EQ(to.address - base, uint64_t{immediate} * wire::kRingUnit);
  std::copy(bytes.begin(), bytes.end(), ring.begin() + static_cast<ptrdiff_t>(to.address - base));
  take(endpoint, bytes, true, immediate);
}

void FakeServer::take(FakeEndpoint& endpoint, std::span<const std::byte> bytes, bool by_write,
                      uint32_t immediate) {
  FakeMessage message;
  message.by_write = by_write;
  message.immediate = immediate;
  wire::MessageReader reader(bytes);
  wire::RequestView view;
  while (reader.next(view)) {
    FakeRequest request;
    request.header = view.header;
    request.key = view.key;
    request.value.assign(reinterpret_cast<const char*>(view.value.data()), view.value.size());
    request.endpoint = &endpoint;
    message.requests.push_back(std::move(request));
  }
  EXPECT_TRUE(reader.valid()) << reader.error();
  messages.push_back(message);
  outstanding += message.requests.size();
  most_outstanding = std::max<size_t>(most_outstanding, outstanding);
  for (const FakeRequest& request : message.requests) {
    if (hold) {
      held.push_back(request);
    } else {
      answer(request);
    }
  }
}

void FakeServer::answer_held() {
  while (!held.empty()) {
    const FakeRequest request = held.front();
    held.pop_front();
    answer(request);
  }
}

void FakeServer::put(const FakeRequest& request, std::string value) {
  wire::ReplyHeader header;
  Entry& entry = entries[request.key];
  if (request.header.condition == wire::Condition::kIfVersion &&
      request.header.version != entry.version) {
    header.status = wire::ReplyStatus::kVersionMismatch;
    header.version = entry.version;
    if (entry.version == 0) entries.erase(request.key);
    return reply(request, header);
  }
  entry.value = std::move(value);
  header.version = ++entry.version;
  reply(request, header);
}

void FakeServer::puts(const FakeRequest& request) {
  std::string results;
  wire::PutsReader reader(bytes_of(request.value));
  wire::PutView put;
  while (reader.next(put)) {
    Entry& entry = entries[std::string(put.key)];
    entry.value.assign(reinterpret_cast<const char*>(put.value.data()), put.value.size());
    ++entry.version;
    put_order.emplace_back(put.key);
    wire::PutResult result;
    if (refuse_put && *refuse_put == put.key) result.status = wire::ReplyStatus::kNoSpace;
    const uint64_t word = result.encode();
    results.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  EXPECT_TRUE(reader.whole());
  wire::ReplyHeader header;
  header.flags = wire::kHasValue;
  header.value_length = static_cast<uint32_t>(results.size());
  reply(request, header, results);
}

void FakeServer::gets(const FakeRequest& request) {
  std::string results(wire::inline_room(request.endpoint->options().message_bytes), '?');
  uint64_t used = 0;
  std::string_view key;
  uint64_t room = results.size() / 8 * 8;
  const bool values_only = (request.header.flags & wire::kValuesOnly) != 0;
  const uint64_t head = values_only ? wire::kMostShortGetHead : wire::kMostGetResultHead;
  for (wire::GetsReader all(bytes_of(request.value)); all.next(key);) {
    ASSERT_GE(room, head);
    room -= head;
  }
  wire::GetsReader reader(bytes_of(request.value));
  while (reader.next(key)) {
    room += head;
    get_order.emplace_back(key);
    wire::ReplyHeader one;
    std::string_view value;
    const auto found = entries.find(std::string(key));
    if (found == entries.end()) {
      one.status = wire::ReplyStatus::kNotFound;
    } else if (wire::get_result_bytes(found->second.value.size(), false) <= room) {
      value = found->second.value;
      one.flags = wire::kHasValue;
      one.version = found->second.version;
      one.value_length = static_cast<uint32_t>(value.size());
    } else {
      one = pin(key, found->second.value, next_ticket_++);
    }
    auto* const to = reinterpret_cast<std::byte*>(results.data()) + used;
    const uint64_t bytes = values_only ? wire::write_short_get(to, one, bytes_of(value))
                                       : wire::write_get_result(to, one, bytes_of(value));
    used += bytes;
    room -= bytes;
  }
  EXPECT_TRUE(reader.whole());
  wire::ReplyHeader header;
  header.flags = wire::kHasValue;
  header.value_length = static_cast<uint32_t>(used);
  reply(request, header, std::string_view(results).substr(0, used));
}

void FakeServer::answer(const FakeRequest& request) {
  if (intercept && intercept(request)) return;
  wire::ReplyHeader header;
  const wire::RequestHeader& asked = request.header;
  const auto found = entries.find(request.key);
  switch (asked.opcode) {
    case wire::Opcode::kGet:
      if (found == entries.end()) {
        header.status = wire::ReplyStatus::kNotFound;
        return reply(request, header);
      }
      header.version = found->second.version;
      if (found->second.value.size() < wire::kLargeValue) {
        header.flags = wire::kHasValue;
        header.value_length = static_cast<uint32_t>(found->second.value.size());
        return reply(request, header, found->second.value);
      }
      if (found->second.value.size() + 80 <= asked.landing_bytes) {
        return land_reply(request, header, found->second.value);
      }
      return pin_reply(request, found->second.value);
    case wire::Opcode::kPut:
      return put(request, request.value);
    case wire::Opcode::kPuts:
      return puts(request);
    case wire::Opcode::kGets:
      return gets(request);
    case wire::Opcode::kDelete:
      header.status =
          entries.erase(request.key) != 0 ? wire::ReplyStatus::kOk : wire::ReplyStatus::kNotFound;
      return reply(request, header);
    case wire::Opcode::kCount:
      header.number = entries.size();
      return reply(request, header);
    case wire::Opcode::kRelease:
      released.push_back(asked.ticket);
      return reply(request, header);
    case wire::Opcode::kUploadBegin:
      header.ticket = next_ticket_++;
      uploads_[header.ticket].value.resize(asked.total);
      return reply(request, header);
    case wire::Opcode::kUploadChunk:
      if (!uploads_.contains(asked.ticket)) {
        header.status = wire::ReplyStatus::kNoSuchTicket;
      } else {
        uploads_[asked.ticket].value.replace(asked.offset, request.value.size(), request.value);
      }
      return reply(request, header);
    case wire::Opcode::kUploadCommit: {
      std::string value = std::move(uploads_[asked.ticket].value);
      uploads_.erase(asked.ticket);
      return put(request, std::move(value));
    }
    case wire::Opcode::kUploadAbort:
      aborted.push_back(asked.ticket);
      uploads_.erase(asked.ticket);
      return reply(request, header);
    default:
      return reply(request, header);
  }
}

void FakeServer::reply(const FakeRequest& request, wire::ReplyHeader header,
                       std::string_view value) {
  header.id = request.header.id;
  --outstanding;
  send_reply_message(*request.endpoint, header, value);
}

void FakeServer::send_reply_message(FakeEndpoint& endpoint, const wire::ReplyHeader& header,
                                    std::string_view value) {
  std::vector<std::byte> buffer(endpoint.options().message_bytes);
  wire::MessageBuilder builder(buffer, wire::MessageKind::kReplies);
  ASSERT_TRUE(builder.add_reply(header, bytes_of(value)));
  endpoint.deliver({buffer.data(), builder.finish(kClock)});
}

void FakeServer::land_reply(const FakeRequest& request, wire::ReplyHeader header,
                            std::string_view value) {
  header.id = request.header.id;
  header.flags = wire::kHasValue;
  header.value_length = static_cast<uint32_t>(value.size());
  std::vector<std::byte> buffer(value.size() + 128);
  wire::MessageBuilder builder(buffer, wire::MessageKind::kReplies);
  ASSERT_TRUE(builder.add_reply(header, bytes_of(value)));
  --outstanding;
  request.endpoint->deliver_write(uint64_t{request.header.landing_offset} * wire::kRingUnit,
                                  {buffer.data(), builder.finish(kClock)}, header.id);
}

void FakeServer::pin_reply(const FakeRequest& request, std::string_view value, uint64_t ticket) {
  reply(request, pin(request.key, value, ticket));
}

wire::ReplyHeader FakeServer::pin(std::string_view key, std::string_view value, uint64_t ticket) {
  const uint64_t value_offset = wire::entry_value_offset(key.size(), false);
  wire::ReplyHeader header;
  EXPECT_LE(pool_used_ + value_offset + value.size(), pool.size());
  if (pool_used_ + value_offset + value.size() > pool.size()) return header;
  wire::write_entry(pool.data() + pool_used_, {3, 9, false, 0}, key, bytes_of(value));
  header.flags = wire::kPinned;
  header.version = 9;
  header.location = pool_used_ / wire::kExtentUnit;
  header.generation = 3;
  header.ticket = ticket;
  header.value_length = static_cast<uint32_t>(value.size());
  header.number = value_offset;
  pool_used_ += (value_offset + value.size() + 63) / 64 * 64;
  return header;
}

}  // namespace rdmakv::fakes
