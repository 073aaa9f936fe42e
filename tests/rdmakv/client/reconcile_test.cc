// Clients that go in the middle of a one-sided CAS: what they were granted comes back, and what
// they linked stays. Over verbs the server destroys the queue pair before it looks.
#include "rdmakv/client/remote_layout.h"
#include "tests/rdmakv/client/client_server_fixture.h"
#include "tests/rdmakv/server/raw_client.h"

namespace rdmakv {
namespace {

using server::RawClient;

// What it had posted when it went.
enum class Posted { kNothing, kWrite, kBoth, kBothAndWaited };

class ReconcileTest : public ClientServerTest {
 protected:
  void SetUp() override {
    ClientServerTest::SetUp();
    if (HasFatalFailure()) return;
    start(64 << 20, 1);
    witness = open_raw();
    const auto put = witness->put("key", "first");
    ASSERT_TRUE(put);
    wire::RequestHeader cas = RawClient::header(wire::Opcode::kPut);
    cas.condition = wire::Condition::kIfVersion;
    cas.version = put->header.version;
    ASSERT_EQ(witness->ask(cas, "key", "first")->header.status, wire::ReplyStatus::kOk);
  }
  std::unique_ptr<RawClient> open_raw() {
    auto client = std::make_unique<RawClient>(*fabric, address());
    EXPECT_TRUE(client->open(port, "a secret")) << client->error();
    return client;
  }
  std::vector<wire::Grant> ask_grants(RawClient& client, uint32_t wanted) {
    wire::RequestHeader header = RawClient::header(wire::Opcode::kGrants);
    header.wanted = wanted;
    const auto told = client.ask(header);
    std::vector<wire::Grant> grants(told ? told->value.size() / sizeof(wire::Grant) : 0);
    if (!grants.empty()) std::memcpy(grants.data(), told->value.data(), told->value.size());
    EXPECT_EQ(grants.size(), wanted);
    return grants;
  }
  // A client's one-sided CAS of "key" to `value`, up to some point; its entry lies in `memory`.
  void swap(RawClient& client, MemoryRegion& memory, const std::string& value, Posted until) {
    const std::vector<wire::Grant> grants = ask_grants(client, 3);
    ASSERT_FALSE(grants.empty());
    const wire::Grant& grant = grants.front();
    const auto now = client.get("key");
    ASSERT_TRUE(now);
    ASSERT_NE(now->header.flags & wire::kCasClass, 0);
    if (until == Posted::kNothing) return;
    const RemoteLayout layout(client.welcome());
    wire::EntryFields fields;
    fields.seed = wire::entry_seed(layout.seed(), grant.generation);
    fields.version = now->header.version + 1;
    wire::write_entry(memory.data(), fields, "key", bytes_of(value));
    // All but the first word.
    constexpr uint32_t kFirstWord = sizeof(uint64_t);
    const LocalBuffer rest = {
        memory.data() + kFirstWord,
        static_cast<uint32_t>(wire::entry_bytes(3, value.size(), false)) - kFirstWord,
        memory.local_key()};
    RemoteAddress to = layout.from(grant.offset).address;
    to.address += kFirstWord;
    Endpoint& endpoint = client.endpoint();
    ASSERT_TRUE(endpoint.write({&rest, 1}, to, 1, false));
    if (until != Posted::kWrite) {
      const LocalBuffer found = {memory.data() + 2048, sizeof(uint64_t), memory.local_key()};
      ASSERT_TRUE(endpoint.compare_and_swap(
          found, layout.from(now->header.location).address,
          wire::FirstWord::make_live(now->header.generation, true).encode(),
          wire::FirstWord::make_dead(true, grant.generation, grant.offset).encode(), 1, true));
    }
    endpoint.flush();
    // An answer from the server proves that what was posted before has arrived.
    if (until == Posted::kBothAndWaited) {
      ASSERT_TRUE(client.get("other"));
    }
  }

  std::unique_ptr<RawClient> witness;
};

TEST_F(ReconcileTest, WhatWasGrantedComesBackAndWhatWasLinkedStays) {
  RegionOptions options;
  options.bytes = 4096;
  std::string before = "first";
  uint64_t version = witness->get("key")->header.version;
  for (int round = 0; round < times(100); ++round) {
    for (const Posted until :
         {Posted::kNothing, Posted::kWrite, Posted::kBoth, Posted::kBothAndWaited}) {
      const std::string value =
          "round" + std::to_string(round) + "." + std::to_string(static_cast<int>(until));
      // Goes after its client, whose WRITE may still be on its way.
      const auto memory = std::move(*fabric->allocate(options));
      auto client = open_raw();
      swap(*client, *memory, value, until);
      if (HasFatalFailure()) return;
      client.reset();
      ASSERT_TRUE(witness->wait([&] { return witness->stat("grants_out") == 0; }))
          << "the server keeps what was granted to a client that has gone";
      const auto now = witness->get("key");
      ASSERT_EQ(now->header.status, wire::ReplyStatus::kOk);
      const bool linked = now->value == value;
      ASSERT_TRUE(linked || now->value == before) << now->value;
      ASSERT_EQ(now->header.version, version + (linked ? 1 : 0));
      if (until == Posted::kBothAndWaited) {
        ASSERT_TRUE(linked) << "what was linked is lost";
      }
      if (until < Posted::kBoth) {
        ASSERT_FALSE(linked);
      }
      before = now->value;
      version = now->header.version;
    }
  }
  EXPECT_EQ(witness->stat("broken_chains"), 0);
  // One entry is linked, and nothing else is in use.
  EXPECT_EQ(witness->stat("cas_extents_linked"), 1);
  EXPECT_EQ(witness->stat("cas_extents_granted"), 0);
}

}  // namespace
}  // namespace rdmakv
