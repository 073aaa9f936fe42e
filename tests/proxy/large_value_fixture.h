// A proxy whose client library has little registered memory, so that small tests have large values.
#pragma once

#include "tests/proxy/harness.h"

namespace rdmakv::proxy {

inline fakes::FakeClient::Options small() {
  fakes::FakeClient::Options options;
  options.arena_bytes = 1 << 20;
  options.max_single_put = 16 * 1024;  // larger ones are uploads, in chunks of so much
  options.landing_bytes = 16 * 1024;
  return options;
}

class LargeValueTest : public ProxyTest {
 protected:
  LargeValueTest() : ProxyTest(small()) {}
  // Everything that was taken has been given back.
  void expect_nothing_held() {
    run();
    EXPECT_EQ(fake_->free_bytes(), small().arena_bytes);
    EXPECT_EQ(fake_->pins(), 0u);
    EXPECT_EQ(fake_->uploads(), 0u);
    EXPECT_EQ(worker_->requests().in_use(), 0u);
  }
  TestClient client_ = connect();
};

}  // namespace rdmakv::proxy
