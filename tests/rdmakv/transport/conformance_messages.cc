// SEND, WRITE_WITH_IMM, their completions and their limits.
#include <algorithm>
#include <random>
#include <set>

#include "tests/rdmakv/transport/conformance.h"

namespace rdmakv::conformance {
namespace {

// Content that tells its number, and whether any of it is missing or old.
std::string numbered(uint32_t number, size_t length) {
  std::string text(length, '\0');
  for (size_t i = 0; i < length; ++i) text[i] = static_cast<char>(number * 31 + i * 7);
  return text;
}

TEST_P(TransportConformance, SendsBothWays) {
  connect_pair();
  ASSERT_TRUE(client_.send("question", 11, true));
  ASSERT_TRUE(pump_until([&] { return server_.find(CompletionKind::kMessage) != nullptr; }));
  EXPECT_EQ(text_of(server_.log.front()), "question");
  EXPECT_EQ(server_.log.front().endpoint, server_.endpoint.get());
  EXPECT_LT(server_.log.front().slot, small_options().receive_slots);
  server_.endpoint->release_message(server_.log.front().slot);
  ASSERT_TRUE(server_.send("answer"));
  ASSERT_TRUE(pump_until([&] {
    return client_.find(CompletionKind::kMessage) != nullptr &&
           client_.find(CompletionKind::kSend) != nullptr;
  }));
  EXPECT_EQ(text_of(*client_.find(CompletionKind::kMessage)), "answer");
  EXPECT_EQ(client_.find(CompletionKind::kSend)->context, 11u);
  EXPECT_EQ(client_.find(CompletionKind::kSend)->code, Code::kOk);
  EXPECT_EQ(client_.endpoint->counters().messages, 2u);  // the one with the keys, too
}

TEST_P(TransportConformance, MessagesOfEverySize) {
  connect_pair();
  const uint32_t longest = small_options().message_bytes;
  for (uint32_t length : {1u, 2u, 7u, 8u, 63u, 64u, 65u, 511u, 512u, 513u, 4095u, 4096u, longest}) {
    const std::string text = numbered(length, length);
    ASSERT_TRUE(client_.send(text)) << length;
    ASSERT_TRUE(pump_until([&] { return !server_.log.empty(); })) << length;
    EXPECT_EQ(text_of(server_.log.front()), text) << length;
    server_.endpoint->release_message(server_.log.front().slot);
    server_.log.clear();
  }
}

// Far more messages than slots, in both directions at once, each end never having more than
// receive_slots of them at its peer (it learns from the peer's messages how many were released).
TEST_P(TransportConformance, ManyMessagesKeepOrderAndContent) {
  connect_pair();
  const uint32_t wanted = repetitions(20000);
  struct Flow {
    Party* party;
    uint32_t sent = 0, received = 0, acknowledged = 0;
  } flows[2] = {{&client_}, {&server_}};
  std::mt19937 random(1);
  const auto step = [&](Flow& flow) {
    Endpoint& endpoint = *flow.party->endpoint;
    for (const Completion& completion : flow.party->log) {
      ASSERT_EQ(completion.kind, CompletionKind::kMessage);
      ASSERT_GE(completion.length, 4u);
      std::memcpy(&flow.acknowledged, completion.message, 4);
      ASSERT_EQ(text_of(completion).substr(4), numbered(flow.received, completion.length - 4));
      ++flow.received;
      endpoint.release_message(completion.slot);
    }
    flow.party->log.clear();
    const uint32_t window = small_options().receive_slots;
    for (uint32_t burst = random() % 8;
         burst > 0 && flow.sent < wanted && flow.sent - flow.acknowledged < window; --burst) {
      MessageBuffer message = endpoint.acquire_message();
      if (!message) break;
      const std::string text =
          numbered(flow.sent, random() % (random() % 8 == 0 ? message.capacity - 4 : 100));
      std::memcpy(message.data, &flow.received, 4);
      std::memcpy(message.data + 4, text.data(), text.size());
      if (!endpoint.send(message, static_cast<uint32_t>(4 + text.size()), 0, false)) break;
      ++flow.sent;
    }
    endpoint.flush();
  };
  // The window of the last messages may stay unacknowledged, so reception counts.
  ASSERT_TRUE(pump_until([&] {
    step(flows[0]);
    step(flows[1]);
    if (flows[0].sent == wanted && flows[1].sent < wanted)
      flows[1].acknowledged = flows[0].received;
    if (flows[1].sent == wanted && flows[0].sent < wanted)
      flows[0].acknowledged = flows[1].received;
    return HasFatalFailure() || (flows[0].received == wanted && flows[1].received == wanted);
  })) << flows[0].received
      << " and " << flows[1].received;
}

TEST_P(TransportConformance, SlotsAreReleasedInAnyOrder) {
  connect_pair();
  const uint32_t slots = small_options().receive_slots;
  std::mt19937 random(2);
  for (uint32_t round = 0; round < 20; ++round) {
    for (uint32_t i = 0; i < slots; ++i) {
      const std::string text = numbered(round * slots + i, 20 + i);
      ASSERT_TRUE(pump_until([&] { return client_.send(text); }));
    }
    ASSERT_TRUE(pump_until([&] { return server_.log.size() == slots; }));
    std::set<uint32_t> used;
    for (uint32_t i = 0; i < slots; ++i) {
      EXPECT_EQ(text_of(server_.log[i]), numbered(round * slots + i, 20 + i));
      EXPECT_LT(server_.log[i].slot, slots);
      used.insert(server_.log[i].slot);
    }
    EXPECT_EQ(used.size(), slots) << "two unreleased messages in one slot";
    std::shuffle(server_.log.begin(), server_.log.end(), random);
    for (const Completion& completion : server_.log) {
      server_.endpoint->release_message(completion.slot);
    }
    server_.log.clear();
  }
}

TEST_P(TransportConformance, AnUnreleasedMessageIsNotOverwritten) {
  connect_pair();
  ASSERT_TRUE(client_.send("the one that is kept"));
  ASSERT_TRUE(pump_until([&] { return !server_.log.empty(); }));
  const Completion kept = server_.log.front();
  server_.log.clear();
  for (uint32_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(pump_until([&] { return client_.send(numbered(i, 40)); }));
    ASSERT_TRUE(pump_until([&] { return !server_.log.empty(); }));
    server_.endpoint->release_message(server_.log.front().slot);
    server_.log.clear();
  }
  EXPECT_EQ(text_of(kept), "the one that is kept");
}

TEST_P(TransportConformance, SentInAnotherOrderThanAcquired) {
  connect_pair();
  MessageBuffer first = client_.endpoint->acquire_message();
  MessageBuffer second = client_.endpoint->acquire_message();
  MessageBuffer third = client_.endpoint->acquire_message();
  ASSERT_TRUE(first && second && third);
  std::memcpy(first.data, "1", 1);
  std::memcpy(second.data, "2", 1);
  std::memcpy(third.data, "3", 1);
  ASSERT_TRUE(client_.endpoint->send(third, 1, 0, false));
  client_.endpoint->abandon_message(second);
  ASSERT_TRUE(client_.endpoint->send(first, 1, 0, false));
  client_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] { return server_.log.size() == 2; }));
  EXPECT_EQ(text_of(server_.log[0]), "3");
  EXPECT_EQ(text_of(server_.log[1]), "1");
}

TEST_P(TransportConformance, AcquireStopsAtSendSlots) {
  connect_pair();
  for (int round = 0; round < 3; ++round) {
    std::vector<MessageBuffer> held;
    ASSERT_TRUE(pump_until([&] {
      while (MessageBuffer message = client_.endpoint->acquire_message()) held.push_back(message);
      return held.size() == small_options().send_slots;
    })) << held.size();
    std::set<std::byte*> places;
    for (const MessageBuffer& message : held) places.insert(message.data);
    EXPECT_EQ(places.size(), held.size());
    for (const MessageBuffer& message : held) client_.endpoint->abandon_message(message);
  }
}

TEST_P(TransportConformance, WriteWithImmGathersHeaderAndBody) {
  connect_pair();
  const std::string a = numbered(1, 5000), b = numbered(2, 3);
  std::memcpy(client_.at(100, 0).address, a.data(), a.size());
  std::memcpy(client_.at(9001, 0).address, b.data(), b.size());
  MessageBuffer header = client_.endpoint->acquire_message();
  ASSERT_TRUE(header);
  std::memcpy(header.data, "header", 6);
  const LocalBuffer body[] = {client_.at(100, 5000), client_.at(9001, 3)};
  ASSERT_TRUE(client_.endpoint->write_with_imm(header, 6, body, remote(*server_.exposed, 777),
                                               0xfeedface, 42, true));
  client_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] { return !server_.log.empty() && !client_.log.empty(); }));
  EXPECT_EQ(server_.log.front().kind, CompletionKind::kImmediate);
  EXPECT_EQ(server_.log.front().immediate, 0xfeedfaceu);
  EXPECT_EQ(server_.log.front().length, 6u + 5000 + 3);
  const std::string_view got(reinterpret_cast<const char*>(server_.exposed->data()) + 777, 5009);
  EXPECT_EQ(got, "header" + a + b);
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kWrite);
  EXPECT_EQ(client_.log.front().context, 42u);
  server_.endpoint->release_message(server_.log.front().slot);
}

TEST_P(TransportConformance, WriteWithImmWithoutHeaderAndWithoutBody) {
  connect_pair();
  std::memcpy(client_.at(0, 0).address, "body", 4);
  const LocalBuffer body[] = {client_.at(0, 4)};
  ASSERT_TRUE(
      client_.endpoint->write_with_imm({}, 0, body, remote(*server_.exposed, 8), 1, 0, false));
  MessageBuffer header = client_.endpoint->acquire_message();
  std::memcpy(header.data, "head", 4);
  ASSERT_TRUE(
      client_.endpoint->write_with_imm(header, 4, {}, remote(*server_.exposed, 64), 2, 0, false));
  ASSERT_TRUE(
      client_.endpoint->write_with_imm({}, 0, {}, remote(*server_.exposed, 0), 3, 0, false));
  client_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] { return server_.log.size() == 3; }));
  EXPECT_EQ(std::memcmp(server_.exposed->data() + 8, "body", 4), 0);
  EXPECT_EQ(std::memcmp(server_.exposed->data() + 64, "head", 4), 0);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(server_.log[i].kind, CompletionKind::kImmediate);
    EXPECT_EQ(server_.log[i].immediate, i + 1);
    EXPECT_EQ(server_.log[i].length, i < 2 ? 4u : 0u);
  }
}

TEST_P(TransportConformance, ImmediatesAndMessagesShareSlotsAndKeepOrder) {
  connect_pair();
  for (uint32_t i = 0; i < repetitions(2000); ++i) {
    const LocalBuffer body[] = {client_.at(0, 16)};
    if (i % 3 == 0) {
      ASSERT_TRUE(pump_until([&] {
        const bool posted = client_.endpoint->write_with_imm(
            {}, 0, body, remote(*server_.exposed, 16 * (i % 8)), i, 0, false);
        client_.endpoint->flush();
        return posted;
      }));
    } else {
      ASSERT_TRUE(pump_until([&] { return client_.send(numbered(i, 24)); }));
    }
    ASSERT_TRUE(pump_until([&] { return !server_.log.empty(); }));
    const Completion completion = server_.log.front();
    server_.log.clear();
    if (i % 3 == 0) {
      ASSERT_EQ(completion.kind, CompletionKind::kImmediate);
      ASSERT_EQ(completion.immediate, i);
    } else {
      ASSERT_EQ(text_of(completion), numbered(i, 24));
    }
    server_.endpoint->release_message(completion.slot);
  }
}

TEST_P(TransportConformance, WritesBeforeAMessageAreThereWhenItComes) {
  connect_pair();
  for (uint32_t i = 1; i <= repetitions(500); ++i) {
    const std::string content = numbered(i, 9000);
    std::memcpy(client_.at(0, 0).address, content.data(), content.size());
    const LocalBuffer body[] = {client_.at(0, 9000)};
    ASSERT_TRUE(client_.endpoint->write(body, remote(*server_.exposed, 4096), 0, false));
    ASSERT_TRUE(client_.send("look", 0, true));
    ASSERT_TRUE(pump_until([&] { return !server_.log.empty() && !client_.log.empty(); }));
    ASSERT_EQ(std::memcmp(server_.exposed->data() + 4096, content.data(), content.size()), 0);
    server_.endpoint->release_message(server_.log.front().slot);
    server_.log.clear();
    client_.log.clear();
  }
}

TEST_P(TransportConformance, SignalledWorkCompletesOnceAndInOrder) {
  connect_pair();
  const LocalBuffer body[] = {client_.at(0, 8)};
  ASSERT_TRUE(client_.read(64, 8, remote(*server_.exposed), 1));
  ASSERT_TRUE(client_.endpoint->write(body, remote(*server_.exposed, 8), 2, true));
  ASSERT_TRUE(client_.send("x", 3, true));
  ASSERT_TRUE(client_.endpoint->compare_and_swap(client_.at(128, 8), remote(*server_.exposed, 64),
                                                 0, 1, 4, true));
  ASSERT_TRUE(
      client_.endpoint->write_with_imm({}, 0, body, remote(*server_.exposed, 8), 9, 5, true));
  client_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] { return client_.log.size() == 5; }));
  pump_rounds(100);
  ASSERT_EQ(client_.log.size(), 5u);
  const CompletionKind kinds[] = {CompletionKind::kRead, CompletionKind::kWrite,
                                  CompletionKind::kSend, CompletionKind::kCompareAndSwap,
                                  CompletionKind::kWrite};
  for (uint32_t i = 0; i < 5; ++i) {
    EXPECT_EQ(client_.log[i].kind, kinds[i]);
    EXPECT_EQ(client_.log[i].context, i + 1);
    EXPECT_EQ(client_.log[i].code, Code::kOk);
    EXPECT_EQ(client_.log[i].endpoint, client_.endpoint.get());
  }
}

TEST_P(TransportConformance, UnsignalledWorkIsSilent) {
  connect_pair();
  std::memset(server_.exposed->data(), 0x5a, 4096);
  for (uint32_t round = 0; round < repetitions(300); ++round) {
    std::memset(client_.at(0, 0).address, 0, 64);
    for (uint32_t i = 0; i < 7; ++i) {
      ASSERT_TRUE(
          pump_until([&] { return client_.read(i * 8, 8, remote(*server_.exposed), 0, false); }));
    }
    ASSERT_TRUE(
        pump_until([&] { return client_.read(56, 8, remote(*server_.exposed), round, true); }));
    ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
    ASSERT_EQ(client_.log.size(), 1u);
    ASSERT_EQ(client_.log.front().context, round);
    for (uint32_t i = 0; i < 64; ++i) ASSERT_EQ(client_.local->data()[i], std::byte{0x5a});
    client_.log.clear();
  }
}

TEST_P(TransportConformance, PostingStopsAtMaxWork) {
  connect_pair();
  for (int round = 0; round < 3; ++round) {
    uint32_t posted = 0;
    while (client_.endpoint->read(client_.at(0, 8), remote(*server_.exposed), posted, true)) {
      ++posted;
      ASSERT_LE(posted, small_options().max_work);
    }
    EXPECT_EQ(posted, small_options().max_work);
    client_.endpoint->flush();
    ASSERT_TRUE(pump_until([&] { return client_.log.size() == posted; }));
    for (uint32_t i = 0; i < posted; ++i) EXPECT_EQ(client_.log[i].context, i);
    client_.log.clear();
  }
}

TEST_P(TransportConformance, CountersCountVerbs) {
  connect_pair();
  const EndpointCounters before = client_.endpoint->counters();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client_.endpoint->read(client_.at(0, 8), remote(*server_.exposed), 0, i == 2));
  }
  client_.endpoint->flush();
  client_.endpoint->flush();  // nothing to hand over
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  const EndpointCounters& after = client_.endpoint->counters();
  EXPECT_EQ(after.reads - before.reads, 3u);
  EXPECT_EQ(after.doorbells - before.doorbells, 1u);
  EXPECT_GE(after.completions - before.completions, 1u);
}

}  // namespace
}  // namespace rdmakv::conformance
