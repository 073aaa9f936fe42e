// What any Fabric must do, as GoogleTest suites. A fabric's test program
//
//   1. compiles conformance.cc and conformance_{connections,messages,memory,sleep}.cc together with
//   a
//      file of its own, in which it
//   2. describes the fabric, once for each way to connect:
//
//        RDMAKV_CONFORMANCE(Shm, TransportUnderTest{.name = "shm", .open_server = open_it, ...});
//
// Nothing depends on timing; the deadlines only end a hang (kPatience).
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/fabric.h"

namespace rdmakv::conformance {

struct TransportUnderTest {
  std::string name;  // letters, digits, _; becomes part of the test names
  // Each is called at most once per test and process; both may open the same device.
  std::function<Result<std::unique_ptr<Fabric>>()> open_server;
  std::function<Result<std::unique_ptr<Fabric>>()> open_client;
  FabricAddress listen_at;   // with port 0
  std::string connect_host;  // where the client finds the server; the port is the listener's
  uint16_t unused_port = 1;  // nobody listens there
  uint32_t effort = 100;     // percent of the repetitions of the long tests; less for slow fabrics
};

inline void PrintTo(const TransportUnderTest& transport, std::ostream* out) {
  *out << transport.name;
}
inline std::string transport_name(const testing::TestParamInfo<TransportUnderTest>& info) {
  return info.param.name;
}

inline constexpr std::chrono::seconds kPatience{60};

// Sizes small enough that the tests reach every limit.
EndpointOptions small_options();

// One end: a fabric, a queue, memory, and what the queue has brought. All in the thread of the
// test.
struct Party {
  std::unique_ptr<Fabric> fabric;
  std::unique_ptr<MemoryRegion> local;     // 4 MiB, for this party's own use
  std::unique_ptr<MemoryRegion> exposed;   // 4 MiB, all rights, exposed by connect_pair()
  std::unique_ptr<MemoryRegion> readable;  // 64 KiB, READ only, likewise
  std::unique_ptr<CompletionQueue> queue;
  std::unique_ptr<Endpoint> endpoint;
  std::vector<Completion> log;  // in the order in which it came; nothing is released

  LocalBuffer at(size_t offset, uint32_t length) const {
    return {local->data() + offset, length, local->local_key()};
  }
  size_t count(CompletionKind kind) const;
  const Completion* find(CompletionKind kind) const;  // the first, or null
  void poll();

  // Sends `text` (flushed); false when it cannot be posted now.
  bool send(std::string_view text, uint64_t context = 0, bool signalled = false);
  bool read(size_t into, uint32_t length, RemoteAddress from, uint64_t context = 0,
            bool signalled = true);
};

std::string_view text_of(const Completion& message);
RemoteAddress remote(const MemoryRegion& region, uint64_t offset = 0);

class TransportConformance : public testing::TestWithParam<TransportUnderTest>,
                             public ConnectionHandler {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Opens fabric, queue and memory of one end. SetUp() does it for both unless the test calls
  // fork(): such a test derives from ForkingConformance.
  void open(Party& party, const std::function<Result<std::unique_ptr<Fabric>>()>& fabric);
  void start_listening();
  FabricAddress server_address() const;
  // Starts a connection of the client's.
  Result<std::unique_ptr<Endpoint>> start_connect(const EndpointOptions& options = small_options(),
                                                  const wire::ConnectRequest& request = {});
  // A connection, both regions of both ends exposed to the other.
  void connect_pair(const EndpointOptions& options = small_options());

  // One round of everything: listener, both queues.
  void pump();
  // Pumps until `done`; false after kPatience.
  bool pump_until(const std::function<bool()>& done);
  void pump_rounds(int rounds);
  uint32_t repetitions(uint32_t full) const;

  // ConnectionHandler. The test may replace how requests are routed.
  Result<Acceptance> route(const wire::ConnectRequest& request) override;
  void accepted(const wire::ConnectRequest& request, std::unique_ptr<Endpoint> endpoint) override;
  std::function<Result<Acceptance>(const wire::ConnectRequest&)> route_;

  Party server_;
  Party client_;
  std::unique_ptr<Listener> listener_;
  std::vector<wire::ConnectRequest> requests_;             // accepted ones
  std::vector<std::unique_ptr<Endpoint>> more_endpoints_;  // accepted after server_.endpoint
};

// The fixture of tests that fork: nothing is open when they begin.
class ForkingConformance : public TransportConformance {
 protected:
  void SetUp() override {}
};

// The fixture of tests in which the client reaches where it may not.
class RemoteAccessConformance : public TransportConformance {
 protected:
  void SetUp() override;
  // So that the client needs nothing more from its peer to reach the exposed region.
  void use_region_once();
  // The client posted signalled work, the first of it of `kind`, which must fail and end the
  // connection.
  void expect_error(CompletionKind kind);
};

}  // namespace rdmakv::conformance

// Runs all suites on the fabrics given (at namespace scope of rdmakv::conformance).
#define RDMAKV_CONFORMANCE(prefix, ...)                                                   \
  INSTANTIATE_TEST_SUITE_P(prefix, TransportConformance, testing::Values(__VA_ARGS__),    \
                           transport_name);                                               \
  INSTANTIATE_TEST_SUITE_P(prefix, ForkingConformance, testing::Values(__VA_ARGS__),      \
                           transport_name);                                               \
  INSTANTIATE_TEST_SUITE_P(prefix, RemoteAccessConformance, testing::Values(__VA_ARGS__), \
                           transport_name)
