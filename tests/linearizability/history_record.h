// What a client did, as it is written down while it runs and checked afterwards: one record of 64
// bytes per operation, one file per client thread, in the order of invocation.
//
// A record is written in two steps, so that it survives the death of its writer at any moment: at
// the invocation everything that is asked, `invoke_ns` last; at the answer everything that came of
// it, `outcome` last. An operation whose writer died in between stays kOpen: its effect is unknown.
//
// Times are CLOCK_MONOTONIC in ns, which all processes of one host share. `invoke_ns` is read
// before the operation is submitted and `return_ns` after its answer is there, so the recorded
// interval contains the real one.
#pragma once

#include <cstdint>

namespace rdmakv::linearizability {

enum class Kind : uint8_t {
  kGet = 1,
  kPut,
  kDelete,
  kCas,      // by version; expected version 0: there must be no such key
  kRestart,  // of the server: every key is absent afterwards, and versions start anew. Concerns all
             // keys
  kExpire,   // another deadline for the same value, by version: `version_in` is the version that
             // some answered operation told together with the value
};

enum class Outcome : uint8_t {
  kOpen = 0,  // no answer was written down: as kUnknown
  kOk,        // GET found, PUT stored, DEL removed, CAS won, EXPIRE found the version
  kAbsent,    // GET, DEL, EXPIRE: no such key
  kLost,      // CAS, EXPIRE: the key has another version, `version_out`
  kUnknown,   // a change that may take effect at any time after its invocation, or never
  kNoEffect,  // refused for certain: it changed nothing and tells nothing
  kCorrupt,   // GET: bytes that no writer could have written (torn, or of another key)
};

// By what way the answer came, for statistics only.
enum class Path : uint8_t {
  kUntold = 0,
  kRpc,
  kRead,       // one-sided, at a cached location
  kForwarded,  // one-sided, by way of a forward pointer
  kIndexRead,  // one-sided, after an index lookup by READ
  kAtomic,     // CAS by RDMA atomic
};
inline constexpr int kPaths = 6;

// The value of a zero-length entry, which can't name its writer. Any number of operations may
// write it; every other value id is written by one operation at most.
inline constexpr uint64_t kEmptyValue = 0;

struct Record {
  uint64_t invoke_ns = 0;  // 0: there is no record here
  uint64_t return_ns = 0;
  uint64_t key = 0;          // id
  uint64_t value = 0;        // id of the value written (PUT, CAS) or read (GET)
  uint64_t version_in = 0;   // CAS, EXPIRE: the version expected
  uint64_t version_out = 0;  // of the key after the operation. 0: GET, CAS lost: no such key; DEL:
                             // always; PUT, CAS won, EXPIRE: its deadline had passed, the key is
                             // gone. EXPIRE: `version_in`, when there was nothing to change
  uint64_t deadline_ns = 0;  // PUT, CAS, EXPIRE: the entry may vanish from then on; 0: it stays
  uint32_t value_bytes = 0;  // for statistics and humans
  Kind kind = Kind::kGet;
  Outcome outcome = Outcome::kOpen;
  Path path = Path::kUntold;
  uint8_t reserved = 0;
};
static_assert(sizeof(Record) == 64);

inline constexpr uint64_t kNever = ~uint64_t{0};

constexpr bool is_write(const Record& record) {
  return record.kind == Kind::kPut || record.kind == Kind::kCas;
}
constexpr bool is_unknown(const Record& record) {
  return (record.outcome == Outcome::kOpen || record.outcome == Outcome::kUnknown) &&
         record.kind != Kind::kGet && record.kind != Kind::kRestart;
}
// Tells the checker nothing: refused, or a GET without an answer.
constexpr bool is_void(const Record& record) {
  if (record.outcome == Outcome::kNoEffect) return true;
  return record.kind == Kind::kGet &&
         (record.outcome == Outcome::kOpen || record.outcome == Outcome::kUnknown);
}

}  // namespace rdmakv::linearizability
