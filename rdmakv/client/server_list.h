// Lists of servers as users write them, in one way for the proxy, the native programs and the C
// API: whoever shares data must come to the same list, because it decides where every key lives
// (slot_map.h). Where a list comes from (an option, a file) does not matter, nor its order.
//
//   ADDRESS[/WEIGHT]    HOST:PORT, shm:PORT, rdma:HOST:PORT or rdma+socket:HOST:PORT; the weight is
//                       the server's share of the keys, a positive number, 1 when none is given
//
// A server's name is its address as it is written: localhost and 127.0.0.1 are two names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rdmakv/fabric_factory.h"

namespace rdmakv {

// The servers' addresses and weights (ClientOptions takes both), and the one transport that all of
// them want.
struct ServerList {
  Transport transport = Transport::kAuto;
  std::vector<FabricAddress> addresses;
  std::vector<double> weights;
};
Result<ServerList> parse_servers(const std::vector<std::string>& servers);

// What a file names, for parse_servers(): ADDRESS or ADDRESS WEIGHT a line, # for comments.
Result<std::vector<std::string>> parse_servers_file(std::string_view text);
Result<std::vector<std::string>> read_servers_file(const std::string& path);

}  // namespace rdmakv
