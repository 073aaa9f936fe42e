// The shared-memory fabric: peers on one host, the same Endpoint as over RDMA.
#pragma once

#include <memory>
#include <string>

#include "rdmakv/transport/fabric.h"

namespace rdmakv::shm {

Result<std::unique_ptr<Fabric>> open_shm_fabric();

}  // namespace rdmakv::shm
