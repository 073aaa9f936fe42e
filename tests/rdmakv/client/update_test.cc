// update(): what is left when other writers are always faster. (one_sided_cas_test.cc has the
// rest.)
#include "rdmakv/client/update.h"

#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

using UpdateTest = ClientServerTest;

void put(Client& client, std::string_view key, std::string_view value) {
  ASSERT_EQ(async_put(client, std::string(key), std::string(value)).wait().code, Code::kOk);
}

// The function that is always overtaken: every attempt is lost, and as many are made as allowed.
TEST_F(UpdateTest, GivesUpAfterAsManyAttemptsAsAllowed) {
  start(64 << 20, 1);
  const auto client = open();
  const auto fabric = open_fabric();
  const auto other = open(*fabric);
  put(*client, "key", "0");
  UpdateOptions options;
  options.attempts = 5;
  options.longest_pause_ns = options.first_pause_ns = 1000;
  uint32_t calls = 0;
  const Updated told = update(
      *client, "key",
      [&](const OldValue& old, std::string& fresh) {
        EXPECT_TRUE(old);
        put(*other, "key", std::to_string(++calls));
        fresh = "mine";
        return true;
      },
      options);
  EXPECT_EQ(told.code, Code::kBusy);
  EXPECT_EQ(told.attempts, 5u);
  EXPECT_EQ(calls, 5u);
  TestOperation get(OperationKind::kGet, "key");
  client->submit(get);
  client->wait(get);
  EXPECT_EQ(get.lent, "5");
}

}  // namespace
}  // namespace rdmakv
