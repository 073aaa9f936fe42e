// A Fabric for tests of the client: the other end of every connection is a FakeServer in the same
// thread, which speaks the wire protocol and can be told to misbehave at any step. Nothing happens
// by itself: what the client hands over by flush() reaches the server at once, and what the server
// sends is there at the client's next poll().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/kv_message.h"
#include "rdmakv/transport/fabric.h"

namespace rdmakv::fakes {

class FakeFabric;
class FakeServer;

class FakeRegion final : public MemoryRegion {
 public:
  explicit FakeRegion(size_t bytes);
  ~FakeRegion() override;
};

class FakeCompletionQueue final : public CompletionQueue {
 public:
  FakeCompletionQueue();
  ~FakeCompletionQueue() override;
  size_t poll(std::span<Completion> completions) override;
  int fd() const override { return fd_; }
  Status arm() override { return Status::ok(); }

  void push(const Completion& completion);
  void discard(const Endpoint* endpoint);

 private:
  std::deque<Completion> waiting_;
  int fd_;
};

class FakeEndpoint final : public Endpoint {
 public:
  FakeEndpoint(FakeFabric& fabric, const EndpointOptions& options, FakeCompletionQueue& queue,
               const wire::ConnectRequest& request);
  ~FakeEndpoint() override;

  MessageBuffer acquire_message() override;
  void abandon_message(MessageBuffer message) override;
  bool send(MessageBuffer message, uint32_t length, uint64_t context, bool signalled) override;
  bool write_with_imm(MessageBuffer header, uint32_t header_length,
                      std::span<const LocalBuffer> body, RemoteAddress to, uint32_t immediate,
                      uint64_t context, bool signalled) override;
  bool write(std::span<const LocalBuffer>, RemoteAddress, uint64_t, bool) override { return false; }
  bool read(LocalBuffer into, RemoteAddress from, uint64_t context, bool signalled,
            bool fence) override;
  bool compare_and_swap(LocalBuffer, RemoteAddress, uint64_t, uint64_t, uint64_t, bool,
                        bool) override {
    return false;
  }
  void flush() override;
  void release_message(uint32_t slot) override;
  Status expose(const MemoryRegion& region) override;
  void probe() override { ++probes; }
  void close() override { up_ = false; }
  bool peer_may_write() override { return server_inside; }
  std::string_view peer_name() const override { return "fake"; }
  std::string_view error_text() const override { return error_; }

  // ---- for tests and for the FakeServer ----
  void come_up();
  void deliver(std::span<const std::byte> message);
  // A WRITE_WITH_IMM into the client's landing region; `body` is written at `offset` bytes.
  void deliver_write(uint64_t offset, std::span<const std::byte> body, uint32_t immediate);
  void cut(Code code = Code::kUnavailable, std::string text = "cut by the test");
  void complete_reads();

  const wire::ConnectRequest request;
  int probes = 0;
  int receives_in_use = 0;
  bool server_inside = false;  // in the middle of a WRITE
  const MemoryRegion* exposed = nullptr;
  wire::RegionGrant landing;  // as the Proof said
  bool proven = false;

 private:
  struct Work {
    bool is_read = false;
    bool by_write = false;
    uint32_t immediate = 0;
    RemoteAddress at;
    LocalBuffer into;
    uint64_t context = 0;
    std::vector<std::byte> bytes;
  };
  void execute_read(const Work& work);

  FakeFabric& fabric_;
  FakeCompletionQueue& queue_;
  std::vector<std::vector<std::byte>> send_buffers_;
  std::vector<uint32_t> free_sends_;
  std::vector<std::vector<std::byte>> receives_;
  std::vector<uint32_t> free_receives_;
  std::vector<Work> chain_;
  std::vector<Work> held_reads_;
  bool up_ = false;
  std::string error_;
};

struct FakeRequest {
  wire::RequestHeader header;
  std::string key;
  std::string value;
  FakeEndpoint* endpoint = nullptr;
};

struct FakeMessage {
  bool by_write = false;
  uint32_t immediate = 0;
  std::vector<FakeRequest> requests;
};

// All workers of one server.
class FakeServer {
 public:
  FakeServer();

  // Handshake
  uint64_t epoch = 7;
  uint16_t workers = 1;
  uint32_t credits = 128;
  std::string secret;
  uint16_t version = wire::kProtocolVersion;
  bool hold_handshake = false;  // say nothing after Hello
  std::function<void(wire::Welcome&)> change_welcome;
  std::optional<wire::RefusalCode> refuse;  // instead of the challenge

  // Requests: recorded, and answered unless held.
  bool hold = false;
  // Answers a request in its own way (true), or leaves it to the server.
  std::function<bool(const FakeRequest&)> intercept;
  // Answers what was held, oldest first.
  void answer_held();
  void answer(const FakeRequest& request);
  void reply(const FakeRequest& request, wire::ReplyHeader header, std::string_view value = {});
  // One message with all of these.
  void send_reply_message(FakeEndpoint& endpoint, const wire::ReplyHeader& header,
                          std::string_view value = {});
  void land_reply(const FakeRequest& request, wire::ReplyHeader header, std::string_view value);
  // Puts an entry into the pool and answers with a pin on it.
  void pin_reply(const FakeRequest& request, std::string_view value, uint64_t ticket = 77);
  wire::ReplyHeader pin(std::string_view key, std::string_view value, uint64_t ticket);

  std::vector<FakeMessage> messages;
  std::deque<FakeRequest> held;
  size_t most_outstanding = 0;
  int proofs = 0;  // handshakes that got so far
  size_t writes_outside_ring = 0;
  std::vector<uint64_t> released;
  std::vector<uint64_t> aborted;

  struct Entry {
    std::string value;
    uint64_t version = 0;
  };
  std::map<std::string, Entry> entries;
  std::vector<std::string> put_order;     // keys, as kPuts brought them
  std::vector<std::string> get_order;     // keys, as kGets brought them
  std::optional<std::string> refuse_put;  // that key of a kPuts gets kNoSpace
  std::vector<std::byte> ring, pool;

  // From the endpoint.
  void on_message(FakeEndpoint& endpoint, std::span<const std::byte> message);
  void on_write(FakeEndpoint& endpoint, RemoteAddress to, std::span<const std::byte> bytes,
                uint32_t immediate);
  uint64_t outstanding = 0;

 private:
  void handshake(FakeEndpoint& endpoint, wire::MessageReader& reader);
  void take(FakeEndpoint& endpoint, std::span<const std::byte> message, bool by_write,
            uint32_t immediate);
  void put(const FakeRequest& request, std::string value);
  void puts(const FakeRequest& request);
  void gets(const FakeRequest& request);

  struct Upload {
    std::string value;
  };
  std::map<uint64_t, Upload> uploads_;
  uint64_t next_ticket_ = 1000;
  uint64_t pool_used_ = 64;
};

class FakeFabric final : public Fabric {
 public:
  FakeServer server;

  Result<std::unique_ptr<MemoryRegion>> allocate(const RegionOptions& options) override;
  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(uint32_t depth) override;
  Result<std::unique_ptr<Endpoint>> connect(const FabricAddress& address,
                                            const wire::ConnectRequest& request,
                                            const EndpointOptions& options,
                                            CompletionQueue& queue) override;
  Result<std::unique_ptr<Listener>> listen(const FabricAddress& address,
                                           ConnectionHandler& handler) override;
  FabricLimits limits() const override {
    FabricLimits limits{1u << 30, 1u << 16, 16, 1024, true, true, true};
    if (emulated_reads || adapter) limits.reads_are_loads = false;
    limits.emulated = emulated_reads;
    return limits;
  }
  std::string_view name() const override { return "fake"; }
  std::string describe() const override { return "fake"; }

  // The connection to `worker` that is there now, or null.
  FakeEndpoint* endpoint(uint16_t worker = 0);

  Status connect_error;         // connect() itself fails
  bool hold_connect = false;    // kConnected does not come
  bool emulated_reads = false;  // as over Soft-RoCE, and not as over shared memory
  bool adapter = false;         // as over an RDMA adapter, likewise
  bool hold_reads = false;      // READs complete at complete_reads()
  int fail_posts = 0;           // so many posts fail
  uint32_t agreed_message_bytes = 0;
  uint32_t agreed_receive_slots = 0;
  int connects = 0;
  int destroyed = 0;
  int doorbells = 0;  // that handed over something
  std::vector<FakeEndpoint*> endpoints;
};

}  // namespace rdmakv::fakes
