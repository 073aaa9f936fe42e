#include "rdmakv/transport/verbs/connect_messages.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "rdmakv/transport/verbs/queue_pair.h"

namespace rdmakv::verbs {
namespace {

bool sizes_make_sense(uint32_t receive_slots, uint32_t message_bytes, uint32_t max_reads) {
  return receive_slots != 0 && max_reads != 0 && message_bytes >= kMinMessageBytes &&
         message_bytes <= kMaxMessageBytes &&
         static_cast<uint64_t>(receive_slots) * message_bytes <= kMaxBufferBytes;
}

bool all_zero(const uint8_t* bytes, size_t length) {
  return std::all_of(bytes, bytes + length, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

wire::ConnectRequest request_with(wire::ConnectRequest request, const EndpointOptions& options) {
  request.receive_slots = options.receive_slots;
  request.message_bytes = options.message_bytes;
  request.max_reads = options.max_reads;
  return request;
}

wire::ConnectReply reply_with(const EndpointOptions& options) {
  wire::ConnectReply reply;
  reply.receive_slots = options.receive_slots;
  reply.message_bytes = options.message_bytes;
  reply.max_reads = options.max_reads;
  return reply;
}

wire::ConnectRefusal refusal(wire::RefusalCode code, const std::string& text) {
  wire::ConnectRefusal refusal;
  refusal.code = code;
  text.copy(refusal.text, sizeof(refusal.text) - 1);
  return refusal;
}

wire::ConnectRefusal refusal_for(const Status& status) {
  wire::RefusalCode code = wire::RefusalCode::kBadRequest;
  switch (status.code()) {
    case Code::kBusy:
    case Code::kNoSpace:
      code = wire::RefusalCode::kTooManyConnections;
      break;
    case Code::kNotFound:
      code = wire::RefusalCode::kNoSuchWorker;
      break;
    case Code::kCancelled:
    case Code::kUnavailable:
      code = wire::RefusalCode::kShuttingDown;
      break;
    case Code::kVersionMismatch:
      code = wire::RefusalCode::kVersion;
      break;
    default:
      break;
  }
  return refusal(code, status.message());
}

std::optional<wire::ConnectRefusal> check_request(const wire::ConnectRequest& request) {
  if (request.magic != wire::kConnectMagic) {
    return refusal(wire::RefusalCode::kBadRequest, "this port speaks the rdmakv protocol only");
  }
  if (request.version != wire::kProtocolVersion) {
    return refusal(wire::RefusalCode::kVersion,
                   "the server speaks protocol version " + std::to_string(wire::kProtocolVersion) +
                       ", the client version " + std::to_string(request.version));
  }
  if (request.reserved != 0 ||
      !sizes_make_sense(request.receive_slots, request.message_bytes, request.max_reads)) {
    return refusal(
        wire::RefusalCode::kBadRequest,
        "the connect request's sizes make no sense: " + std::to_string(request.receive_slots) +
            " receive slots of " + std::to_string(request.message_bytes) + " B, " +
            std::to_string(request.max_reads) + " reads");
  }
  return std::nullopt;
}

Result<EndpointOptions> check_reply(const wire::ConnectReply& reply,
                                    const EndpointOptions& proposed) {
  if (reply.magic != wire::kConnectMagic || reply.version != wire::kProtocolVersion ||
      reply.reserved != 0) {
    return {Code::kProtocolError,
            "what accepted the connection is not a server of this protocol "
            "version"};
  }
  if (!sizes_make_sense(reply.receive_slots, reply.message_bytes, reply.max_reads) ||
      reply.receive_slots > proposed.receive_slots ||
      reply.message_bytes > proposed.message_bytes || reply.max_reads > proposed.max_reads) {
    return {Code::kProtocolError,
            "the server accepted the connection with sizes beyond those "
            "proposed"};
  }
  EndpointOptions options = proposed;
  options.receive_slots = reply.receive_slots;
  options.message_bytes = reply.message_bytes;
  options.max_reads = reply.max_reads;
  return options;
}

std::optional<std::string> refusal_text(std::span<const std::byte> data) {
  wire::ConnectRefusal refusal;
  if (data.size() < sizeof(refusal)) return std::nullopt;
  std::memcpy(&refusal, data.data(), sizeof(refusal));
  if (refusal.magic != wire::kConnectMagic) return std::nullopt;
  std::string text(refusal.text, strnlen(refusal.text, sizeof(refusal.text)));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  if (text.empty()) text = "no reason given";
  return text;
}

bool may_be_record(const ExchangeRecord& record, size_t length) {
  constexpr ExchangeRecord kOurs;
  return std::memcmp(&record, &kOurs, std::min(length, sizeof(kOurs.magic))) == 0;
}

Status check_record(const ExchangeRecord& record, ExchangeKind wanted) {
  if (record.magic != kExchangeMagic) {
    return {Code::kProtocolError, "what answers is not an rdmakv peer in Socket mode"};
  }
  // A refusal of any version can be read: its place in the record is fixed.
  if (record.kind == ExchangeKind::kRefusal) {
    const auto text = refusal_text(std::as_bytes(std::span(record.body)));
    return {Code::kRefused, text.value_or("no reason given")};
  }
  if (record.version != kExchangeVersion) {
    return {Code::kVersionMismatch, "version " + std::to_string(kExchangeVersion) +
                                        " of the Socket mode exchange is spoken here, version " +
                                        std::to_string(record.version) + " by the peer"};
  }
  if (record.kind != wanted) {
    return {Code::kProtocolError, "the peer's Socket mode record is of the wrong kind (" +
                                      std::to_string(static_cast<uint16_t>(record.kind)) + ")"};
  }
  size_t used = 0;
  if (wanted == ExchangeKind::kRequest) used = sizeof(wire::ConnectRequest);
  if (wanted == ExchangeKind::kReply) used = sizeof(wire::ConnectReply);
  if (!all_zero(record.body + used, sizeof(record.body) - used)) {
    return {Code::kProtocolError, "the peer's Socket mode record has bytes that must be zero"};
  }
  return Status::ok();
}

Status check_queue_pair_address(const QueuePairAddress& peer, uint8_t own_link_layer) {
  const auto wrong = [](const char* what) {
    return Status(Code::kProtocolError,
                  std::string("the peer's Socket mode record has a wrong ") + what);
  };
  if (peer.number == 0 || peer.number > kPsnMask) return wrong("queue pair number");
  if (peer.psn > kPsnMask) return wrong("packet sequence number");
  if (peer.mtu < IBV_MTU_256 || peer.mtu > IBV_MTU_4096) return wrong("MTU");
  if (peer.max_reads == 0) return wrong("number of reads");
  if (!all_zero(peer.reserved, sizeof(peer.reserved))) return wrong("reserved field");
  if (peer.link_layer != own_link_layer) {
    return {Code::kInvalidArgument,
            "one end is on an Ethernet port, the other on an InfiniBand one"};
  }
  if (peer.link_layer == IBV_LINK_LAYER_ETHERNET && all_zero(peer.gid, sizeof(peer.gid))) {
    return wrong("GID");
  }
  return Status::ok();
}

}  // namespace rdmakv::verbs
