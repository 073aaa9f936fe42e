// The way that a test program of the client goes: shm_way.cc or verbs_way.cc, whichever is linked.
#pragma once

#include "tests/rdmakv/server/way.h"

namespace rdmakv {

const server::Way& test_way();
// `number` repetitions over shared memory; over an emulated adapter fewer.
int times(int number);

}  // namespace rdmakv
