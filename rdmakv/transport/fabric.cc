#include "rdmakv/transport/fabric.h"

namespace rdmakv {

// "HOST:PORT", as the programs' --server options take it; "*" where no host is named.
std::string FabricAddress::to_string() const {
  std::string text;
  if (host.empty()) {
    text = "*";
  } else if (host.find(':') != std::string::npos) {
    text = "[" + host + "]";
  } else {
    text = host;
  }
  text += ":" + std::to_string(port);
  if (by_socket) text += " (socket mode)";
  return text;
}

}  // namespace rdmakv
