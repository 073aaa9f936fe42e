// The errors of a machine without an RDMA device; skipped on one that has some.
#include <gtest/gtest.h>

#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/verbs_fabric.h"

namespace rdmakv::verbs {
namespace {

class NoDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (!device_names().empty()) GTEST_SKIP() << "this machine has an RDMA device";
  }
};

TEST_F(NoDevice, IsNotPresent) {
  EXPECT_FALSE(verbs_device_present());
}

TEST_F(NoDevice, OpeningAnySaysThatThereIsNone) {
  const auto fabric = open_verbs_fabric({});
  ASSERT_FALSE(fabric);
  EXPECT_EQ(fabric.status().code(), Code::kUnavailable);
  EXPECT_EQ(fabric.status().message(), "no RDMA device on this machine");
}

TEST_F(NoDevice, OpeningOneByNameNamesIt) {
  const auto fabric = open_verbs_fabric({"mlx5_9", -1});
  ASSERT_FALSE(fabric);
  EXPECT_EQ(fabric.status().message(),
            "no such RDMA device 'mlx5_9': this machine has no RDMA device");
}

TEST_F(NoDevice, NoDeviceHasAGid) {
  EXPECT_FALSE(device_with_gid(ibv_gid{}));
}

}  // namespace
}  // namespace rdmakv::verbs
