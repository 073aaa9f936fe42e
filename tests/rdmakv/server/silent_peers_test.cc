#include "tests/rdmakv/server/silent_peers.h"
#include "rdmakv/transport/shm/shm_fabric.h"

namespace rdmakv::server {

RDMAKV_SILENT_PEERS(Shm, Way{"Shm",
                             [] { return shm::open_shm_fabric(); },
                             [] { return shm::open_shm_fabric(); },
                             {}});

}  // namespace rdmakv::server
