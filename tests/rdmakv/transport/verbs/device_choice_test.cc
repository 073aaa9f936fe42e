// The choice of devices and addresses, and limits of the system; in the Soft-RoCE machine (see
// device_test.cc).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "rdmakv/transport/verbs/connect_messages.h"
#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/handles.h"
#include "rdmakv/transport/verbs/socket_address.h"
#include "rdmakv/transport/verbs/verbs_fabric.h"
#include "tests/rdmakv/transport/verbs/rig.h"

namespace rdmakv::verbs {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string error_of(const VerbsOptions& options) {
  const auto fabric = open_verbs_fabric(options);
  return fabric ? "" : fabric.status().message();
}

// --- devices -------------------------------------------------------------------------------------

TEST(DeviceChoice, WithoutANameTheFirstActiveOne) {
  const auto fabric = open_verbs_fabric({});
  ASSERT_TRUE(fabric) << fabric.status().to_string();
  EXPECT_TRUE(verbs_device_present());
  EXPECT_THAT(fabric.value()->describe(), HasSubstr("RDMA device rxe0 port 1"));
}

TEST(DeviceChoice, UnknownNameListsThoseThereAre) {
  EXPECT_EQ(error_of({"mlx5_9", -1}), "no such RDMA device 'mlx5_9': this machine has rxe0, rxe1");
}

TEST(DeviceChoice, TheBestGidIsTheIPv4One) {
  const auto fabric = open_verbs_fabric({"rxe1", -1});
  ASSERT_TRUE(fabric);
  EXPECT_THAT(fabric.value()->describe(), HasSubstr("GID 1 10.77.0.2 (RoCE v2)"));
}

TEST(DeviceChoice, GidIndexIsTaken) {
  const auto fabric = open_verbs_fabric({"rxe1", 0});
  ASSERT_TRUE(fabric);
  EXPECT_THAT(fabric.value()->describe(), HasSubstr("GID 0 fe80::"));
}

TEST(DeviceChoice, UnknownGidIndexListsThoseThereAre) {
  EXPECT_EQ(error_of({"rxe0", 7}), "RDMA device rxe0 has no GID with index 7 (it has 0, 1)");
}

TEST(DeviceChoice, LimitsAreTheDevices) {
  const auto fabric = open_verbs_fabric({});
  ASSERT_TRUE(fabric);
  const FabricLimits limits = fabric.value()->limits();
  EXPECT_EQ(limits.max_message, 8u << 20);
  EXPECT_EQ(limits.max_completions, 32767u);
  EXPECT_EQ(limits.max_reads, 128u);
  EXPECT_FALSE(limits.atomics_with_cpu);
}

TEST(DeviceChoice, TooDeepAQueueNamesTheLimit) {
  const auto fabric = open_verbs_fabric({});
  ASSERT_TRUE(fabric);
  const auto queue = fabric.value()->create_completion_queue(1 << 20);
  ASSERT_FALSE(queue);
  EXPECT_THAT(queue.status().message(), HasSubstr("takes 1 to 32767"));
}

TEST(DeviceChoice, ADeviceWhoseLinkIsDownIsNotActive) {
  // Taking the link down also loses its neighbours, which were entered by hand.
  ASSERT_EQ(std::system("ip link set v1 down"), 0);
  std::string error;
  for (int i = 0; i < 600 && error.empty(); ++i) {
    error = error_of({"rxe1", -1});
    usleep(100'000);
  }
  EXPECT_EQ(error, "port 1 of RDMA device rxe1 is not active (is its link up?)");
  ASSERT_EQ(std::system("ip link set v1 up"), 0);
  for (int i = 0; i < 600 && !error.empty(); ++i) {
    error = error_of({"rxe1", 1});
    if (error.empty()) error = error_of({"rxe0", 1});
    usleep(100'000);
  }
  EXPECT_EQ(error, "");
  ASSERT_EQ(std::system("ip neighbour replace 10.77.0.2 lladdr $(cat /sys/class/net/v1/address) "
                        "dev v0 nud permanent && "
                        "ip neighbour replace 10.77.0.1 lladdr $(cat /sys/class/net/v0/address) "
                        "dev v1 nud permanent"),
            0);
}

// --- addresses -----------------------------------------------------------------------------------

TEST(AddressChoice, ListeningOnAnotherDevicesAddressNamesBoth) {
  RigOptions options;
  Rig rig(options);
  const auto fabric = open_verbs_fabric({"rxe0", -1});
  ASSERT_TRUE(fabric);
  const auto listener = fabric.value()->listen({"10.77.0.2", 0, false}, rig);
  ASSERT_FALSE(listener);
  EXPECT_THAT(listener.status().message(), AllOf(HasSubstr("rxe1"), HasSubstr("rxe0")));
}

TEST(AddressChoice, ListeningOnAnAddressOfNoDeviceSaysSo) {
  RigOptions options;
  Rig rig(options);
  const auto fabric = open_verbs_fabric({"rxe0", -1});
  ASSERT_TRUE(fabric);
  const auto listener = fabric.value()->listen({"192.0.2.1", 0, false}, rig);
  ASSERT_FALSE(listener);
  EXPECT_THAT(listener.status().message(), HasSubstr("192.0.2.1 is the address of no RDMA device"));
}

TEST(AddressChoice, ARequestThroughAnotherDeviceIsRefusedByName) {
  RigOptions options;
  options.server_host = "";  // all addresses, also those of rxe0
  options.client_device = "rxe1";
  Rig rig(options);
  ASSERT_TRUE(rig.open());
  rig.options.server_host = "10.77.0.1";
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.wait_for("refusal", [&] { return disconnected(rig.client_events); }));
  EXPECT_EQ(rig.client_events.back().completion.code, Code::kRefused);
  EXPECT_EQ(rig.client->error_text(),
            "this address is on RDMA device rxe0, the server works on rxe1");
}

TEST(AddressChoice, ATargetBehindAnotherDeviceNamesBoth) {
  ASSERT_EQ(std::system("ip route replace 198.51.100.0/24 dev v1 src 10.77.0.2"), 0);
  RigOptions options;
  Rig rig(options);
  ASSERT_TRUE(rig.open());
  const auto endpoint = rig.client_fabric->connect({"198.51.100.7", 7471, false}, {}, options.sizes,
                                                   *rig.client_queue);
  ASSERT_FALSE(endpoint);
  EXPECT_EQ(endpoint.status().message(),
            "198.51.100.7 is reached through RDMA device rxe1, but this process uses rxe0: choose "
            "it with --device rxe1");
  EXPECT_EQ(std::system("ip route del 198.51.100.0/24"), 0);
}

TEST(AddressChoice, AHostThatDoesNotAnswerIsGivenUp) {
  RigOptions options;
  Rig rig(options);
  ASSERT_TRUE(rig.open());
  auto endpoint =
      rig.client_fabric->connect({"10.77.0.99", 7471, false}, {}, options.sizes, *rig.client_queue);
  ASSERT_TRUE(endpoint) << endpoint.status().to_string();
  rig.client = std::move(*endpoint);
  ASSERT_TRUE(rig.wait_for("end", [&] { return disconnected(rig.client_events); }));
  EXPECT_EQ(rig.client_events.back().completion.code, Code::kUnavailable);
  EXPECT_THAT(std::string(rig.client->error_text()), HasSubstr("10.77.0.99"));
}

TEST(AddressChoice, WithinOneAdapter) {
  for (const bool by_socket : {false, true}) {
    RigOptions options;
    options.by_socket = by_socket;
    options.client_device = "rxe1";
    Rig rig(options);
    EXPECT_TRUE(rig.connect());
    EXPECT_THAT(std::string(rig.client->peer_name()),
                HasSubstr(by_socket ? " (socket, rxe1)" : " (cm, rxe1)"));
  }
}

TEST(AddressChoice, SocketModeOverLinkLocalGids) {
  RigOptions options;
  options.by_socket = true;
  options.client_gid_index = 0;
  options.client_device = "rxe1";
  Rig rig(options);
  ASSERT_TRUE(rig.connect());
  ASSERT_TRUE(rig.send(*rig.client, "over another GID"));
  rig.client->flush();
  ASSERT_TRUE(rig.wait_for("message", [&] {
    return Rig::find(rig.server_events, CompletionKind::kMessage) != nullptr ||
           disconnected(rig.client_events);
  }));
  EXPECT_EQ(rig.client->error_text(), "");
}

// --- memory --------------------------------------------------------------------------------------

TEST(Memory, HugePagesAreUsedAndTheirLackIsAnError) {
  const auto fabric = open_verbs_fabric({});
  ASSERT_TRUE(fabric);
  RegionOptions options;
  options.bytes = 1;
  options.pages = Pages::kReserved;
  options.remote_access = RemoteAccess::kRead;
  const auto region = fabric.value()->allocate(options);
  ASSERT_TRUE(region) << region.status().to_string();
  EXPECT_EQ(region.value()->size(), 2u << 20);
  EXPECT_EQ(region.value()->pages(), Pages::kReserved);
  options.bytes = size_t{1} << 40;
  const auto too_much = fabric.value()->allocate(options);
  ASSERT_FALSE(too_much);
  EXPECT_EQ(too_much.status().code(), Code::kNoSpace);
  EXPECT_THAT(too_much.status().message(), HasSubstr("vm.nr_hugepages"));
}

TEST(Memory, RegionsAreNamedZeroFilledAndPageSized) {
  const auto fabric = open_verbs_fabric({});
  ASSERT_TRUE(fabric);
  RegionOptions options;
  options.bytes = 5000;
  const auto region = fabric.value()->allocate(options);
  ASSERT_TRUE(region);
  EXPECT_EQ(region.value()->size(), 8192u);
  EXPECT_EQ(region.value()->remote_base(), reinterpret_cast<uint64_t>(region.value()->data()));
  for (const std::byte byte : region.value()->bytes()) ASSERT_EQ(byte, std::byte{0});
}

// Root may lock what it likes by a capability; without it the limit counts.
class WithoutLockCapability {
 public:
  WithoutLockCapability() {
    header_ = {_LINUX_CAPABILITY_VERSION_3, 0};
    EXPECT_EQ(syscall(SYS_capget, &header_, before_), 0);
    __user_cap_data_struct without[2] = {before_[0], before_[1]};
    without[0].effective &= ~(1u << CAP_IPC_LOCK);
    EXPECT_EQ(syscall(SYS_capset, &header_, without), 0);
    getrlimit(RLIMIT_MEMLOCK, &limit_);
    const rlimit small = {1 << 20, limit_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_MEMLOCK, &small), 0);
  }
  ~WithoutLockCapability() {
    syscall(SYS_capset, &header_, before_);
    setrlimit(RLIMIT_MEMLOCK, &limit_);
  }

 private:
  __user_cap_header_struct header_ = {};
  __user_cap_data_struct before_[2] = {};
  rlimit limit_ = {};
};

TEST(Memory, TheLimitOfLockedMemoryIsNamed) {
  const auto fabric = open_verbs_fabric({});
  ASSERT_TRUE(fabric);
  const WithoutLockCapability without;
  RegionOptions options;
  options.bytes = 32 << 20;
  options.name = "pool";
  const auto region = fabric.value()->allocate(options);
  ASSERT_FALSE(region);
  EXPECT_EQ(region.status().code(), Code::kNoSpace);
  EXPECT_EQ(region.status().message(),
            "cannot register 32 MiB of 'pool': the limit of locked memory is 1024 KiB; raise it "
            "(ulimit -l, or LimitMEMLOCK= in a service file)");
}

}  // namespace
}  // namespace rdmakv::verbs
