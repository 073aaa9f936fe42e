#include "rdmakv/client/server_list.h"

#include <gtest/gtest.h>

#include <fstream>

namespace rdmakv {
namespace {

TEST(ServerList, IsOfOneTransport) {
  EXPECT_TRUE(parse_servers({"shm:1", "shm:2"}));
  const auto mixed = parse_servers({"shm:1", "rdma:h:2"});
  ASSERT_FALSE(mixed);
  EXPECT_NE(mixed.status().message().find("one transport"), std::string::npos);
  EXPECT_FALSE(parse_servers({"nonsense"}));
  auto weighted = parse_servers({"shm:1", "shm:2/2.5"});
  ASSERT_TRUE(weighted);
  EXPECT_EQ(weighted->weights, (std::vector<double>{1, 2.5}));
  for (const char* wrong : {"shm:1/", "shm:1/0", "shm:1/-1", "shm:1/x", "shm:1/2x", "shm:1/nan"}) {
    EXPECT_FALSE(parse_servers({wrong})) << wrong;
  }
}

TEST(ServerList, FromAFile) {
  auto servers = parse_servers_file("# three\nshm:1\n\n  shm:2  2 # twice\r\nshm:3 0.5");
  ASSERT_TRUE(servers);
  EXPECT_EQ(*servers, (std::vector<std::string>{"shm:1", "shm:2/2", "shm:3/0.5"}));
  EXPECT_TRUE(parse_servers_file("")->empty());
  EXPECT_NE(parse_servers_file("shm:1\nshm:2 1 2\n").status().message().find("line 2"),
            std::string::npos);
}

TEST(ServerList, FromAFileOnDisk) {
  const std::string path = ::testing::TempDir() + "/server_list_test.servers";
  std::ofstream(path) << "shm:1\nshm:2 3\n";
  auto servers = read_servers_file(path);
  std::remove(path.c_str());
  ASSERT_TRUE(servers);
  EXPECT_EQ(*servers, (std::vector<std::string>{"shm:1", "shm:2/3"}));
  EXPECT_FALSE(read_servers_file(path));
}

}  // namespace
}  // namespace rdmakv
