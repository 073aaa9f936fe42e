// A client with its hands on the wire: says what a test wants it to say, right or wrong.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "protocol/kv_handshake.h"
#include "protocol/kv_message.h"
#include "rdmakv/transport/authentication.h"
#include "rdmakv/transport/fabric.h"

namespace rdmakv::server {

struct RawReply {
  wire::ReplyHeader header;
  std::string value;
  bool landed = false;  // came by WRITE_WITH_IMM
};

class RawClient {
 public:
  static constexpr size_t kLanding = 1 << 20;
  using Bytes = std::vector<std::byte>;

  // `server` is where to connect to, but for the port.
  explicit RawClient(Fabric& fabric, FabricAddress server = {})
      : fabric_(fabric), server_(std::move(server)) {
    queue_ = std::move(*fabric.create_completion_queue(1024));
    RegionOptions options;
    options.bytes = kLanding;
    options.remote_access = RemoteAccess::kWrite | RemoteAccess::kRead;
    options.name = "raw_client.landing";
    landing_ = std::move(*fabric.allocate(options));
    options.remote_access = RemoteAccess::kNone;
    options.name = "raw_client.source";
    source_ = std::move(*fabric.allocate(options));
  }
  ~RawClient() { drop(); }

  std::byte* landing() const { return landing_->data(); }

  // Goes without a word.
  void drop() { endpoint_.reset(); }

  wire::ConnectRequest connect_request() const {
    wire::ConnectRequest request;
    request.receive_slots = 33;
    request.message_bytes = wire::kMessageBytes;
    request.max_reads = 16;
    return request;
  }
  bool connect(uint16_t port, uint16_t worker = 0) {
    wire::ConnectRequest request = connect_request();
    request.worker = worker;
    return connect(port, request);
  }
  bool connect(uint16_t port, const wire::ConnectRequest& request) {
    EndpointOptions options;
    options.receive_slots = request.receive_slots;
    options.message_bytes = request.message_bytes;
    options.max_reads = request.max_reads;
    connected_ = gone_ = false;
    Result<std::unique_ptr<Endpoint>> endpoint =
        fabric_.connect({server_.host, port, server_.by_socket}, request, options, *queue_);
    if (!endpoint) {
      error_ = endpoint.status().to_string();
      return false;
    }
    endpoint_ = std::move(*endpoint);
    wait([&] { return connected_ || gone_; });
    return connected_;
  }

  // The first half of the handshake: Hello, and the server's Challenge.
  bool say_hello(wire::Hello& hello, wire::Challenge& challenge) {
    hello.client_id = 7;
    make_nonce(hello.nonce).is_ok();
    send_body(wire::MessageKind::kHello, hello);
    return receive_body(wire::MessageKind::kChallenge, challenge);
  }
  // The whole handshake; the Welcome is in welcome().
  bool admit(const std::string& secret = {}) {
    wire::Hello hello;
    wire::Challenge challenge;
    if (!say_hello(hello, challenge)) return false;
    wire::Proof proof;
    if (!secret.empty()) {
      make_proof(secret, Role::kClient, hello.nonce, challenge.nonce, proof.proof).is_ok();
    }
    proof.landing = {landing_->remote_base(), landing_->size(), landing_->remote_key(), 0};
    endpoint_->expose(*landing_).is_ok();
    send_body(wire::MessageKind::kProof, proof);
    return receive_body(wire::MessageKind::kWelcome, welcome_);
  }
  bool open(uint16_t port, const std::string& secret = {}) {
    return connect(port) && admit(secret);
  }

  template <typename Body>
  void send_body(wire::MessageKind kind, const Body& body) {
    Bytes bytes(sizeof(wire::MessageHeader) + wire::padded(sizeof(Body)));
    wire::MessageBuilder builder(bytes, kind);
    ASSERT_TRUE(builder.add_body(body));
    bytes.resize(builder.finish(0));
    send(bytes);
  }
  void send(std::span<const std::byte> bytes) {
    MessageBuffer buffer;
    wait([&] { return static_cast<bool>(buffer = endpoint_->acquire_message()) || gone_; });
    if (!buffer) return;
    ASSERT_LE(bytes.size(), buffer.capacity);
    if (!bytes.empty()) std::memcpy(buffer.data, bytes.data(), bytes.size());
    endpoint_->send(buffer, static_cast<uint32_t>(bytes.size()), 0, false);
    endpoint_->flush();
  }
  // By WRITE_WITH_IMM into the ring.
  void write(std::span<const std::byte> bytes, uint64_t ring_offset, uint32_t immediate) {
    ASSERT_LE(bytes.size(), source_->size());
    if (!bytes.empty()) std::memcpy(source_->data(), bytes.data(), bytes.size());
    const LocalBuffer body{source_->data(), static_cast<uint32_t>(bytes.size()),
                           source_->local_key()};
    ASSERT_TRUE(endpoint_->write_with_imm({}, 0, {&body, 1},
                                          {welcome_.ring.base + ring_offset, welcome_.ring.key},
                                          immediate, 0, false));
    endpoint_->flush();
  }

  static wire::RequestHeader header(wire::Opcode opcode, uint32_t id = 1) {
    wire::RequestHeader header;
    header.opcode = opcode;
    header.id = id;
    return header;
  }
  static Bytes message(wire::RequestHeader header, std::string_view key = {},
                       std::string_view value = {}) {
    header.key_length = static_cast<uint32_t>(key.size());
    header.value_length = static_cast<uint32_t>(value.size());
    Bytes bytes(sizeof(wire::MessageHeader) + wire::request_bytes(key.size(), value.size()));
    wire::MessageBuilder builder(bytes, wire::MessageKind::kRequests);
    EXPECT_TRUE(
        builder.add_request(header, key, std::as_bytes(std::span(value.data(), value.size()))));
    bytes.resize(builder.finish(0));
    return bytes;
  }
  // The reply to one request.
  std::optional<RawReply> ask(const wire::RequestHeader& header, std::string_view key = {},
                              std::string_view value = {}) {
    const Bytes bytes = message(header, key, value);
    if (bytes.size() <= endpoint_->options().message_bytes) {
      send(bytes);
    } else {
      write(bytes, 0, 0);
    }
    return reply();
  }
  std::optional<RawReply> get(std::string_view key) { return ask(header(wire::Opcode::kGet), key); }
  std::optional<RawReply> put(std::string_view key, std::string_view value) {
    return ask(header(wire::Opcode::kPut), key, value);
  }
  std::optional<RawReply> reply() {
    wait([&] { return !replies_.empty() || gone_; });
    if (replies_.empty()) return std::nullopt;
    RawReply first = replies_.front();
    replies_.pop_front();
    return first;
  }
  // The number of a line of kStats.
  int64_t stat(const std::string& name) {
    const auto told = ask(header(wire::Opcode::kStats));
    if (!told) return -1;
    const size_t at = ("\n" + told->value).find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stoll(told->value.substr(at + name.size() + 1));
  }

  // Waits for the end of the connection; the Refusal that came before it, if any.
  std::string refusal() {
    wait([&] { return gone_; });
    EXPECT_TRUE(gone_) << "the server keeps the connection";
    return refusal_;
  }
  std::string read(uint64_t pool_offset, uint32_t bytes) {
    done_reads_ = 0;
    EXPECT_TRUE(endpoint_->read({source_->data(), bytes, source_->local_key()},
                                {welcome_.pool.base + pool_offset, welcome_.pool.key}, 1, true));
    endpoint_->flush();
    wait([&] { return done_reads_ > 0 || gone_; });
    return {reinterpret_cast<const char*>(source_->data()), bytes};
  }

  // Polls until `done`, or long enough to call it a hang.
  bool wait(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(200);
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      // A yield would leave the processor to whoever else wants it, for as long as they want.
      if (poll() == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return true;
  }
  size_t poll() {
    Completion completions[16];
    const size_t count = queue_->poll(completions);
    for (size_t i = 0; i < count; ++i) on(completions[i]);
    return count;
  }

  const wire::Welcome& welcome() const { return welcome_; }
  bool gone() const { return gone_; }
  const std::string& error() const { return error_; }
  Endpoint& endpoint() { return *endpoint_; }
  MemoryRegion& source() { return *source_; }

 private:
  void on(const Completion& completion) {
    if (completion.endpoint != endpoint_.get()) return;
    switch (completion.kind) {
      case CompletionKind::kConnected:
        connected_ = true;
        break;
      case CompletionKind::kDisconnected:
        gone_ = true;
        error_ = endpoint_->error_text();
        break;
      case CompletionKind::kMessage:
        take({completion.message, completion.length}, false);
        endpoint_->release_message(completion.slot);
        break;
      case CompletionKind::kImmediate: {
        const uint64_t at = landings_[completion.immediate];
        EXPECT_LE(at + completion.length, landing_->size());
        take({landing_->data() + at, completion.length}, true);
        endpoint_->release_message(completion.slot);
        break;
      }
      case CompletionKind::kRead:
        ++done_reads_;
        break;
      default:
        break;
    }
  }
  void take(std::span<const std::byte> bytes, bool landed) {
    wire::MessageReader reader(bytes);
    ASSERT_TRUE(reader.valid());
    if (reader.header().kind == wire::MessageKind::kReplies) {
      wire::ReplyView view;
      while (reader.next(view)) {
        replies_.push_back({view.header,
                            {reinterpret_cast<const char*>(view.value.data()), view.value.size()},
                            landed});
      }
      EXPECT_TRUE(reader.valid()) << reader.error();
      return;
    }
    if (reader.header().kind == wire::MessageKind::kRefusal) {
      wire::ConnectRefusal refusal;
      if (reader.body(refusal)) refusal_ = refusal.text;
      return;
    }
    bodies_.emplace_back(bytes.begin(), bytes.end());
  }
  template <typename Body>
  bool receive_body(wire::MessageKind kind, Body& body) {
    wait([&] { return !bodies_.empty() || gone_; });
    if (bodies_.empty()) return false;
    const Bytes bytes = bodies_.front();
    bodies_.pop_front();
    wire::MessageReader reader(bytes);
    return reader.header().kind == kind && reader.body(body);
  }

  Fabric& fabric_;
  FabricAddress server_;
  std::unique_ptr<MemoryRegion> landing_;
  std::unique_ptr<MemoryRegion> source_;
  std::unique_ptr<CompletionQueue> queue_;
  std::unique_ptr<Endpoint> endpoint_;
  wire::Welcome welcome_;
  bool connected_ = false;
  bool gone_ = false;
  int done_reads_ = 0;
  std::string refusal_;
  std::string error_;
  std::deque<RawReply> replies_;
  std::deque<Bytes> bodies_;

 public:
  // Where the reply to request `id` is to land: bytes from the landing region's start.
  std::map<uint32_t, uint64_t> landings_;
};

}  // namespace rdmakv::server
