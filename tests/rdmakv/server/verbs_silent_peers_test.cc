// Silent peers over real verbs, and one whose wire is cut; in the Soft-RoCE machine of
// tests/softroce, which has rxe0 at 10.77.0.1 on link v0 and rxe1 at 10.77.0.2 on v1.
#include <cstdlib>

#include "rdmakv/transport/verbs/verbs_fabric.h"
#include "tests/rdmakv/server/silent_peers.h"

namespace rdmakv::server {

Way between_adapters(const char* name, bool by_socket) {
  return {name,
          [] {
            return verbs::open_verbs_fabric({"rxe1", -1});
          },
          [] {
            return verbs::open_verbs_fabric({"rxe0", -1});
          },
          {"10.77.0.2", 0, by_socket}};
}

const Way kCm = between_adapters("Cm", false);
const Way kSocket = between_adapters("Socket", true);

RDMAKV_SILENT_PEERS(Verbs, kCm, kSocket);

class CutOff : public SilentPeers {
 protected:
  void TearDown() override { mend(); }
  void cut() { cut_ = std::system("tc qdisc replace dev v0 root netem loss 100%") == 0; }
  void mend() {
    if (!cut_) return;
    EXPECT_EQ(std::system("tc qdisc del dev v0 root"), 0);
    cut_ = false;
  }

 private:
  bool cut_ = false;
};

INSTANTIATE_TEST_SUITE_P(Verbs, CutOff, testing::Values(kCm, kSocket), name_of);

// The peer cannot say that it is gone: neither the CM nor (the TCP connection does not go through
// the link) a closed socket tells. Only the server's probe finds out.
// What it may still have posted reaches nobody once the queue pair is in ERROR, drained and
// destroyed; then its grants come back.
TEST_P(CutOff, OneWhoseWireIsCutIsNoticedByTheProbeAndGivesBackWhatItHeld) {
  options_.timeouts.silence_ns = 50'000'000;
  start();
  auto lost = open_client();
  lost->put("k", std::string(100'000, 'p'));
  EXPECT_EQ(lost->get("k")->header.flags & wire::kPinned, wire::kPinned);
  wire::RequestHeader begin = RawClient::header(wire::Opcode::kUploadBegin);
  begin.total = 1'000'000;
  EXPECT_EQ(lost->ask(begin, "u")->header.status, wire::ReplyStatus::kOk);
  wire::RequestHeader grants = RawClient::header(wire::Opcode::kGrants);
  grants.wanted = 3;
  EXPECT_EQ(lost->ask(grants)->header.number, 3u);
  auto witness = open_client(*server_fabric_);  // within the server's own adapter
  ASSERT_EQ(witness->stat("pins_open"), 1);
  ASSERT_EQ(witness->stat("uploads_open"), 1);
  ASSERT_EQ(witness->stat("grants_out"), 3);
  cut();
  expect_stat(*witness, "connections", 1);
  expect_stat(*witness, "pins_open", 0);
  expect_stat(*witness, "uploads_open", 0);
  expect_stat(*witness, "grants_out", 0);
  EXPECT_EQ(witness->get("k")->header.status, wire::ReplyStatus::kOk);
  EXPECT_TRUE(lost->wait([&] {
    // It finds out by itself as soon as it wants something.
    if (!lost->gone()) lost->send(RawClient::message(RawClient::header(wire::Opcode::kPing)));
    return lost->gone();
  }));
}

}  // namespace rdmakv::server
