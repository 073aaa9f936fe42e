// The asynchronous client: embedded in the proxy's loops, under the C API, in kv_client and
// kv_bench.
//
//   Client client = *Client::create(fabric, options);
//   op.kind = OperationKind::kGet; op.key = "k"; op.done = on_done;
//   client.submit(op); client.flush();            // one doorbell per server connection
//   ... when client.fd() is readable, or in a loop: client.poll();
//
// Threads: a Client, its Operations and its ValueBuffers belong to one thread.
//
// What it does by itself: opens a connection to a server's worker when the first operation needs
// it; sends at most as much as the server gave credits for and keeps the rest in order; notices
// broken connections, ends what was outstanding on them and connects again (with growing pauses, up
// to half a second). Operations on one key are executed in the order in which they were submitted.
//
// When a connection breaks: reads are sent again on the next one until their deadline (and may then
// see a mutation of the same key that was submitted after them, if that was done before); a
// mutation that was sent ends with kUnknownOutcome and is never repeated; one that was not sent yet
// waits for the next connection. When no connection can be made, operations end with kUnavailable
// at once, `server` tells whose, and so do all that follow until one has been made: operations for
// other servers never wait for it.
//
// Deadlines: an Operation ends with kTimeout at its deadline at the latest. The default deadline
// counts from when the operation is sent; before that, from when its server was last heard of. So
// operations that wait in a long queue of ours, which moves, don't time out there. That of a large
// PUT, which goes in pieces, counts from when more of it had arrived than ever before. A landing
// buffer that the server may still write to is not used again before the server answered or the
// connection is gone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rdmakv/client/operation.h"
#include "rdmakv/transport/fabric.h"
#include "rdmakv/transport/status.h"

namespace rdmakv {

// How a GET is done. Whatever is chosen, a GET that finds no certain answer in the server's memory
// is asked of the server.
enum class GetPath : uint8_t {
  kAuto,      // kOneSided where a READ costs no round trip (shm); elsewhere a READ if the key's
              // location is cached, else a request. Where the device is emulated by software
              // (FabricLimits::emulated), requests also for several GETs that wait together, which
              // then share messages.
  kOneSided,  // without the server's CPU: also the location is looked up by READ
  kRequest,   // by request always
};
enum class CasPath : uint8_t {
  kAuto,     // by ATOMIC where the entry is known and allows it, else by request
  kRequest,  // by request always
};

struct ClientOptions {
  std::vector<FabricAddress> servers;  // at least one; all on the Client's fabric
  // Their shares of the keys (slot_map.h), positive, one per server; empty: all alike. The same at
  // every client, or clients look for keys in different places.
  std::vector<double> weights;
  std::string secret;      // empty: none
  uint32_t credits = 128;  // requests outstanding per connection, at most what servers grant
  // Of the buffers of small messages, some 2 * credits of them at each end of a connection, at most
  // what servers agree to. 0: wire::kMessageBytes; 16 KiB where the device is emulated by software
  // and over shared memory, where a message costs more than memory does.
  uint32_t message_bytes = 0;
  uint64_t arena_bytes = 64ull << 20;   // registered memory for large values; a multiple of 1 MiB
  uint32_t landing_bytes = 64 * 1024;   // landing buffer of a GET whose value's size is not known
  uint64_t timeout_ns = 5'000'000'000;  // default deadline of an operation
  uint64_t connect_timeout_ns = 3'000'000'000;
  uint64_t keepalive_ns = 5'000'000'000;  // an idle connection is probed this often
  GetPath get_path = GetPath::kAuto;
  CasPath cas_path = CasPath::kAuto;
  uint64_t location_cache_bytes = 4ull << 20;  // 16 bytes a location; 0: none is remembered
};

// Why a GET that had begun without the server was asked of it after all.
enum class Detour : uint8_t {
  kNoEntry,   // the entry is dead and names no successor: deleted, expired, or its place reused
  kReused,    // its place holds another entry
  kTorn,      // it changed while it was READ
  kOtherKey,  // a hash collision
  kExpiry,    // it has expired, or may have
  kOverflow,  // the key may lie where only the server looks
  kTooLong,   // the successors go on and on
  kLate,      // it took so long that what a slot said may have become untrue
  kOrder,     // an earlier GET of the key went to the server, or found a newer version
  kTooLarge,  // for the buffers
};
inline constexpr size_t kDetours = 10;
const char* detour_name(Detour why);

// GETs without the server's CPU.
struct DirectCounters {
  uint64_t cached = 0;                         // answered by one READ at a cached location
  uint64_t forwarded = 0;                      // that, and READs of successors
  uint64_t indexed = 0;                        // by READ of the buckets, then of the entry
  uint64_t not_found = 0;                      // by READ of the buckets: no such key
  uint64_t entry_reads = 0, bucket_reads = 0;  // READs posted
  uint64_t round_trips = 0;                    // READs posted together for one GET are one
  uint64_t detours[kDetours] = {};
};

// Counts of CAS by version.
struct CasCounters {
  uint64_t swaps_won = 0, swaps_lost = 0;  // by ATOMIC
  uint64_t requests = 0;                   // by request
  uint64_t contended = 0;                  // of these, because ATOMICs on the key were lost before
};

struct ClientCounters {
  uint64_t operations = 0;  // done
  uint64_t errors = 0;      // done with a code that is not an answer (timeout, broken, ...)
  uint64_t connects = 0, disconnects = 0;
  // Connections that ended while the server, stopped perhaps, was in the middle of writing to this
  // client (shm): their landing buffers are kept until it no longer can. All, and at present.
  uint64_t quarantines = 0, quarantined = 0;
  uint64_t requests = 0, messages = 0;  // sent by RPC; messages they were gathered in
  // Times that an operation waited for the network: an answer to a request, READs posted together,
  // an ATOMIC. What goes on behind an operation's back does not count. Chunks of a large value
  // overlap, and count each.
  uint64_t round_trips = 0;
  DirectCounters direct;
  CasCounters cas;
  uint64_t locations_known = 0, locations_unknown = 0;  // lookups of the location cache
  uint64_t locations_evicted = 0;
  EndpointCounters verbs;  // summed over connections, past ones too
};

// A server's state, for INFO and stats.
struct ServerState {
  std::string name;
  bool reachable = false;  // a connection to its worker 0 is up
  uint32_t workers = 0;    // 0: not known yet
  uint64_t epoch = 0;
  std::string last_error;
  // "server NAME is not reachable: why", for whoever asked for one of its keys.
  std::string unreachable_text() const;
};

class Client {
 public:
  // Allocates and registers the client's memory; connects nothing yet. `fabric` outlives the
  // Client.
  static Result<std::unique_ptr<Client>> create(Fabric& fabric, const ClientOptions& options);
  // Ends everything outstanding with kCancelled (done is called; what it submits then is not taken
  // and has kCancelled as its code), then closes the connections. Every ValueBuffer, those in
  // Operations too, must have been given back before.
  virtual ~Client() = default;

  // Takes an operation. It ends through op.done, always from within poll(). Returns at once.
  virtual void submit(Operation& operation) = 0;
  // Sends what was submitted: one doorbell per connection. poll() does it too, at its end.
  virtual void flush() = 0;
  // Handles what has come, without blocking; calls `done`s. Returns how many operations ended.
  virtual size_t poll() = 0;

  // Sleeping in an event loop: when poll() returned 0 and arm() then returns true, fd() becomes
  // readable as soon as poll() would have something to do (deadlines and reconnects included). When
  // arm() returns false, poll() again instead.
  virtual int fd() const = 0;
  virtual bool arm() = 0;
  // Whether operations are under way (adaptive polling: spin a little, then arm and sleep).
  virtual bool busy() const = 0;

  // A registered buffer of at most 1 MiB, or an empty one when the arena is used up for now.
  virtual ValueBuffer allocate(uint32_t bytes) = 0;
  // Values up to this size are put by one WRITE_WITH_IMM; kPut takes larger ones too and cuts them.
  virtual uint32_t max_single_put() const = 0;

  // Connects to worker 0 of every server and waits until each has answered or failed, up to the
  // connect timeout; the first failure is returned. For programs that want to know at start; not
  // needed otherwise.
  virtual Status connect_and_wait() = 0;
  // The same, but it is enough that one server can be reached: the others fail their own keys, and
  // come back by themselves.
  Status connect_to_any();
  // After an operation that ended with kUnavailable because of `server`: lets attempts to connect
  // to it that are under way go on, for at most `patience_ns`, and tells whether it can be reached
  // now. For programs that poll() only while they wait, and so may find that it came back long ago.
  virtual bool await_server(uint16_t server, uint64_t patience_ns) {
    (void)patience_ns;
    return this->server(server).reachable;
  }
  // Blocks until `operation`, which must have been submitted here, is done.
  virtual void wait(Operation& operation) = 0;

  // Whether both keys are with one worker of one server, as far as is known.
  virtual bool same_worker(std::string_view a, std::string_view b) const = 0;
  // Whether one worker has all keys there are.
  virtual bool has_one_worker() const = 0;
  // Whether the key is with this worker of this server, as far as is known.
  virtual bool is_with(std::string_view key, uint16_t server, uint16_t worker) const = 0;

  // Our estimate of the server's clock that judges the key's expiry: ms since 1970.
  virtual int64_t server_clock_ms(std::string_view key) const = 0;

  virtual ClientCounters counters() const = 0;
  virtual std::vector<ServerState> servers() const = 0;
  // `index` as Operation::server.
  virtual ServerState server(uint16_t index) const { return servers().at(index); }

 protected:
  Client() = default;
};

}  // namespace rdmakv
