// Peers that say nothing, stop half-way, or fall silent, over whatever transport a test program
// instantiates this for: RDMAKV_SILENT_PEERS(Shm, way, ...). What they held is released, and nobody
// else notices.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "rdmakv/server/server.h"
#include "tests/rdmakv/server/raw_client.h"
#include "tests/rdmakv/server/way.h"

namespace rdmakv::server {

class SilentPeers : public testing::TestWithParam<Way> {
 protected:
  SilentPeers();
  void start();
  std::unique_ptr<RawClient> client() {
    return std::make_unique<RawClient>(*client_fabric_, GetParam().address);
  }
  // Tries until one is admitted: handshakes must be fast in here, and a loaded machine is not.
  std::unique_ptr<RawClient> open_client() { return open_client(*client_fabric_); }
  std::unique_ptr<RawClient> open_client(Fabric& fabric);
  void expect_stat(RawClient& by, const std::string& name, int64_t wanted);

  std::unique_ptr<Fabric> server_fabric_, client_fabric_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

inline std::string name_of(const testing::TestParamInfo<Way>& info) {
  return info.param.name;
}
#define RDMAKV_SILENT_PEERS(suite, ...) \
  INSTANTIATE_TEST_SUITE_P(suite, SilentPeers, testing::Values(__VA_ARGS__), name_of)

}  // namespace rdmakv::server
