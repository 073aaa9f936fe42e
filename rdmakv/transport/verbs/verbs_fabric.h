// The RDMA fabric: libibverbs and librdmacm. The only folder that includes their headers.
#pragma once

#include <memory>
#include <string>

#include "rdmakv/transport/fabric.h"

namespace rdmakv::verbs {

struct VerbsOptions {
  std::string device;  // empty: the first with an active port
  int gid_index = -1;  // -1: the best one
};

Result<std::unique_ptr<Fabric>> open_verbs_fabric(const VerbsOptions& options);
bool verbs_device_present();

}  // namespace rdmakv::verbs
