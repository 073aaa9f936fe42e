// What a stranger may send to the port of Socket mode, or as private data of the RDMA CM: no check
// reads outside it, and what the checks let pass is within the limits that they are there for. The
// input is a message; it is taken for each kind in turn.
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "rdmakv/transport/verbs/connect_messages.h"

namespace {

using namespace rdmakv;         // NOLINT
using namespace rdmakv::verbs;  // NOLINT
using Bytes = std::span<const std::byte>;

void require(bool holds) {
  if (!holds) std::abort();
}

// The first bytes as a T; what is missing is zero.
template <typename T>
T as(Bytes bytes) {
  T value{};
  if (!bytes.empty()) std::memcpy(&value, bytes.data(), std::min(sizeof(T), bytes.size()));
  return value;
}

void check_outcome(const wire::ConnectReply& reply) {
  const EndpointOptions proposed;
  Result<EndpointOptions> outcome = check_reply(reply, proposed);
  if (!outcome) return;
  require(outcome->receive_slots > 0 && outcome->receive_slots <= proposed.receive_slots);
  require(outcome->message_bytes >= kMinMessageBytes &&
          outcome->message_bytes <= proposed.message_bytes);
}

void check_request_limits(const wire::ConnectRequest& request) {
  if (check_request(request)) return;  // refused
  require(request.message_bytes >= kMinMessageBytes && request.message_bytes <= kMaxMessageBytes);
  require(uint64_t{request.message_bytes} * request.receive_slots <= kMaxBufferBytes);
}

void check_record_of_every_kind(Bytes bytes) {
  const auto record = as<ExchangeRecord>(bytes);
  (void)may_be_record(record, std::min(bytes.size(), sizeof(record)));
  for (const ExchangeKind kind : {ExchangeKind::kRequest, ExchangeKind::kReply,
                                  ExchangeKind::kRefusal, ExchangeKind::kReady}) {
    const Status status = check_record(record, kind);
    require(status || !status.message().empty());
  }
  (void)check_queue_pair_address(record.address, IBV_LINK_LAYER_ETHERNET);
  (void)check_queue_pair_address(record.address, IBV_LINK_LAYER_INFINIBAND);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto exact = std::make_unique<std::byte[]>(size);
  if (size > 0) std::memcpy(exact.get(), data, size);
  const Bytes bytes(exact.get(), size);
  check_request_limits(as<wire::ConnectRequest>(bytes));
  check_outcome(as<wire::ConnectReply>(bytes));
  check_record_of_every_kind(bytes);
  if (const std::optional<std::string> text = refusal_text(bytes)) {
    for (const char c : *text) require(std::isprint(static_cast<unsigned char>(c)) != 0);
  }
  return 0;
}
