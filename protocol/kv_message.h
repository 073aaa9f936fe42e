// The RPC messages between a client and a server worker: wire structs, a builder, a parser. Pure
// code: no I/O. Both ends include this header, and nothing else says how bytes lie on the wire.
//
// A message is what one SEND or one WRITE_WITH_IMM carries:
//
//   +---------------+ +---------------+-----+-------+ +---------------+-----+-------+
//   | MessageHeader | | RequestHeader | key | value | | RequestHeader | key | value | ...
//   +---------------+ +---------------+-----+-------+ +---------------+-----+-------+
//        16 bytes           56 bytes        ^ no padding inside; each request starts 8-byte aligned
//
// and likewise ReplyHeader (56 bytes) + value for replies. Every integer is little endian.
//
// Credits: a client has at most Welcome.credits requests outstanding on a connection. Each end has
// posted at least that many receives, so no message ever finds none; a reply gives the credit back.
//
// Large requests (encoded size beyond the message buffer) are WRITTEN_WITH_IMM, as a message of one
// request, into the ring that the server granted to the connection: the immediate is the offset in
// the ring in units of kRingUnit bytes. The client alone manages the ring: a stretch of it is used
// again once the reply to the request that lies in it has come.
//
// Large replies: a request names a landing buffer (in the region that the client granted). A GET
// whose value has kLargeValue bytes or more, and whose message fits there, is answered by
// WRITE_WITH_IMM of a message of one reply into it, immediate = the request's id. When it does not
// fit, the reply is kPinned: it tells the entry's place and size, and the entry stays there,
// unchanged, for the client to READ, until the client sends kRelease or the connection ends.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "protocol/kv_modify.h"

namespace rdmakv::wire {

static_assert(std::endian::native == std::endian::little, "structs go over the wire as they are");

inline constexpr uint16_t kMessageMagic = 0x564b;  // "KV"
inline constexpr uint32_t kMessageBytes = 4608;    // default size of a message buffer
inline constexpr uint32_t kLargeValue = 4096;      // values from this size on go by WRITE_WITH_IMM
inline constexpr uint32_t kMaxKeyBytes = 64 * 1024;
inline constexpr uint64_t kMaxValueBytes = 512ull << 20;
inline constexpr uint32_t kRingUnit = 64;        // bytes; unit of ring and landing offsets
inline constexpr uint32_t kRingBytes = 1 << 20;  // default size of a connection's ring
inline constexpr uint32_t kMaxRequestsPerMessage = 512;
inline constexpr uint32_t kMaxRequestsPerTransaction = 65535;
// A larger value travels as an upload, in chunks of at most this many bytes.
inline constexpr uint32_t kMaxChunk = 256 * 1024;

enum class MessageKind : uint8_t {
  kRequests = 1,
  kReplies = 2,
  kHello = 3,
  kChallenge = 4,
  kProof = 5,
  kWelcome = 6,
  kRefusal = 7,
};

enum class Opcode : uint8_t {
  kGet = 1,            // -> value
  kInspect = 2,        // -> version, value length, expiry; no value. kNotFound: `number` counts the
                       // keys removed so far of those that share a counter with this one
  kPut = 3,            // conditions, expiry; CAS is a PUT under Condition::kIfVersion
  kDelete = 4,         // Condition::kIfVersion possible
  kExpire = 5,         // set or remove the expiry under conditions
  kCount = 6,          // keys of this partition -> value length field
  kClear = 7,          // remove every key of this partition; with `wanted`, about so many of them,
                       // from the place `cursor` of its index on -> `cursor` where to go on, or 0
  kRelease = 8,        // give up a pin: `ticket`
  kUploadBegin = 9,    // reserve an extent for key and a value of `total` bytes -> ticket
  kUploadChunk = 10,   // bytes at `offset` of the upload `ticket`
  kUploadCommit = 11,  // like kPut, with the value uploaded under `ticket`
  kUploadAbort = 12,
  kPing = 13,   // nothing; the reply carries the clock
  kStats = 14,  // -> the worker's counters as text, "name value\n" lines
  // For one-sided CAS. The value is an array of uint64_t, offsets of granted extents whose entries
  // the client has linked: hints, which free nothing by themselves. `wanted`: how many more extents
  // the client would like -> an array of Grant, as many as the server gives, perhaps none.
  kGrants = 15,
  // Several requests in one step (kv_transaction.h): the value is a message of requests, or, when
  // `ticket` is not 0, has been uploaded under it -> a message of replies. `key` is one of theirs.
  kTransaction = 16,
  // A function of the key's value (kv_modify.h), executed in one step.
  kModify = 17,
  kEvaluate = 18,  // changes nothing
  // Keys of this partition, in the order of its index, from the place `cursor` on: at most `wanted`
  // of them, and no more than go into a message -> the value is [u32 length | key] for each, not
  // aligned, and `cursor` where to go on, 0 when the end was reached. The reply to a long search
  // may hold no key. A key too long for a message comes alone, as the value of a kOneKey reply.
  kScan = 19,
  kRandomKey = 20,  // -> any key, each as likely as the others, kOneKey; `cursor`: number of keys
  // The key named by the request's value is stored anew, with the value and the expiry of `key`,
  // under a condition on it and not on `key`. Both are of this worker, or kWrongWorker; kNotFound
  // when there is no `key`. kRename removes `key` in the same step.
  kCopy = 21,
  kRename = 22,
  // The key gets what the values of some keys of this worker (or kWrongWorker) make together
  // (kv_combine.h), and no expiry; where that is nothing it is removed -> `number`: its length.
  kCombine = 23,
  // Plain puts of several keys (kv_puts.h) -> what came of each.
  kPuts = 24,
  kGets = 25,  // gets of several keys (kv_gets.h) -> values, and what a kGet tells of each
};
inline constexpr Opcode kLastOpcode = Opcode::kGets;

// What a mutation requires of the key's present state; unmet: kConditionNotMet (or
// kVersionMismatch).
enum class Condition : uint8_t {
  kAlways = 0,
  kIfAbsent = 1,
  kIfPresent = 2,
  kIfVersion = 3,  // version 0: the key must not exist
  // kExpire only, as Redis has them: NX XX GT LT
  kIfNoExpiry = 4,
  kIfExpiry = 5,
  kIfLater = 6,
  kIfSooner = 7,
  kIfExpirySooner = 8,     // XX and LT
  kIfVersionOrAbsent = 9,  // kModify only
  // kInspect as a precondition only: the key does not exist, and has not existed since a kInspect
  // that was answered kNotFound and by the number that is `version` here. (Rarely unmet although it
  // has not: another key that shares the counter was removed.)
  kIfStillAbsent = 10,
};
inline constexpr Condition kLastCondition = Condition::kIfStillAbsent;

// RequestHeader.flags
inline constexpr uint8_t kKeepExpiry = 1;  // kPut, kUploadCommit: keep the expiry that the key has
// kPut, kDelete, kExpire, kModify, kUploadCommit: the reply carries the value before, as kGet
// would, also when the condition was not met.
inline constexpr uint8_t kWantPrevious = 2;
// kPut, kUploadCommit: likewise, but only when the condition was not met.
inline constexpr uint8_t kWantIfUnmet = 4;
// kPut: the value is not in the message, `value_length` is 0. It lies at `value_place` of the
// client's landing region, and stays there until the reply. Only where the server reaches that by
// loads (shm).
inline constexpr uint8_t kValueInLanding = 8;
// kGets: of a key that is there the value alone is wanted (kv_gets.h).
inline constexpr uint8_t kValuesOnly = 16;

// ReplyHeader.flags
inline constexpr uint8_t kHasValue = 1;  // value_length bytes of value follow the header
// The value did not fit the landing buffer: READ it at `location`, then kRelease `ticket`.
inline constexpr uint8_t kPinned = 2;
inline constexpr uint8_t kExpiryField = 4;  // the entry at `location` has an expiry field
inline constexpr uint8_t kCasClass = 8;     // the entry at `location` may be changed by ATOMICs
inline constexpr uint8_t kOneKey = 16;      // kScan, kRandomKey: the value is one key, as it is

enum class ReplyStatus : uint8_t {
  kOk = 0,
  kNotFound = 1,
  kVersionMismatch = 2,  // `version` is the current one (0: no such key)
  kConditionNotMet = 3,
  kNoSpace = 4,      // pool or index full; nothing changed
  kTooLarge = 5,     // larger than this server can ever take
  kBadRequest = 6,   // the request makes no sense; nothing changed
  kWrongWorker = 7,  // the key belongs to another worker
  kNoSuchTicket = 8,
  kTooMany = 9,   // pins or uploads of this connection
  kRefused = 10,  // kModify: the function could not be applied; number: Refusal
};

#pragma pack(push, 1)

struct MessageHeader {
  uint16_t magic = kMessageMagic;
  MessageKind kind = MessageKind::kRequests;
  uint8_t reserved = 0;    // 0
  uint16_t count = 0;      // requests or replies in the message; else 1
  uint16_t reserved2 = 0;  // 0
  uint64_t clock_ms = 0;   // from a server: its clock; from a client: 0
};

struct RequestHeader {
  Opcode opcode = Opcode::kGet;
  uint8_t flags = 0;  // as above, for each opcode those of its row in kv_opcode.h
  Condition condition = Condition::kAlways;
  Function function = Function::kNone;  // kModify, kEvaluate
  uint32_t id = 0;                      // comes back in the reply; the client's business
  uint64_t sequence = 0;                // per client id, rising: names the request for ever
  uint32_t key_length = 0;
  uint32_t value_length = 0;  // bytes of value (or chunk) in this message
  union {
    uint64_t version = 0;  // what Condition::kIfVersion, kIfStillAbsent ask for
    uint64_t cursor;       // kScan, kClear: where to begin; 0: at the beginning
  };
  union {
    int64_t expiry_ms = 0;  // kPut, kExpire, kModify, kUploadCommit: ms since 1970; 0: none
    uint64_t offset;        // kUploadChunk: where the chunk lies in the value
    uint64_t total;         // kUploadBegin: bytes of the whole value
    uint64_t wanted;        // kGrants: extents; kScan, kClear: keys
  };
  union {
    uint64_t ticket = 0;   // kRelease: the pin; kUpload...: the upload; kModify: that, or 0; else 0
    uint64_t value_place;  // kValueInLanding
  };
  uint32_t landing_offset = 0;  // units of kRingUnit in the client's landing region
  uint32_t landing_bytes = 0;   // 0: none
};

struct ReplyHeader {
  ReplyStatus status = ReplyStatus::kOk;
  uint8_t flags = 0;        // kHasValue, kPinned
  uint16_t user_flags = 0;  // of the key after the request (kv_layout.h)
  uint32_t id = 0;          // of the request
  union {
    uint64_t version = 0;  // of the key after the request; 0: no such key
    uint64_t cursor;       // kScan, kRandomKey, kClear
  };
  int64_t expiry_ms = 0;  // of the key after the request; 0: none
  // Of the entry: its offset (kv_layout.h), 0: nowhere. It is the entry of the key after the
  // request, but under kPinned the entry that is pinned.
  uint64_t location = 0;
  uint64_t ticket = 0;      // kPinned: the pin; kUploadBegin: the upload
  uint32_t generation = 0;  // of the entry at `location`
  // kHasValue: of the value that follows; kPinned, kInspect: of the value meant; kModify without a
  // value: of the key's value now.
  uint32_t value_length = 0;
  // kCount, kClear: keys; kCombine: bytes; kInspect, kNotFound: keys removed; kModify, kEvaluate:
  // what the function says; kTransaction that did not take place: the first precondition that was
  // not met, counted from 0; kPinned: bytes from the start of the extent at `location` to the value
  // (an entry may have an unused expiry field).
  uint64_t number = 0;
};

// Extents granted to a connection at a time, at most: those that the server has not yet seen
// linked.
inline constexpr uint32_t kMostGrants = 32;

// An extent in the region of grants that the client alone may write to, to build there an entry of
// the cas class under this generation, until it has linked it or its connection ends. The first
// word is live under this generation already, and not the client's to write.
struct Grant {
  uint64_t offset = 0;
  uint32_t generation = 0;
  uint32_t reserved = 0;
};

#pragma pack(pop)

// A place in the landing region: [ bytes from its base 34 | bytes 30 ].
struct ValuePlace {
  uint64_t offset = 0;
  uint32_t length = 0;
  static constexpr uint64_t kMostOffset = (uint64_t{1} << 34) - 1;
  constexpr uint64_t encode() const { return offset << 30 | length; }
  static constexpr ValuePlace decode(uint64_t word) {
    return {word >> 30, static_cast<uint32_t>(word) & ((1u << 30) - 1)};
  }
};

static_assert(sizeof(Grant) == 16);
static_assert(sizeof(MessageHeader) == 16);
static_assert(sizeof(RequestHeader) == 56);
static_assert(sizeof(ReplyHeader) == 56);

// Bytes that a request or reply with these parts takes in a message, padding included.
constexpr uint64_t padded(uint64_t bytes) {
  return (bytes + 7) & ~uint64_t{7};
}
constexpr uint64_t request_bytes(uint64_t key_length, uint64_t value_length) {
  return padded(sizeof(RequestHeader) + key_length + value_length);
}
constexpr uint64_t reply_bytes(uint64_t value_length) {
  return padded(sizeof(ReplyHeader) + value_length);
}
// The longest value that goes inside a message of replies.
constexpr uint64_t inline_room(uint64_t message_bytes) {
  constexpr uint64_t kHead = sizeof(MessageHeader) + sizeof(ReplyHeader);
  const uint64_t whole = message_bytes / 8 * 8;
  return whole <= kHead ? 0 : std::min<uint64_t>(whole - kHead, kLargeValue - 1);
}

// One request as it was received. The header is a copy, so what was checked is what is used; key
// and value still lie in the message, which a hostile peer may be able to change (a ring, shared
// memory): copy first, then look.
struct RequestView {
  RequestHeader header;
  std::string_view key;
  std::span<const std::byte> value;
};

struct ReplyView {
  ReplyHeader header;
  std::span<const std::byte> value;
};

// Reads a received message piece by piece and trusts nothing in it. Not one byte outside `message`
// is touched whatever it holds.
class MessageReader {
 public:
  // `message` must stay while views into it are used. `most`: requests or replies in it.
  explicit MessageReader(std::span<const std::byte> message,
                         uint32_t most = kMaxRequestsPerMessage);

  // False: the header is malformed; error() says how.
  bool valid() const { return error_ == nullptr; }
  const MessageHeader& header() const { return header_; }

  // The next request (reply). False at the end, and when the rest is malformed: then !valid().
  bool next(RequestView& request);
  bool next(ReplyView& reply);
  // The body of a handshake message, whose size must be exactly that of T.
  template <typename T>
  bool body(T& out);

  // What is wrong, in words; null while nothing is.
  const char* error() const { return error_; }

 private:
  bool take(void* out, size_t bytes);
  void skip_padded(uint64_t bytes);
  bool fail(const char* error) {
    error_ = error;
    return false;
  }

  std::span<const std::byte> rest_;
  MessageHeader header_;
  uint16_t seen_ = 0;
  const char* error_ = nullptr;
};

// A request's value as kModify and kEvaluate have it: the parts lie behind one another.
struct ValueParts {
  std::span<const std::byte> operands;
  std::string_view comparison;
  std::span<const std::byte> rest;
  uint64_t head_size() const { return operands.size() + comparison.size(); }
  uint64_t size() const { return head_size() + rest.size(); }
};

// Builds a message in a caller's buffer. add_* return false, and change nothing, when the piece
// does not fit any more. finish() writes the header and returns the message's length.
class MessageBuilder {
 public:
  MessageBuilder() = default;
  MessageBuilder(std::span<std::byte> buffer, MessageKind kind) : buffer_(buffer), kind_(kind) {}

  bool add_request(const RequestHeader& header, std::string_view key,
                   std::span<const std::byte> value);
  // The same for a value in parts.
  bool add_request_in_parts(const RequestHeader& header, std::string_view key,
                            const ValueParts& parts);
  // A request whose value is not copied here but follows the message in a gather list: the header
  // announces `header.value_length` bytes, and only header and key (and `parts` without their rest)
  // are written. Must be the only one.
  bool add_request_head(const RequestHeader& header, std::string_view key,
                        const ValueParts& parts = {});
  // Makes the value of the last request, which must have been added by add_request(), longer by
  // `bytes`, a multiple of 8: where they are to be written. Null: they do not fit, nothing
  // happened.
  std::byte* extend_request(uint32_t bytes);
  // How many bytes fit yet.
  uint64_t room() const { return buffer_.size() > used_ ? (buffer_.size() - used_) / 8 * 8 : 0; }
  bool add_reply(const ReplyHeader& header, std::span<const std::byte> value);
  bool add_reply_head(const ReplyHeader& header);
  template <typename T>
  bool add_body(const T& body);

  bool empty() const { return count_ == 0; }
  uint16_t count() const { return count_; }
  uint32_t finish(uint64_t clock_ms);

 private:
  std::byte* reserve(uint64_t bytes);

  std::span<std::byte> buffer_;
  MessageKind kind_ = MessageKind::kRequests;
  uint16_t count_ = 0;
  uint32_t used_ = sizeof(MessageHeader);
  uint32_t last_ = 0;         // where the header of the last request is
  uint32_t last_length_ = 0;  // of its value
};

template <typename T>
bool MessageReader::body(T& out) {
  if (error_ != nullptr) return false;
  if (rest_.size() != sizeof(T)) return fail("handshake message of a wrong size");
  return take(&out, sizeof(T));
}

template <typename T>
bool MessageBuilder::add_body(const T& body) {
  std::byte* to = reserve(sizeof(T));
  if (to == nullptr) return false;
  std::memcpy(to, &body, sizeof(T));
  count_ = 1;
  return true;
}

}  // namespace rdmakv::wire
