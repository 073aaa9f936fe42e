// Sleeping on a completion queue, and listener and owner in threads of their own; in the Soft-RoCE
// machine (see device_test.cc).
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "tests/rdmakv/transport/verbs/rig.h"

namespace rdmakv::verbs {
namespace {

// --- sleeping ------------------------------------------------------------------------------------

bool readable(int fd, int milliseconds) {
  pollfd entry = {fd, POLLIN, 0};
  return ::poll(&entry, 1, milliseconds) == 1;
}

size_t poll_once(CompletionQueue& queue, Completion* into) {
  return queue.poll({into, 1});
}

TEST_P(BothModes, AnArmedQueueSleepsUntilAMessageComes) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  Completion completion;
  for (int round = 0; round < 5; ++round) {
    bool sleeps = false;
    for (int attempt = 0; attempt < 100 && !sleeps; ++attempt) {  // the CM may have more to say
      ASSERT_TRUE(rig.server_queue->arm());
      while (poll_once(*rig.server_queue, &completion) != 0) {
      }
      sleeps = !readable(rig.server_queue->fd(), 0);
    }
    EXPECT_TRUE(sleeps);
    ASSERT_TRUE(rig.send(*rig.client, "wake up"));
    rig.client->flush();
    ASSERT_TRUE(readable(rig.server_queue->fd(), 60'000));
    ASSERT_EQ(poll_once(*rig.server_queue, &completion), 1u);
    EXPECT_EQ(completion.kind, CompletionKind::kMessage);
    rig.server->release_message(completion.slot);
  }
}

TEST_P(BothModes, ANotificationReadWhileArmingIsAskedForAgain) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  Completion completion;
  ASSERT_TRUE(rig.server_queue->arm());
  ASSERT_TRUE(rig.send(*rig.client, "early"));
  rig.client->flush();
  ASSERT_TRUE(readable(rig.server_queue->fd(), 60'000));
  while (poll_once(*rig.server_queue, &completion) != 0) {  // the same arm() all along
    rig.server->release_message(completion.slot);
  }
  ASSERT_TRUE(rig.send(*rig.client, "late"));
  rig.client->flush();
  EXPECT_TRUE(readable(rig.server_queue->fd(), 60'000));
}

TEST_P(BothModes, AnArmedQueueWakesWhenThePeerGoes) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  Completion completion;
  ASSERT_TRUE(rig.server_queue->arm());
  while (poll_once(*rig.server_queue, &completion) != 0) {
  }
  rig.client.reset();
  bool gone = false;
  while (!gone) {
    ASSERT_TRUE(readable(rig.server_queue->fd(), 60'000));
    while (poll_once(*rig.server_queue, &completion) != 0) {
      gone = gone || completion.kind == CompletionKind::kDisconnected;
    }
    ASSERT_TRUE(rig.server_queue->arm());
  }
}

TEST_P(BothModes, CloseWhileArmedWakes) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  Completion completion;
  ASSERT_TRUE(rig.client_queue->arm());
  while (poll_once(*rig.client_queue, &completion) != 0) {
  }
  rig.client->close();
  bool gone = false;
  while (!gone) {
    ASSERT_TRUE(readable(rig.client_queue->fd(), 60'000));
    while (poll_once(*rig.client_queue, &completion) != 0) {
      gone = gone || completion.kind == CompletionKind::kDisconnected;
    }
  }
}

// --- listener and owner in threads of their own --------------------------------------------------

// Hands accepted Endpoints to the thread of the queue, as a server does.
class Mailbox final : public ConnectionHandler {
 public:
  explicit Mailbox(CompletionQueue* queue) : queue_(queue) {}
  Result<Acceptance> route(const wire::ConnectRequest&) override {
    return Acceptance{queue_, EndpointOptions{}};
  }
  void accepted(const wire::ConnectRequest&, std::unique_ptr<Endpoint> endpoint) override {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(std::move(endpoint));
  }
  std::vector<std::unique_ptr<Endpoint>> take() {
    const std::lock_guard lock(mutex_);
    return std::move(arrived_);
  }

 private:
  CompletionQueue* queue_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Endpoint>> arrived_;
};

TEST_P(BothModes, ListenerAndOwnerInTwoThreads) {
  RigOptions deep = options();
  deep.queue_depth = 32000;
  Rig rig(deep);
  ASSERT_TRUE(rig.open());
  rig.listener.reset();
  Mailbox mailbox(rig.server_queue.get());
  auto opened = rig.server_fabric->listen({rig.options.server_host, 0, GetParam()}, mailbox);
  ASSERT_TRUE(opened);
  rig.listener = std::move(*opened);
  const uint16_t port = rig.listener->port();
  std::atomic<bool> stop = false;
  std::thread listening([&] {
    while (!stop) {
      if (readable(rig.listener->fd(), 10)) rig.listener->dispatch();
    }
  });
  std::thread owning([&] {
    std::vector<std::unique_ptr<Endpoint>> endpoints;
    Completion batch[16];
    while (!stop) {
      const size_t count = rig.server_queue->poll(batch);
      for (auto& endpoint : mailbox.take()) endpoints.push_back(std::move(endpoint));
      for (size_t i = 0; i < count; ++i) {
        Endpoint* from = batch[i].endpoint;
        if (batch[i].kind == CompletionKind::kDisconnected) {
          std::erase_if(endpoints, [&](const auto& one) { return one.get() == from; });
        } else if (batch[i].kind == CompletionKind::kMessage) {
          const MessageBuffer echo = from->acquire_message();
          std::memcpy(echo.data, batch[i].message, batch[i].length);
          from->release_message(batch[i].slot);
          from->send(echo, batch[i].length, 0, false);
          from->flush();
        }
      }
    }
  });
  for (int round = 0; round < 10; ++round) {
    rig.client_events.clear();
    auto endpoint = rig.client_fabric->connect({rig.options.server_host, port, GetParam()}, {},
                                               rig.options.sizes, *rig.client_queue);
    EXPECT_TRUE(endpoint) << endpoint.status().to_string();
    if (!endpoint) break;
    rig.client = std::move(*endpoint);
    bool sent = false;
    const auto step = [&] {
      Completion completion;
      if (poll_once(*rig.client_queue, &completion) != 0) {
        rig.client_events.push_back({completion, ""});
        if (completion.kind == CompletionKind::kConnected) {
          sent = rig.send(*rig.client, "hello");
          rig.client->flush();
        }
      }
      return Rig::find(rig.client_events, CompletionKind::kMessage) != nullptr ||
             disconnected(rig.client_events);
    };
    while (!step()) {
    }
    EXPECT_TRUE(sent);
    EXPECT_EQ(rig.client->error_text(), "");
    rig.client.reset();
  }
  stop = true;
  listening.join();
  owning.join();
}

}  // namespace
}  // namespace rdmakv::verbs
