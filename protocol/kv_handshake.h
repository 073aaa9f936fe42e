// What two processes say to each other before the first operation: wire structs of the connect
// request and of the handshake. Pure data, no I/O. Every integer is little endian; every struct is
// packed, of fixed size, and checked field by field by whoever receives it.
//
//   client                                             server
//     | ConnectRequest (CM private data, TCP, Unix socket) |   which worker, which sizes
//     |--------------------------------------------------->|
//     |             ConnectReply, or ConnectRefusal         |
//     |<----------------------------------------------------|   from here on: SENDs over the
//     connection | Hello: protocol version, client id, nonce           |
//     |--------------------------------------------------->|
//     | Challenge: nonce, whether a secret is wanted, the server's own proof
//     |<----------------------------------------------------|
//     | Proof: HMAC of both nonces; the landing region      |
//     |--------------------------------------------------->|
//     | Welcome: epoch, seed, clock, workers, credits, regions: the first message with a secret in
//     it
//     |<----------------------------------------------------|   (or Refusal, at any step; then the
//     connection ends)
//
// Proofs (when a secret is set at both ends): HMAC-SHA256 under the secret,
//   server: HMAC(secret, "rdmakv server" | client nonce | server nonce)
//   client: HMAC(secret, "rdmakv client" | client nonce | server nonce)
// A server with a secret admits only clients that prove it, a client with a secret talks only to
// servers that prove it.
#pragma once

#include <cstdint>

namespace rdmakv::wire {

inline constexpr uint32_t kConnectMagic = 0x564b4452;  // "RDKV"
inline constexpr uint16_t kProtocolVersion = 8;
inline constexpr uint32_t kMaxWorkers = 1024;

#pragma pack(push, 1)

// At most 56 bytes: what CM private data has room for.
struct ConnectRequest {
  uint32_t magic = kConnectMagic;
  uint16_t version = kProtocolVersion;
  uint16_t worker = 0;         // the server's worker to be connected with; worker 0 always exists
  uint32_t receive_slots = 0;  // proposed sizes, as in EndpointOptions
  uint32_t message_bytes = 0;
  uint32_t max_reads = 0;
  uint32_t reserved = 0;  // 0
};

struct ConnectReply {
  uint32_t magic = kConnectMagic;
  uint16_t version = kProtocolVersion;
  uint16_t reserved = 0;
  uint32_t receive_slots = 0;  // at most what was proposed
  uint32_t message_bytes = 0;
  uint32_t max_reads = 0;
};

enum class RefusalCode : uint16_t {
  kVersion = 1,  // the versions differ
  kSecret = 2,   // a secret is missing or wrong
  kNoSuchWorker = 3,
  kTooManyConnections = 4,
  kBadRequest = 5,  // a field makes no sense
  kShuttingDown = 6,
};

// At most 148 bytes: what CM reject private data has room for. Also the body of a kRefusal message.
struct ConnectRefusal {
  uint32_t magic = kConnectMagic;
  uint16_t version = kProtocolVersion;
  RefusalCode code = RefusalCode::kBadRequest;
  char text[128] = {};  // for a human, zero-terminated
};

inline constexpr uint32_t kNonceBytes = 32;
inline constexpr uint32_t kProofBytes = 32;

struct Hello {
  uint16_t version = kProtocolVersion;
  uint16_t reserved = 0;
  uint32_t flags = 0;  // 0
  uint64_t client_id =
      0;  // random, one per client object; with Request.sequence names a request for ever
  uint8_t nonce[kNonceBytes] = {};
};

struct Challenge {
  uint16_t version = kProtocolVersion;
  uint8_t secret_wanted = 0;  // 1: the client must prove the secret
  uint8_t reserved = 0;
  uint32_t reserved2 = 0;
  uint8_t nonce[kNonceBytes] = {};
  uint8_t proof[kProofBytes] = {};  // zero when the server has no secret
};

// A region of memory that the receiver may reach, by this key, from this address on.
struct RegionGrant {
  uint64_t base = 0;
  uint64_t bytes = 0;
  uint32_t key = 0;
  uint32_t reserved = 0;
};

struct Proof {
  uint8_t proof[kProofBytes] = {};  // zero when no secret was wanted
  RegionGrant landing;              // where the server may WRITE replies to; bytes 0: nowhere
};

// Welcome.flags: the worker takes values from the client's landing region by loads
// (kValueInLanding), if the client lets it READ that.
inline constexpr uint32_t kTakesFromLanding = 1;

struct Welcome {
  uint64_t epoch = 0;  // another one at each start of the server; never 0
  uint64_t seed = 0;   // drawn at each start, and of hash_key() and entry_seed(): a secret of the
                       // server and its clients, neither logged nor shown to anybody
  uint64_t clock_ms = 0;  // the server's wall clock, which judges expiry: ms since 1970
  uint16_t workers = 0;   // = partitions of this server
  uint16_t worker = 0;    // the one at the other end of this connection
  uint32_t credits = 0;   // requests that may be outstanding on this connection
  RegionGrant ring;       // where this client may WRITE large requests to
  RegionGrant index;      // the worker's buckets; READ only
  RegionGrant pool;       // the worker's slab pool; READ only
  RegionGrant cas;        // READ, ATOMIC; bytes 0: this worker does CAS by request only
  RegionGrant grants;     // READ, WRITE, ATOMIC; likewise
  uint32_t bucket_count = 0;
  uint32_t flags = 0;            // kTakesFromLanding
  uint64_t max_value_bytes = 0;  // the largest value that this server takes at all
};

#pragma pack(pop)

static_assert(sizeof(ConnectRequest) == 24 && sizeof(ConnectRequest) <= 56);
static_assert(sizeof(ConnectRefusal) <= 148);

}  // namespace rdmakv::wire
