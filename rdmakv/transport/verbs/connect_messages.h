// What the two ends of a connection tell each other before it is up, apart from how it gets across:
// checks of ConnectRequest and ConnectReply, the text of refusals, and the record that Socket mode
// exchanges over TCP. Pure code, thread-safe.
//
// CM mode carries CmRequest and CmReply as the private data of the RDMA CM's messages, and a
// ConnectRefusal in its rejection. Socket mode carries ExchangeRecords of one fixed size:
//
//   client                                   server
//     | TCP connect                             |
//     | request: queue pair, PSN, address, MTU  |
//     |---------------------------------------->|  a GID that fits, INIT, receives posted, RTR, RTS
//     |        reply: the same of the server    |
//     |<----------------------------------------|  (or refusal, and the end)
//     | INIT, receives posted, RTR, RTS         |
//     | ready                                   |
//     |---------------------------------------->|  may send from here on, or from the first message
//     on | the TCP connection stays: its end is the end of the connection
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "protocol/kv_handshake.h"
#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::verbs {

// The sizes of message buffers, and most of them that a peer may make the other end allocate.
inline constexpr uint32_t kMaxMessageBytes = 1u << 20;
inline constexpr uint32_t kMinMessageBytes = 1024;
inline constexpr uint64_t kMaxBufferBytes = 256ull << 20;

inline constexpr uint32_t kExchangeMagic = 0x51444b52;  // "RKDQ"
inline constexpr uint16_t kExchangeVersion = 1;

enum class ExchangeKind : uint16_t { kRequest = 1, kReply = 2, kRefusal = 3, kReady = 4 };

#pragma pack(push, 1)

// The active MTU of the sender's port (ibv_mtu): both ends use the smaller one.
struct CmRequest {
  wire::ConnectRequest request;
  uint8_t mtu = 0;
  uint8_t reserved[3] = {};
};

struct CmReply {
  wire::ConnectReply reply;
  uint8_t mtu = 0;
  uint8_t reserved[3] = {};
};

// How to reach the sender's queue pair; zero in kRefusal and kReady.
struct QueuePairAddress {
  uint32_t number = 0;
  uint32_t psn = 0;  // of the first packet it sends
  uint8_t gid[16] = {};
  uint16_t lid = 0;
  uint8_t link_layer = 0;  // IBV_LINK_LAYER_*
  uint8_t gid_type = 0;    // ibv_gid_type
  uint8_t mtu = 0;         // ibv_mtu; in a reply: the one that both ends use
  uint8_t max_reads = 0;   // as in the body
  uint8_t reserved[2] = {};
};

struct ExchangeRecord {
  uint32_t magic = kExchangeMagic;
  uint16_t version = kExchangeVersion;
  ExchangeKind kind = ExchangeKind::kReady;
  QueuePairAddress address;
  uint8_t body[136] = {};  // ConnectRequest, ConnectReply or ConnectRefusal; the rest is zero
};

#pragma pack(pop)

static_assert(sizeof(CmRequest) <= 56 && sizeof(CmReply) <= 196);
static_assert(sizeof(ExchangeRecord) == 176);
static_assert(sizeof(wire::ConnectRefusal) <= sizeof(ExchangeRecord::body));

// The sizes in a request or a reply, as an Endpoint has them.
wire::ConnectRequest request_with(wire::ConnectRequest request, const EndpointOptions& options);
wire::ConnectReply reply_with(const EndpointOptions& options);

wire::ConnectRefusal refusal(wire::RefusalCode code, const std::string& text);
// The refusal that an error of ConnectionHandler::route() becomes.
wire::ConnectRefusal refusal_for(const Status& status);
// What a peer that is not one of ours, or of another version, gets told.
std::optional<wire::ConnectRefusal> check_request(const wire::ConnectRequest& request);
// Whether the reply lowers what was proposed, and if so the outcome.
Result<EndpointOptions> check_reply(const wire::ConnectReply& reply,
                                    const EndpointOptions& proposed);
// The refusal in `data`, if it is one; text made safe to print.
std::optional<std::string> refusal_text(std::span<const std::byte> data);

// Whether the first `length` bytes of a record can be the beginning of one of ours.
bool may_be_record(const ExchangeRecord& record, size_t length);
// Checks a complete record of the kind wanted; kRefused with the peer's own words if it is a
// refusal.
Status check_record(const ExchangeRecord& record, ExchangeKind wanted);
Status check_queue_pair_address(const QueuePairAddress& peer, uint8_t own_link_layer);

}  // namespace rdmakv::verbs
