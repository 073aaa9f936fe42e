#include "tests/rdmakv/transport/conformance.h"

#include <algorithm>
#include <array>
#include <thread>

namespace rdmakv::conformance {

EndpointOptions small_options() {
  EndpointOptions options;
  options.receive_slots = 16;
  options.send_slots = 24;
  options.message_bytes = 4608;
  options.max_work = 64;
  options.max_reads = 8;
  return options;
}

std::string_view text_of(const Completion& message) {
  return {reinterpret_cast<const char*>(message.message), message.length};
}

RemoteAddress remote(const MemoryRegion& region, uint64_t offset) {
  return {region.remote_base() + offset, region.remote_key()};
}

size_t Party::count(CompletionKind kind) const {
  return static_cast<size_t>(
      std::count_if(log.begin(), log.end(), [&](const Completion& c) { return c.kind == kind; }));
}

const Completion* Party::find(CompletionKind kind) const {
  const auto found =
      std::find_if(log.begin(), log.end(), [&](const Completion& c) { return c.kind == kind; });
  return found == log.end() ? nullptr : &*found;
}

void Party::poll() {
  std::array<Completion, 16> completions;
  const size_t count = queue->poll(completions);
  ASSERT_LE(count, completions.size());
  log.insert(log.end(), completions.begin(), completions.begin() + count);
}

bool Party::send(std::string_view text, uint64_t context, bool signalled) {
  MessageBuffer message = endpoint->acquire_message();
  if (!message) return false;
  EXPECT_LE(text.size(), message.capacity);
  std::memcpy(message.data, text.data(), text.size());
  const bool sent = endpoint->send(message, static_cast<uint32_t>(text.size()), context, signalled);
  endpoint->flush();
  return sent;
}

bool Party::read(size_t into, uint32_t length, RemoteAddress from, uint64_t context,
                 bool signalled) {
  const bool posted = endpoint->read(at(into, length), from, context, signalled);
  endpoint->flush();
  return posted;
}

void TransportConformance::SetUp() {
  open(server_, GetParam().open_server);
  open(client_, GetParam().open_client);
  if (!HasFatalFailure()) start_listening();
}

void TransportConformance::TearDown() {
  client_.endpoint.reset();
  server_.endpoint.reset();
  more_endpoints_.clear();
  listener_.reset();
}

void TransportConformance::open(Party& party,
                                const std::function<Result<std::unique_ptr<Fabric>>()>& fabric) {
  Result<std::unique_ptr<Fabric>> opened = fabric();
  ASSERT_TRUE(opened) << opened.status().to_string();
  party.fabric = std::move(opened).value();
  const auto allocate = [&](size_t bytes, RemoteAccess access, const char* name) {
    Result<std::unique_ptr<MemoryRegion>> region =
        party.fabric->allocate({bytes, access, Pages::kTransparent, name});
    EXPECT_TRUE(region) << region.status().to_string();
    return region ? std::move(region).value() : nullptr;
  };
  party.local = allocate(4 << 20, RemoteAccess::kNone, "test-local");
  party.exposed = allocate(
      4 << 20, RemoteAccess::kRead | RemoteAccess::kWrite | RemoteAccess::kAtomic, "test-exposed");
  party.readable = allocate(64 << 10, RemoteAccess::kRead, "test-readable");
  Result<std::unique_ptr<CompletionQueue>> queue = party.fabric->create_completion_queue(1024);
  ASSERT_TRUE(queue) << queue.status().to_string();
  party.queue = std::move(queue).value();
  ASSERT_TRUE(party.local && party.exposed && party.readable);
}

void TransportConformance::start_listening() {
  Result<std::unique_ptr<Listener>> listener = server_.fabric->listen(GetParam().listen_at, *this);
  ASSERT_TRUE(listener) << listener.status().to_string();
  listener_ = std::move(listener).value();
  ASSERT_NE(listener_->port(), 0);
}

FabricAddress TransportConformance::server_address() const {
  FabricAddress address = GetParam().listen_at;
  address.host = GetParam().connect_host;
  address.port = listener_->port();
  return address;
}

Result<std::unique_ptr<Endpoint>> TransportConformance::start_connect(
    const EndpointOptions& options, const wire::ConnectRequest& request) {
  wire::ConnectRequest sized = request;
  sized.receive_slots = options.receive_slots;
  sized.message_bytes = options.message_bytes;
  sized.max_reads = options.max_reads;
  return client_.fabric->connect(server_address(), sized, options, *client_.queue);
}

void TransportConformance::connect_pair(const EndpointOptions& options) {
  Result<std::unique_ptr<Endpoint>> endpoint = start_connect(options);
  ASSERT_TRUE(endpoint) << endpoint.status().to_string();
  client_.endpoint = std::move(endpoint).value();
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty() && server_.endpoint != nullptr; }))
      << client_.endpoint->error_text();
  ASSERT_EQ(client_.log.front().kind, CompletionKind::kConnected) << client_.endpoint->error_text();
  client_.log.clear();
  for (const auto& [from, to] : {std::pair(&server_, &client_), std::pair(&client_, &server_)}) {
    for (const MemoryRegion* region : {from->exposed.get(), from->readable.get()}) {
      Status status = from->endpoint->expose(*region);
      ASSERT_TRUE(status) << status.to_string();
    }
    // As every user does: a message tells the keys.
    ASSERT_TRUE(from->send("keys"));
    ASSERT_TRUE(pump_until([&, to = to] { return !to->log.empty(); }));
    ASSERT_EQ(to->log.front().kind, CompletionKind::kMessage);
    to->endpoint->release_message(to->log.front().slot);
    to->log.clear();
  }
}

void TransportConformance::pump() {
  if (listener_) listener_->dispatch();
  if (server_.queue) server_.poll();
  if (client_.queue) client_.poll();
}

bool TransportConformance::pump_until(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    const size_t before = server_.log.size() + client_.log.size();
    pump();
    if (before == server_.log.size() + client_.log.size()) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  return true;
}

void TransportConformance::pump_rounds(int rounds) {
  for (int i = 0; i < rounds; ++i) pump();
}

uint32_t TransportConformance::repetitions(uint32_t full) const {
  return std::max(1u, static_cast<uint32_t>(uint64_t{full} * GetParam().effort / 100));
}

Result<ConnectionHandler::Acceptance> TransportConformance::route(
    const wire::ConnectRequest& request) {
  if (route_) return route_(request);
  EndpointOptions options = small_options();
  options.receive_slots = request.receive_slots;
  options.message_bytes = request.message_bytes;
  options.max_reads = request.max_reads;
  return Acceptance{server_.queue.get(), options};
}

void TransportConformance::accepted(const wire::ConnectRequest& request,
                                    std::unique_ptr<Endpoint> endpoint) {
  requests_.push_back(request);
  if (server_.endpoint == nullptr) {
    server_.endpoint = std::move(endpoint);
  } else {
    more_endpoints_.push_back(std::move(endpoint));
  }
}

void RemoteAccessConformance::SetUp() {
  TransportConformance::SetUp();
  if (!HasFatalFailure()) connect_pair();
}

void RemoteAccessConformance::use_region_once() {
  ASSERT_TRUE(client_.endpoint->compare_and_swap(
      client_.at(client_.local->size() - 8, 8),
      remote(*server_.exposed, server_.exposed->size() - 8), 0, 1, 0, true));
  client_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  ASSERT_EQ(client_.log.front().code, Code::kOk);
  client_.log.clear();
}

void RemoteAccessConformance::expect_error(CompletionKind kind) {
  client_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] {
    return client_.find(CompletionKind::kDisconnected) != nullptr &&
           server_.find(CompletionKind::kDisconnected) != nullptr;
  }));
  const Completion* failed = client_.find(kind);
  ASSERT_NE(failed, nullptr);
  EXPECT_NE(failed->code, Code::kOk);
  EXPECT_EQ(client_.count(kind), 1u);
  EXPECT_EQ(client_.count(CompletionKind::kDisconnected), 1u);
  EXPECT_EQ(client_.log.back().kind, CompletionKind::kDisconnected);
  EXPECT_FALSE(client_.endpoint->error_text().empty());
  EXPECT_EQ(server_.count(CompletionKind::kDisconnected), 1u);
  EXPECT_EQ(server_.count(CompletionKind::kImmediate), 0u);
  EXPECT_EQ(server_.count(CompletionKind::kMessage), 0u);
}

}  // namespace rdmakv::conformance
