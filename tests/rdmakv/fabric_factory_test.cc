#include "rdmakv/fabric_factory.h"

#include <gtest/gtest.h>

namespace rdmakv {
namespace {

struct Parsed {
  FabricAddress address;
  Transport transport = Transport::kAuto;
};

Parsed parse(std::string_view text) {
  Parsed parsed;
  Result<FabricAddress> address = parse_server_address(text, &parsed.transport);
  EXPECT_TRUE(address) << address.status().to_string();
  if (address) parsed.address = *address;
  return parsed;
}

std::string complaint(std::string_view text) {
  Transport transport;
  const Result<FabricAddress> address = parse_server_address(text, &transport);
  return address ? "(accepted)" : address.status().message();
}

TEST(ServerAddress, HostAndPort) {
  const Parsed parsed = parse("10.0.0.1:7000");
  EXPECT_EQ(parsed.address.host, "10.0.0.1");
  EXPECT_EQ(parsed.address.port, 7000);
  EXPECT_EQ(parsed.transport, Transport::kAuto);
  EXPECT_FALSE(parsed.address.by_socket);
}

TEST(ServerAddress, Shm) {
  EXPECT_EQ(parse("shm:7000").transport, Transport::kShm);
  EXPECT_EQ(parse("shm:7000").address.port, 7000);
}

TEST(ServerAddress, RdmaInBothModes) {
  EXPECT_FALSE(parse("rdma:node1:7000").address.by_socket);
  EXPECT_EQ(parse("rdma:node1:7000").transport, Transport::kRdma);
  EXPECT_TRUE(parse("rdma+socket:node1:7000").address.by_socket);
  EXPECT_EQ(parse("rdma+socket:node1:7000").address.host, "node1");
}

TEST(ServerAddress, V6InBrackets) {
  EXPECT_EQ(parse("[fe80::1]:7000").address.host, "fe80::1");
}

TEST(ServerAddress, RefusesWithReason) {
  EXPECT_NE(complaint("host:notaport").find("'notaport' is not a port"), std::string::npos);
  EXPECT_NE(complaint("host:70000").find("'70000' is not a port"), std::string::npos);
  EXPECT_NE(complaint("host:0").find("'0' is not a port"), std::string::npos);
  EXPECT_NE(complaint("host").find("is not HOST:PORT"), std::string::npos);
  EXPECT_NE(complaint("").find("is not HOST:PORT"), std::string::npos);
}

TEST(TransportName, KnowsThreeAndNamesThem) {
  EXPECT_EQ(*parse_transport("auto"), Transport::kAuto);
  EXPECT_EQ(*parse_transport("rdma"), Transport::kRdma);
  EXPECT_EQ(*parse_transport("shm"), Transport::kShm);
  EXPECT_NE(parse_transport("tcp").status().message().find("auto, rdma or shm"), std::string::npos);
}

TEST(OpenFabric, AutoFindsOneAnywhere) {
  std::string why;
  Result<std::unique_ptr<Fabric>> fabric = open_fabric({}, &why);
  ASSERT_TRUE(fabric) << fabric.status().to_string();
  EXPECT_EQ((*fabric)->name(), rdma_device_present() ? "rdma" : "shm");
  EXPECT_FALSE(why.empty());
}

TEST(OpenFabric, NamesADeviceThatIsNotThere) {
  FabricOptions options;
  options.device = "mlx5_77";
  const Result<std::unique_ptr<Fabric>> fabric = open_fabric(options);
  ASSERT_FALSE(fabric);
  EXPECT_NE(fabric.status().message().find("mlx5_77"), std::string::npos);
}

}  // namespace
}  // namespace rdmakv
