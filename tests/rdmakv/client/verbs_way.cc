// In the Soft-RoCE machine of tests/softroce: RDMAKV_TEST_WAY is cm or socket, the adapters rxe0
// and rxe1 then, or cm-within or socket-within, everything on rxe0 then. Default: cm.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "rdmakv/transport/verbs/verbs_fabric.h"
#include "tests/rdmakv/client/test_way.h"

namespace rdmakv {
namespace {

server::Way chosen() {
  const char* wanted = std::getenv("RDMAKV_TEST_WAY");
  const std::string_view name = wanted == nullptr ? "cm" : wanted;
  const auto on = [](const char* device) {
    return [device] { return verbs::open_verbs_fabric({device, -1}); };
  };
  for (const bool by_socket : {false, true}) {
    const std::string_view mode = by_socket ? "socket" : "cm";
    if (name == mode)
      return {std::string(name), on("rxe1"), on("rxe0"), {"10.77.0.2", 0, by_socket}};
    if (name == std::string(mode) + "-within") {
      return {std::string(name), on("rxe0"), on("rxe0"), {"10.77.0.1", 0, by_socket}};
    }
  }
  std::fprintf(stderr, "RDMAKV_TEST_WAY is '%s': cm, socket, cm-within or socket-within\n", wanted);
  std::exit(2);
}

}  // namespace

const server::Way& test_way() {
  static const server::Way way = chosen();
  return way;
}

int times(int number) {
  return number / 20 + 5;
}

}  // namespace rdmakv
