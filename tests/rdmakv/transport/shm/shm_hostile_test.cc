// Peers that do not keep to the rules: silent ones, malformed frames, memory that is not what it
// should be.
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <chrono>

#include <gtest/gtest.h>

#include "rdmakv/transport/shm/life_sign.h"
#include "rdmakv/transport/shm/message_rings.h"
#include "rdmakv/transport/shm/queue_page.h"
#include "rdmakv/transport/shm/shared_memory.h"
#include "rdmakv/transport/shm/shm_fabric.h"
#include "rdmakv/transport/shm/shm_listener.h"
#include "rdmakv/transport/shm/shm_wire.h"
#include "rdmakv/transport/shm/unix_socket.h"
#include "tests/rdmakv/transport/conformance.h"
#include "tests/rdmakv/transport/shm/open_descriptors.h"

namespace rdmakv::shm {
namespace {

using conformance::small_options;

// A server whose client side the test plays by hand.
class ShmHostileTest : public testing::Test, public ConnectionHandler {
 protected:
  void SetUp() override {
    fabric_ = std::move(*open_shm_fabric());
    queue_ = std::move(*fabric_->create_completion_queue(64));
    region_ = std::move(*fabric_->allocate(
        {1 << 20, RemoteAccess::kRead | RemoteAccess::kWrite, Pages::kTransparent, "all"}));
    listener_ = std::move(*fabric_->listen({}, *this));
    socket_ = connect_raw();
  }
  void TearDown() override { endpoints_.clear(); }

  Result<Acceptance> route(const wire::ConnectRequest&) override {
    return Acceptance{queue_.get(), small_options()};
  }
  void accepted(const wire::ConnectRequest&, std::unique_ptr<Endpoint> endpoint) override {
    endpoints_.push_back(std::move(endpoint));
  }

  UniqueFd connect_raw() { return std::move(*connect_to_port(listener_->port())); }

  void pump() {
    listener_->dispatch();
    Completion completions[8];
    const size_t count = queue_->poll(completions);
    log_.insert(log_.end(), completions, completions + count);
  }
  // The next frame that the server sends, or its end.
  Received answer(Frame& frame) {
    const auto deadline = std::chrono::steady_clock::now() + conformance::kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      const Received received = receive_frame(socket_.get(), frame);
      if (received != Received::kNothing) return received;
      pump();
    }
    return Received::kNothing;
  }
  bool pump_until_disconnected() {
    const auto deadline = std::chrono::steady_clock::now() + conformance::kPatience;
    while (log_.empty() || log_.back().kind != CompletionKind::kDisconnected) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      pump();
    }
    return true;
  }

  // The test's own outbox, page and doorbell, all as they should be.
  void make_setup() {
    frame_.request.receive_slots = 16;
    frame_.request.message_bytes = 4608;
    frame_.request.max_reads = 8;
    frame_.buffers = 40;
    outbox_ = std::move(*make_shared_memory(
        {"rdmakv:test", OutboxLayout::of(16, 4608, 40).bytes, Pages::kSmall, false, false}));
    page_ = std::move(
        *make_shared_memory({"rdmakv:test", kQueuePageBytes, Pages::kSmall, true, false}));
    doorbell_ = UniqueFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    life_ =
        std::move(*make_shared_memory({"rdmakv:test", kLifePageBytes, Pages::kSmall, true, false}));
    reinterpret_cast<LifePage*>(life_.mapping.data())->keeper = 1;
  }
  void send_setup() {
    ASSERT_TRUE(send_frame(socket_.get(), frame_,
                           {outbox_.fd.get(), page_.fd.get(), doorbell_.get(), life_.fd.get()}));
  }
  void expect_refusal(std::string_view text) {
    Frame frame;
    ASSERT_EQ(answer(frame), Received::kFrame);
    RefusalFrame refusal;
    ASSERT_TRUE(frame.as(refusal, 0));
    EXPECT_EQ(refusal.kind, FrameKind::kRefusal);
    EXPECT_NE(std::string_view(refusal.refusal.text).find(text), std::string::npos)
        << refusal.refusal.text;
    EXPECT_EQ(answer(frame), Received::kEnd);
    EXPECT_TRUE(endpoints_.empty());
  }
  void set_up_well() {
    make_setup();
    send_setup();
    Frame frame;
    ASSERT_EQ(answer(frame), Received::kFrame);
    ReplyFrame reply;
    ASSERT_TRUE(frame.as(reply, kSetupDescriptors));
    ASSERT_EQ(endpoints_.size(), 1u);
  }
  void expect_broken(std::string_view text) {
    ASSERT_TRUE(pump_until_disconnected());
    EXPECT_NE(log_.back().code, Code::kOk);
    EXPECT_NE(endpoints_.front()->error_text().find(text), std::string::npos)
        << endpoints_.front()->error_text();
  }

  std::unique_ptr<Fabric> fabric_;
  std::unique_ptr<CompletionQueue> queue_;
  std::unique_ptr<MemoryRegion> region_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<Completion> log_;
  UniqueFd socket_;
  ConnectFrame frame_;
  SharedMemory outbox_, page_, life_;
  UniqueFd doorbell_;
};

TEST_F(ShmHostileTest, SetUpByHandIsAccepted) {
  set_up_well();
}

// A connection that is over, while its peer says that it is in the middle of a WRITE, is looked at
// until the peer is gone. Meanwhile the peer may send what it likes: no single look reads all of
// it.
TEST_F(ShmHostileTest, AFloodIsReadALittleAtATime) {
  set_up_well();
  ASSERT_TRUE(endpoints_.front()->expose(*region_));
  reinterpret_cast<OutboxControl*>(outbox_.mapping.data())->accessing = 1;
  const std::string garbage = "garbage";
  const auto flood = [&] {
    return ::send(socket_.get(), garbage.data(), garbage.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
  };
  ASSERT_TRUE(flood());
  ASSERT_TRUE(pump_until_disconnected());
  size_t packets = 0;
  while (flood()) ++packets;
  ASSERT_GT(packets, 100u) << "the buffer is too small for this test";
  const auto unread = [this] {
    int bytes = 0;
    EXPECT_EQ(ioctl(socket_.get(), SIOCOUTQ, &bytes), 0);
    return bytes;
  };
  const int all = unread();
  EXPECT_TRUE(endpoints_.front()->peer_may_write());
  EXPECT_GT(unread(), 0) << "all of it was read at once";
  EXPECT_LT(unread(), all);
  // When it has gone, that is noticed all the same.
  socket_.reset();
  while (endpoints_.front()->peer_may_write()) {
  }
}

TEST_F(ShmHostileTest, GarbageIsRefused) {
  const std::string garbage = "GET / HTTP/1.1\r\n\r\n";
  ASSERT_TRUE(send_packet(socket_.get(), std::as_bytes(std::span(garbage)), {}));
  expect_refusal("not a connect request");
}

TEST_F(ShmHostileTest, TooLongAPacketIsRefused) {
  const std::string garbage(1000, 'x');
  ASSERT_TRUE(send_packet(socket_.get(), std::as_bytes(std::span(garbage)), {}));
  expect_refusal("malformed");
}

TEST_F(ShmHostileTest, RequestWithoutDescriptorsIsRefused) {
  make_setup();
  ASSERT_TRUE(send_frame(socket_.get(), frame_));
  expect_refusal("malformed");
}

TEST_F(ShmHostileTest, EverySizeIsChecked) {
  struct Case {
    const char* field;
    uint32_t slots, bytes, reads;
  };
  for (const Case& c : {Case{"receive_slots", 0, 4608, 8}, Case{"receive_slots", 4097, 4608, 8},
                        Case{"message_bytes", 16, 1023, 8}, Case{"message_bytes", 16, 65537, 8},
                        Case{"max_reads", 16, 4608, 0}, Case{"max_reads", 16, 4608, 1025}}) {
    socket_ = connect_raw();
    make_setup();
    frame_.request.receive_slots = c.slots;
    frame_.request.message_bytes = c.bytes;
    frame_.request.max_reads = c.reads;
    send_setup();
    expect_refusal(c.field);
  }
}

TEST_F(ShmHostileTest, NumberOfBuffersIsChecked) {
  for (uint32_t buffers : {0u, 1u, 0xffffffffu}) {
    socket_ = connect_raw();
    make_setup();
    frame_.buffers = buffers;
    send_setup();
    expect_refusal("message buffers");
  }
}

TEST_F(ShmHostileTest, OutboxSmallerThanItsMessagesIsRefused) {
  make_setup();
  frame_.buffers = 400;
  send_setup();
  expect_refusal("too little memory");
}

TEST_F(ShmHostileTest, MemoryThatCanShrinkIsRefused) {
  make_setup();
  outbox_.fd = UniqueFd(memfd_create("rdmakv:test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(outbox_.fd.get(), 1 << 20), 0);
  send_setup();
  expect_refusal("shrink");
}

TEST_F(ShmHostileTest, ADescriptorThatIsNoMemoryIsRefused) {
  make_setup();
  outbox_.fd = UniqueFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  send_setup();
  expect_refusal("not shared memory");
}

TEST_F(ShmHostileTest, ADoorbellThatIsNoEventfdIsRefused) {
  make_setup();
  doorbell_ = UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC));
  send_setup();
  expect_refusal("doorbell");
}

TEST_F(ShmHostileTest, APeerWithoutASignOfLifeIsRefused) {
  for (const auto& [word, text] :
       {std::pair(0u, "no sign of life"), std::pair(uint32_t{FUTEX_OWNER_DIED}, "has gone")}) {
    socket_ = connect_raw();
    make_setup();
    reinterpret_cast<LifePage*>(life_.mapping.data())->keeper = word;
    send_setup();
    expect_refusal(text);
  }
}

TEST_F(ShmHostileTest, ALifePageThatIsTooSmallIsRefused) {
  make_setup();
  life_.fd = UniqueFd(memfd_create("rdmakv:test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(life_.fd.get(), 64), 0);
  ASSERT_EQ(fcntl(life_.fd.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  send_setup();
  expect_refusal("life page");
}

TEST_F(ShmHostileTest, SilentPeersNeitherBlockNorPileUp) {
  std::vector<UniqueFd> silent;
  for (size_t i = 0; i < 3 * ShmListener::kMaxHalfMade; ++i) {
    silent.push_back(connect_raw());
    listener_->dispatch();
  }
  EXPECT_LT(open_descriptors(), silent.size() + ShmListener::kMaxHalfMade + 60);
  socket_ = connect_raw();
  set_up_well();
}

TEST_F(ShmHostileTest, ForgedMessageEndsTheConnectionOnly) {
  set_up_well();
  auto* descriptor =
      reinterpret_cast<Descriptor*>(outbox_.mapping.data() + OutboxLayout::kDescriptors);
  descriptor->kind_and_buffer = 1u << 24 | 0xffff;
  descriptor->sequence = 1;
  expect_broken("buffer that is not its to send");
  // The next one is served.
  endpoints_.clear();
  log_.clear();
  socket_ = connect_raw();
  set_up_well();
}

TEST_F(ShmHostileTest, FrameOutOfTurnEndsTheConnection) {
  set_up_well();
  send_setup();
  expect_broken("out of turn");
}

TEST_F(ShmHostileTest, RegionWithRightsOfNoMeaningEndsTheConnection) {
  set_up_well();
  RegionFrame region;
  region.key = 5;
  region.rights = 0x80;
  region.bytes = 4096;
  ASSERT_TRUE(send_frame(socket_.get(), region, {page_.fd.get()}));
  expect_broken("rights");
}

TEST_F(ShmHostileTest, TooManyRegionsEndTheConnection) {
  set_up_well();
  for (uint32_t key = 1; key <= kMaxRegionsPerPeer + 1; ++key) {
    RegionFrame region;
    region.key = key;
    region.rights = static_cast<uint32_t>(RemoteAccess::kRead);
    region.bytes = 4096;
    (void)send_frame(socket_.get(), region, {page_.fd.get()});
    pump();
  }
  expect_broken("too many regions");
}

// Regions are checked when they are first used.
class ShmHostileRegionTest : public ShmHostileTest {
 protected:
  void expose(int fd, uint64_t bytes, RemoteAccess rights) {
    RegionFrame region;
    region.key = 5;
    region.rights = static_cast<uint32_t>(rights);
    region.bytes = bytes;
    ASSERT_TRUE(send_frame(socket_.get(), region, {fd}));
  }
  bool server_writes(uint64_t offset) {
    const LocalBuffer body[] = {{region_->data(), 8, region_->local_key()}};
    const bool posted = endpoints_.front()->write(body, {offset, 5}, 9, true);
    endpoints_.front()->flush();
    return posted;
  }
};

TEST_F(ShmHostileRegionTest, RegionOfAnotherSizeThanSaid) {
  set_up_well();
  expose(page_.fd.get(), 1 << 20, RemoteAccess::kRead | RemoteAccess::kWrite);
  ASSERT_TRUE(server_writes(8192));
  expect_broken("another size");
}

TEST_F(ShmHostileRegionTest, RegionThatCanShrink) {
  set_up_well();
  const UniqueFd loose(memfd_create("rdmakv:test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(loose.get(), 1 << 16), 0);
  expose(loose.get(), 1 << 16, RemoteAccess::kRead | RemoteAccess::kWrite);
  ASSERT_TRUE(server_writes(0));
  expect_broken("shrink");
}

TEST_F(ShmHostileRegionTest, RegionSealedAgainstTheWritesItAllows) {
  set_up_well();
  expose(page_.fd.get(), kQueuePageBytes, RemoteAccess::kRead | RemoteAccess::kWrite);
  ASSERT_TRUE(server_writes(0));
  expect_broken("mapping the peer's memory");
}

// What a peer is given for reading, it cannot map for writing in any way.
TEST(ShmRegionTest, ReadOnlyMemoryCannotBeMappedWritable) {
  Result<SharedMemory> memory =
      make_shared_memory({"rdmakv:test", 4096, Pages::kSmall, true, false});
  ASSERT_TRUE(memory);
  EXPECT_FALSE(map_peer_memory(memory->fd.get(), 4096, true));
  EXPECT_TRUE(map_peer_memory(memory->fd.get(), 4096, false));
  const std::string path = "/proc/self/fd/" + std::to_string(memory->fd.get());
  const UniqueFd again(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (again) {
    EXPECT_FALSE(map_peer_memory(again.get(), 4096, true));
  }
  EXPECT_NE(ftruncate(memory->fd.get(), 0), 0);
}

TEST(ShmRegionTest, HugePagesOrAClearError) {
  const std::unique_ptr<Fabric> fabric = std::move(*open_shm_fabric());
  auto region = fabric->allocate({4 << 20, RemoteAccess::kRead, Pages::kReserved, "huge"});
  if (region) {
    EXPECT_EQ((*region)->pages(), Pages::kReserved);
  } else {
    EXPECT_EQ(region.status().code(), Code::kNoSpace);
    EXPECT_NE(region.status().message().find("huge pages"), std::string::npos);
  }
}

TEST(ShmAddressTest, NamesBothSidesOfAConflict) {
  uint16_t port = 0;
  const Result<UniqueFd> first = listen_on_port(&port);
  ASSERT_TRUE(first);
  ASSERT_NE(port, 0);
  const Result<UniqueFd> second = listen_on_port(&port);
  ASSERT_FALSE(second);
  EXPECT_NE(second.status().message().find("in use"), std::string::npos);
}

}  // namespace
}  // namespace rdmakv::shm
