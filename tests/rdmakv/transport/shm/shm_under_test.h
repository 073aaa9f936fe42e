// Shared memory, for the suites of conformance.h.
#pragma once

#include "rdmakv/transport/shm/shm_fabric.h"
#include "tests/rdmakv/transport/conformance.h"

namespace rdmakv::conformance {

inline const TransportUnderTest kShm{.name = "shm",
                                     .open_server = shm::open_shm_fabric,
                                     .open_client = shm::open_shm_fabric,
                                     .listen_at = {},
                                     .connect_host = "",
                                     .unused_port = 1,
                                     .effort = 100};

}  // namespace rdmakv::conformance
