#include "rdmakv/transport/fabric.h"

namespace rdmakv {

std::string FabricAddress::to_string(std::string_view fabric_name) const {
  std::string text(fabric_name);
  if (by_socket) text += "+socket";
  text += ':';
  if (host.find(':') != std::string::npos) {
    text += "[" + host + "]:";
  } else if (!host.empty()) {
    text += host + ":";
  }
  return text + std::to_string(port);
}

}  // namespace rdmakv
