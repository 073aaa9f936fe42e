// How server and clients of a test are joined.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "rdmakv/transport/fabric.h"

namespace rdmakv::server {

struct Way {
  std::string name;
  std::function<Result<std::unique_ptr<Fabric>>()> open_server;
  std::function<Result<std::unique_ptr<Fabric>>()> open_client;
  FabricAddress address;  // for both sides; the port is any
};

}  // namespace rdmakv::server
