// What a server may still write to when its connection has ended.
#include "tests/rdmakv/client/failure_fixture.h"

namespace rdmakv {
namespace {

// A server that is stopped in the middle of a WRITE: what it may write to is given to no request
// of the next connection.
class QuarantineTest : public FailureTest {
 protected:
  void SetUp() override {
    open_and_connect();
    room_at_first = room();
    server().entries["k"] = {std::string(10'000, 'v'), 1};
    server().hold = true;
    get.deadline_ns = steady_ns() + 60'000'000'000;
    client->submit(get);
    client->flush();
  }
  // Buffers that there are.
  size_t room() {
    std::vector<ValueBuffer> buffers;
    do {
      buffers.push_back(client->allocate(10'000));
    } while (buffers.back());
    return buffers.size();
  }
  fakes::FakeRequest next_request() {
    for (int i = 0; i < 100'000'000 && server().held.empty(); ++i) client->poll();
    EXPECT_EQ(server().held.size(), 1u);
    const fakes::FakeRequest request = server().held.back();
    server().held.clear();
    return request;
  }
  // The connection ends while its server is about to write.
  void break_in_a_write(const fakes::FakeRequest& request) {
    inside.push_back(request.endpoint);
    request.endpoint->server_inside = true;
    request.endpoint->deliver(bytes_of("nonsense"));
    wait_for_quarantined(inside.size());
  }
  void wait_for_quarantined(uint64_t wanted) {
    for (int i = 0; i < 100'000'000 && client->counters().quarantined != wanted; ++i) {
      client->poll();
    }
    ASSERT_EQ(client->counters().quarantined, wanted);
  }
  size_t room_at_first = 0;
  TestOperation get{OperationKind::kGet, "k"};
  std::vector<fakes::FakeEndpoint*> inside;
};

TEST_F(QuarantineTest, LandingBuffersAreNotUsedAgainWhileTheServerMayWrite) {
  const fakes::FakeRequest first = next_request();
  break_in_a_write(first);
  const fakes::FakeRequest again = next_request();
  EXPECT_NE(again.endpoint, inside[0]);
  EXPECT_NE(again.header.landing_offset, first.header.landing_offset);
  EXPECT_EQ(fabric.destroyed, 0) << "who is to tell when the server has left?";
  server().answer(again);
  drive_until(get);
  EXPECT_EQ(get.code, Code::kOk);
  EXPECT_TRUE(get.lent == server().entries["k"].value);

  inside[0]->server_inside = false;
  wait_for_quarantined(0);
  EXPECT_EQ(fabric.destroyed, 1);
  EXPECT_EQ(client->counters().quarantines, 1u);
  get.buffer.reset();
  EXPECT_EQ(room(), room_at_first) << "the buffer was lost";
}

TEST_F(QuarantineTest, ThereIsALimitAndItSaysWhatIsWrong) {
  for (int i = 0; i < 4; ++i) break_in_a_write(next_request());
  drive_until(get);
  EXPECT_EQ(get.code, Code::kUnavailable);
  EXPECT_NE(client->servers()[0].last_error.find("is stopped: it has left 4 connections"),
            std::string::npos)
      << client->servers()[0].last_error;
  EXPECT_EQ(client->counters().quarantines, 4u);

  inside[2]->server_inside = false;
  wait_for_quarantined(3);
  server().hold = false;
  for (int i = 0; i < 10'000'000 && !client->servers()[0].reachable; ++i) client->poll();
  get.dones = 0;
  EXPECT_EQ(run(get), Code::kOk);
}

}  // namespace
}  // namespace rdmakv
