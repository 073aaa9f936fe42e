// The addresses of a connected socket as CLIENT LIST shows them: "127.0.0.1:5000", "[::1]:5000",
// "/run/proxy.sock:0".
#pragma once

#include <string>

struct sockaddr;

namespace rdmakv::proxy {

std::string peer_address(int fd);
std::string local_address(int fd);

}  // namespace rdmakv::proxy
