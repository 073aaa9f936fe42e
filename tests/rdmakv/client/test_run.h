// A run of puts that remembers that it has ended.
#pragma once

#include "rdmakv/client/put_run.h"

namespace rdmakv {

struct TestRun : PutRun {
  TestRun() {
    done = [](PutRun& run) { ++static_cast<TestRun&>(run).dones; };
  }
  int dones = 0;
};

}  // namespace rdmakv
