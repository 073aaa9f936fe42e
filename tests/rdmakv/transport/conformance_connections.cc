// Connecting, refusing, closing, dying.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "tests/rdmakv/transport/conformance.h"

namespace rdmakv::conformance {
namespace {

TEST_P(TransportConformance, ConnectsAndAccepts) {
  connect_pair();
  EXPECT_EQ(client_.endpoint->options().receive_slots, small_options().receive_slots);
  EXPECT_EQ(server_.endpoint->options().message_bytes, small_options().message_bytes);
  EXPECT_FALSE(client_.endpoint->peer_name().empty());
  EXPECT_FALSE(server_.endpoint->peer_name().empty());
  EXPECT_TRUE(client_.endpoint->error_text().empty());
  EXPECT_TRUE(client_.log.empty());
  EXPECT_TRUE(server_.log.empty());
}

TEST_P(TransportConformance, HandlerSeesTheRequest) {
  wire::ConnectRequest request;
  request.worker = 3;
  client_.endpoint = *start_connect(small_options(), request);
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty() && !requests_.empty(); }));
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kConnected);
  EXPECT_EQ(requests_.front().worker, 3);
  EXPECT_EQ(requests_.front().receive_slots, small_options().receive_slots);
}

TEST_P(TransportConformance, AcceptingSideLowersTheSizes) {
  route_ = [&](const wire::ConnectRequest&) -> Result<Acceptance> {
    EndpointOptions options = small_options();
    options.receive_slots = 5;
    options.message_bytes = 1024;
    options.max_reads = 2;
    return Acceptance{server_.queue.get(), options};
  };
  connect_pair();
  for (const Party* party : {&server_, &client_}) {
    EXPECT_EQ(party->endpoint->options().receive_slots, 5u);
    EXPECT_EQ(party->endpoint->options().message_bytes, 1024u);
    EXPECT_EQ(party->endpoint->options().max_reads, 2u);
    MessageBuffer message = party->endpoint->acquire_message();
    EXPECT_EQ(message.capacity, 1024u);
    party->endpoint->abandon_message(message);
  }
}

TEST_P(TransportConformance, AcceptingSideCannotRaiseTheSizes) {
  route_ = [&](const wire::ConnectRequest&) -> Result<Acceptance> {
    EndpointOptions options = small_options();
    options.receive_slots = 64;
    options.message_bytes = 8192;
    return Acceptance{server_.queue.get(), options};
  };
  connect_pair();
  EXPECT_EQ(client_.endpoint->options().receive_slots, small_options().receive_slots);
  EXPECT_EQ(server_.endpoint->options().receive_slots, small_options().receive_slots);
  EXPECT_EQ(server_.endpoint->options().message_bytes, small_options().message_bytes);
}

TEST_P(TransportConformance, RefusalCarriesItsText) {
  route_ = [](const wire::ConnectRequest&) -> Result<Acceptance> {
    return {Code::kBusy, "the house is full tonight"};
  };
  client_.endpoint = *start_connect();
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kDisconnected);
  EXPECT_EQ(client_.log.front().code, Code::kRefused);
  EXPECT_NE(client_.endpoint->error_text().find("the house is full tonight"), std::string::npos)
      << client_.endpoint->error_text();
  EXPECT_EQ(server_.endpoint, nullptr);
}

TEST_P(TransportConformance, OtherVersionIsRefusedNamingBoth) {
  wire::ConnectRequest request;
  request.version = 9977;
  client_.endpoint = *start_connect(small_options(), request);
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kDisconnected);
  const std::string_view text = client_.endpoint->error_text();
  EXPECT_NE(text.find("9977"), std::string::npos) << text;
  EXPECT_NE(text.find(" " + std::to_string(wire::kProtocolVersion)), std::string::npos) << text;
  EXPECT_EQ(server_.endpoint, nullptr);
}

TEST_P(TransportConformance, NobodyListens) {
  FabricAddress nowhere = server_address();
  nowhere.port = GetParam().unused_port;
  wire::ConnectRequest request;
  const EndpointOptions options = small_options();
  request.receive_slots = options.receive_slots;
  request.message_bytes = options.message_bytes;
  request.max_reads = options.max_reads;
  auto endpoint = client_.fabric->connect(nowhere, request, options, *client_.queue);
  if (!endpoint) {
    EXPECT_FALSE(endpoint.status().message().empty());
    return;
  }
  client_.endpoint = std::move(endpoint).value();
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kDisconnected);
  EXPECT_NE(client_.log.front().code, Code::kOk);
  EXPECT_FALSE(client_.endpoint->error_text().empty());
}

TEST_P(TransportConformance, PortInUseIsAClearError) {
  FabricAddress taken = GetParam().listen_at;
  taken.port = listener_->port();
  auto second = server_.fabric->listen(taken, *this);
  ASSERT_FALSE(second);
  EXPECT_NE(second.status().message().find(std::to_string(taken.port)), std::string::npos)
      << second.status().message();
}

TEST_P(TransportConformance, PortIsFreeAfterTheListenerIsGone) {
  FabricAddress address = GetParam().listen_at;
  address.port = listener_->port();
  listener_.reset();
  auto second = server_.fabric->listen(address, *this);
  EXPECT_TRUE(second) << second.status().to_string();
}

TEST_P(TransportConformance, SizesOutOfRangeAreRefused) {
  EndpointOptions options = small_options();
  options.message_bytes = 100;
  auto endpoint = start_connect(options);
  if (!endpoint) return;  // refused at once
  client_.endpoint = std::move(endpoint).value();
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kDisconnected);
  EXPECT_EQ(server_.endpoint, nullptr);
}

void expect_one_disconnect(const Party& party) {
  EXPECT_EQ(party.count(CompletionKind::kDisconnected), 1u);
  EXPECT_EQ(party.log.back().kind, CompletionKind::kDisconnected);
}

TEST_P(TransportConformance, CloseByTheClient) {
  connect_pair();
  ASSERT_TRUE(client_.send("last words"));
  client_.endpoint->close();
  ASSERT_TRUE(pump_until([&] {
    return client_.find(CompletionKind::kDisconnected) != nullptr &&
           server_.find(CompletionKind::kDisconnected) != nullptr;
  }));
  pump_rounds(100);
  expect_one_disconnect(client_);
  expect_one_disconnect(server_);
  EXPECT_FALSE(server_.endpoint->error_text().empty());
}

TEST_P(TransportConformance, CloseByTheServer) {
  connect_pair();
  server_.endpoint->close();
  ASSERT_TRUE(pump_until([&] {
    return client_.find(CompletionKind::kDisconnected) != nullptr &&
           server_.find(CompletionKind::kDisconnected) != nullptr;
  }));
  pump_rounds(100);
  expect_one_disconnect(client_);
  expect_one_disconnect(server_);
}

TEST_P(TransportConformance, WhatWasDeliveredBeforeTheCloseIsPolled) {
  connect_pair();
  ASSERT_TRUE(client_.send("last words", 7, true));
  // A signalled SEND that has completed has arrived.
  ASSERT_TRUE(pump_until([&] { return client_.find(CompletionKind::kSend) != nullptr; }));
  client_.endpoint->close();
  ASSERT_TRUE(pump_until([&] { return server_.find(CompletionKind::kDisconnected) != nullptr; }));
  ASSERT_NE(server_.find(CompletionKind::kMessage), nullptr);
  EXPECT_EQ(text_of(*server_.find(CompletionKind::kMessage)), "last words");
  EXPECT_EQ(server_.log.back().kind, CompletionKind::kDisconnected);
}

TEST_P(TransportConformance, CloseTwiceAndCloseBothAtOnce) {
  connect_pair();
  client_.endpoint->close();
  server_.endpoint->close();
  client_.endpoint->close();
  ASSERT_TRUE(pump_until([&] {
    return client_.find(CompletionKind::kDisconnected) != nullptr &&
           server_.find(CompletionKind::kDisconnected) != nullptr;
  }));
  client_.endpoint->close();
  pump_rounds(100);
  expect_one_disconnect(client_);
  expect_one_disconnect(server_);
}

TEST_P(TransportConformance, PostingOnADeadConnectionFails) {
  connect_pair();
  MessageBuffer kept = client_.endpoint->acquire_message();
  server_.endpoint.reset();
  ASSERT_TRUE(pump_until([&] { return client_.find(CompletionKind::kDisconnected) != nullptr; }));
  EXPECT_FALSE(client_.endpoint->acquire_message());
  EXPECT_FALSE(client_.endpoint->send(kept, 1, 0, true));
  EXPECT_FALSE(client_.read(0, 8, remote(*server_.exposed)));
  EXPECT_FALSE(client_.endpoint->compare_and_swap(client_.at(0, 8), remote(*server_.exposed), 0, 1,
                                                  0, true));
  client_.endpoint->flush();
  pump_rounds(100);
  expect_one_disconnect(client_);
}

TEST_P(TransportConformance, DestroyedBeforeItsDisconnectIsPolled) {
  connect_pair();
  ASSERT_TRUE(server_.send("never looked at"));
  ASSERT_TRUE(client_.read(0, 64, remote(*server_.exposed)));
  const Endpoint* gone = client_.endpoint.get();
  client_.endpoint.reset();
  ASSERT_TRUE(pump_until([&] { return server_.find(CompletionKind::kDisconnected) != nullptr; }));
  pump_rounds(100);
  for (const Completion& completion : client_.log) EXPECT_NE(completion.endpoint, gone);
}

TEST_P(TransportConformance, DestroyedWhileConnecting) {
  for (int rounds = 0; rounds < 6; ++rounds) {
    client_.endpoint = *start_connect();
    pump_rounds(rounds);
    client_.endpoint.reset();
  }
  client_.log.clear();
  // Those that were accepted end, and a later connection comes up.
  server_.endpoint.reset();
  more_endpoints_.clear();
  client_.endpoint = *start_connect();
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kConnected);
}

TEST_P(TransportConformance, AcceptedEndpointDestroyedAtOnce) {
  struct Dropping : ConnectionHandler {
    CompletionQueue* queue = nullptr;
    Result<Acceptance> route(const wire::ConnectRequest&) override {
      return Acceptance{queue, small_options()};
    }
    void accepted(const wire::ConnectRequest&, std::unique_ptr<Endpoint>) override {}
  } dropping;
  dropping.queue = server_.queue.get();
  listener_.reset();
  auto listener = server_.fabric->listen(GetParam().listen_at, dropping);
  ASSERT_TRUE(listener) << listener.status().to_string();
  listener_ = std::move(listener).value();
  client_.endpoint = *start_connect();
  ASSERT_TRUE(pump_until([&] { return client_.find(CompletionKind::kDisconnected) != nullptr; }));
  EXPECT_TRUE(server_.log.empty());
  listener_.reset();  // before its handler
}

TEST_P(TransportConformance, ManyConnectionsShareAQueue) {
  constexpr size_t kConnections = 12;
  std::vector<std::unique_ptr<Endpoint>> clients;
  for (size_t i = 0; i < kConnections; ++i) clients.push_back(*start_connect());
  ASSERT_TRUE(
      pump_until([&] { return client_.count(CompletionKind::kConnected) == kConnections; }));
  for (size_t round = 0; round < 8; ++round) {
    for (auto& endpoint : clients) {
      MessageBuffer message = endpoint->acquire_message();
      ASSERT_TRUE(message);
      ASSERT_TRUE(endpoint->send(message, 8, 0, false));
      endpoint->flush();
    }
  }
  ASSERT_TRUE(
      pump_until([&] { return server_.count(CompletionKind::kMessage) == 8 * kConnections; }));
  clients.erase(clients.begin(), clients.begin() + 4);
  ASSERT_TRUE(pump_until([&] { return server_.count(CompletionKind::kDisconnected) == 4; }));
  EXPECT_EQ(client_.count(CompletionKind::kDisconnected), 0u);
}

// ---- processes that die
// --------------------------------------------------------------------------

// A process of its own that is the other end, until it is killed.
class OtherProcess {
 public:
  explicit OtherProcess(const std::function<void(int from_test, int to_test)>& body) {
    int to_child[2] = {-1, -1};
    int to_parent[2] = {-1, -1};
    EXPECT_EQ(pipe(to_child), 0);
    EXPECT_EQ(pipe(to_parent), 0);
    pid_ = fork();
    if (pid_ == 0) {
      ::close(to_child[1]);
      ::close(to_parent[0]);
      body(to_child[0], to_parent[1]);
      _exit(0);
    }
    ::close(to_child[0]);
    ::close(to_parent[1]);
    write_ = to_child[1];
    read_ = to_parent[0];
  }
  ~OtherProcess() {
    kill_and_wait();
    ::close(write_);
    ::close(read_);
  }
  void tell(uint16_t number) { EXPECT_EQ(write(write_, &number, sizeof(number)), 2); }
  uint16_t hear() {
    uint16_t number = 0;
    EXPECT_EQ(read(read_, &number, sizeof(number)), 2);
    return number;
  }
  void kill_and_wait() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  int write_ = -1;
  int read_ = -1;
};

TEST_P(ForkingConformance, ClientProcessKilled) {
  OtherProcess other([&](int from_test, int) {
    open(client_, GetParam().open_client);
    uint16_t port = 0;
    if (read(from_test, &port, sizeof(port)) != sizeof(port)) _exit(1);
    FabricAddress address = GetParam().listen_at;
    address.host = GetParam().connect_host;
    address.port = port;
    wire::ConnectRequest request;
    const EndpointOptions options = small_options();
    request.receive_slots = options.receive_slots;
    request.message_bytes = options.message_bytes;
    request.max_reads = options.max_reads;
    client_.endpoint = *client_.fabric->connect(address, request, options, *client_.queue);
    while (client_.find(CompletionKind::kConnected) == nullptr) client_.poll();
    if (!client_.endpoint->expose(*client_.exposed)) _exit(1);
    client_.send("alive");
    for (;;) client_.poll();
  });
  open(server_, GetParam().open_server);
  start_listening();
  other.tell(listener_->port());
  ASSERT_TRUE(pump_until([&] { return server_.find(CompletionKind::kMessage) != nullptr; }));
  EXPECT_EQ(text_of(*server_.find(CompletionKind::kMessage)), "alive");
  other.kill_and_wait();
  ASSERT_TRUE(pump_until([&] {
    server_.endpoint->probe();
    return server_.find(CompletionKind::kDisconnected) != nullptr;
  }));
  EXPECT_NE(server_.log.back().code, Code::kOk);
  EXPECT_FALSE(server_.endpoint->error_text().empty());
}

TEST_P(ForkingConformance, ServerProcessKilled) {
  OtherProcess other([&](int, int to_test) {
    open(server_, GetParam().open_server);
    start_listening();
    const uint16_t port = listener_->port();
    if (write(to_test, &port, sizeof(port)) != sizeof(port)) _exit(1);
    for (;;) pump();
  });
  open(client_, GetParam().open_client);
  FabricAddress address = GetParam().listen_at;
  address.host = GetParam().connect_host;
  address.port = other.hear();
  wire::ConnectRequest request;
  const EndpointOptions options = small_options();
  request.receive_slots = options.receive_slots;
  request.message_bytes = options.message_bytes;
  request.max_reads = options.max_reads;
  client_.endpoint = *client_.fabric->connect(address, request, options, *client_.queue);
  ASSERT_TRUE(pump_until([&] { return client_.find(CompletionKind::kConnected) != nullptr; }));
  other.kill_and_wait();
  ASSERT_TRUE(pump_until([&] {
    client_.endpoint->probe();
    return client_.find(CompletionKind::kDisconnected) != nullptr;
  }));
  EXPECT_NE(client_.log.back().code, Code::kOk);
}

}  // namespace
}  // namespace rdmakv::conformance
