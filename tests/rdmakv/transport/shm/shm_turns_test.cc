// A queue with many connections, of which most are idle (endpoint_turns.h).
#include "rdmakv/transport/shm/endpoint_turns.h"

#include "rdmakv/transport/shm/shm_completion_queue.h"
#include "tests/rdmakv/transport/shm/shm_under_test.h"

namespace rdmakv::conformance {
namespace {

using shm::EndpointTurns;
using shm::ShmCompletionQueue;

class ShmTurnsTest : public TransportConformance {
 protected:
  static constexpr size_t kMany = 6 * EndpointTurns::kLeast;

  // client_.endpoint is the busy one, the others have long been idle.
  void connect_many() {
    connect_pair();
    for (size_t i = 0; i < kMany; ++i) {
      Result<std::unique_ptr<Endpoint>> endpoint = start_connect();
      ASSERT_TRUE(endpoint) << endpoint.status().to_string();
      others_.push_back(std::move(endpoint).value());
    }
    ASSERT_TRUE(pump_until([&] {
      return client_.count(CompletionKind::kConnected) == kMany && more_endpoints_.size() == kMany;
    }));
    settle();
  }

  // Everything that has come is taken, and nothing comes for so long that all are idle.
  void settle() {
    pump_rounds(3 * ShmCompletionQueue::kServiceInterval);
    client_.log.clear();
    for (const Completion& one : server_.log) one.endpoint->release_message(one.slot);
    server_.log.clear();
  }

  static void say(Endpoint& endpoint, std::string_view text) {
    const MessageBuffer message = endpoint.acquire_message();
    ASSERT_TRUE(message);
    std::memcpy(message.data, text.data(), text.size());
    ASSERT_TRUE(endpoint.send(message, static_cast<uint32_t>(text.size()), 0, false));
    endpoint.flush();
  }

  bool heard(std::string_view text) {
    bool found = false;
    for (const Completion& one : server_.log) {
      found |= text_of(one) == text;
      one.endpoint->release_message(one.slot);
    }
    server_.log.clear();
    return found;
  }

  void TearDown() override {
    others_.clear();
    TransportConformance::TearDown();
  }

  std::vector<std::unique_ptr<Endpoint>> others_;
};
INSTANTIATE_TEST_SUITE_P(Shm, ShmTurnsTest, testing::Values(kShm), transport_name);

TEST_P(ShmTurnsTest, AnIdleOneIsHeardSoonBesideABusyOne) {
  ASSERT_NO_FATAL_FAILURE(connect_many());
  for (size_t i = 0; i < kMany; ++i) {
    ASSERT_NO_FATAL_FAILURE(say(*others_[i], "idle"));
    size_t polls = 0;
    do {
      ASSERT_NO_FATAL_FAILURE(say(*client_.endpoint, "busy"));
      server_.poll();
      ++polls;
    } while (!heard("idle") && polls < 1000);
    // A turn of all of them, and of one more that has changed places.
    EXPECT_LE(polls, 2 * kMany / EndpointTurns::kLeast + 1) << i;
  }
}

TEST_P(ShmTurnsTest, AllAreHeardThoughABusyOneFillsEveryPoll) {
  ASSERT_NO_FATAL_FAILURE(connect_many());
  for (const auto& other : others_) ASSERT_NO_FATAL_FAILURE(say(*other, "idle"));
  size_t left = kMany;
  for (int polls = 0; left > 0 && polls < 1000; ++polls) {
    while (client_.send("busy")) {
    }
    server_.poll();
    for (const Completion& one : server_.log) left -= text_of(one) == "idle" ? 1 : 0;
    heard("");
  }
  EXPECT_EQ(left, 0u);
}

// It was awake when the message was sent, so nobody rang.
TEST_P(ShmTurnsTest, NoneIsMissedByWhoIsAboutToSleep) {
  ASSERT_NO_FATAL_FAILURE(connect_many());
  for (size_t i = 0; i < kMany; ++i) {
    ASSERT_NO_FATAL_FAILURE(say(*others_[i], "idle"));
    ASSERT_TRUE(server_.queue->arm());
    server_.poll();
    EXPECT_TRUE(heard("idle")) << i;
    if (i % 10 == 0) settle();
  }
}

TEST_P(ShmTurnsTest, OwnWorkIsReportedAtOnce) {
  ASSERT_NO_FATAL_FAILURE(connect_many());
  for (size_t i = 0; i < kMany; ++i) {
    ASSERT_NO_FATAL_FAILURE(say(*others_[i], "signalled"));
    const MessageBuffer message = others_[i]->acquire_message();
    ASSERT_TRUE(message);
    ASSERT_TRUE(others_[i]->send(message, 0, i, true));
    others_[i]->flush();
    client_.log.clear();
    client_.poll();
    ASSERT_EQ(client_.count(CompletionKind::kSend), 1u) << i;
    EXPECT_EQ(client_.find(CompletionKind::kSend)->context, i);
  }
}

TEST_P(ShmTurnsTest, ThoseThatLeaveAreMissedByNobody) {
  ASSERT_NO_FATAL_FAILURE(connect_many());
  for (size_t i = 0; i < kMany; i += 3) others_[i].reset();
  ASSERT_TRUE(
      pump_until([&] { return server_.count(CompletionKind::kDisconnected) == (kMany + 2) / 3; }));
  server_.log.clear();
  for (size_t i = 0; i < kMany; ++i) {
    if (others_[i] == nullptr) continue;
    ASSERT_NO_FATAL_FAILURE(say(*others_[i], "idle"));
    bool found = false;
    for (int polls = 0; !found && polls < 100; ++polls) {
      server_.poll();
      found = heard("idle");
    }
    EXPECT_TRUE(found) << i;
  }
}

}  // namespace
}  // namespace rdmakv::conformance
