// What the tests of failures and of hostile servers share.
#pragma once

#include "tests/rdmakv/client/client_fixture.h"

namespace rdmakv {

inline constexpr uint64_t kSoon = 5'000'000;

class FailureTest : public ClientTest {
 protected:
  void submit_soon(TestOperation& operation) {
    operation.deadline_ns = steady_ns() + kSoon;
    client->submit(operation);
    client->flush();
  }
  // Runs turns until the connection has been made again.
  void reconnect(int connects_before) {
    for (int i = 0; i < 100'000'000 && fabric.connects == connects_before; ++i) client->poll();
    drive();
    ASSERT_TRUE(client->servers()[0].reachable);
  }
  void hold_and_submit(TestOperation& operation) {
    server().hold = true;
    client->submit(operation);
    drive(3);
    ASSERT_GE(server().held.size(), 1u);
  }
};

}  // namespace rdmakv
