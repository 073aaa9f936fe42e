// What the connections of one fabric share.
#pragma once

#include <memory>

#include "rdmakv/transport/shm/life_sign.h"
#include "rdmakv/transport/shm/shared_memory.h"

namespace rdmakv::shm {

struct FabricContext {
  std::shared_ptr<MappingCache> mappings = std::make_shared<MappingCache>();
  std::shared_ptr<LifeSign> life;
};

}  // namespace rdmakv::shm
