// The transport conformance suite over real verbs: both modes, each within one adapter and between
// two. Run in the Soft-RoCE machine (see device_test.cc).
#include "tests/rdmakv/transport/conformance.h"
#include "rdmakv/transport/verbs/verbs_fabric.h"

namespace rdmakv::conformance {
namespace {

// Soft-RoCE in an emulated machine is some hundred times slower than shared memory.
constexpr uint32_t kEffort = 5;

TransportUnderTest verbs_case(const char* name, bool by_socket, const char* client_device) {
  TransportUnderTest test;
  test.name = name;
  test.open_server = [] { return verbs::open_verbs_fabric({"rxe1", -1}); };
  test.open_client = [client_device] { return verbs::open_verbs_fabric({client_device, -1}); };
  test.listen_at = {"10.77.0.2", 0, by_socket};
  test.connect_host = "10.77.0.2";
  test.unused_port = 1;
  test.effort = kEffort;
  return test;
}

RDMAKV_CONFORMANCE(Verbs, verbs_case("CmWithinOneAdapter", false, "rxe1"),
                   verbs_case("CmBetweenTwo", false, "rxe0"),
                   verbs_case("SocketWithinOneAdapter", true, "rxe1"),
                   verbs_case("SocketBetweenTwo", true, "rxe0"));

}  // namespace
}  // namespace rdmakv::conformance
