#include "proxy/error_text.h"

namespace rdmakv::proxy {

std::string error_text(Code code, bool writes, const Client& client, uint16_t server) {
  switch (code) {
    case Code::kUnavailable:
    case Code::kRefused:
      return "ERR " + client.server(server).unreachable_text();
    case Code::kTimeout:
      return writes ? "ERR timed out: no answer from the server; the command may still take effect"
                    : "ERR timed out: no answer from the server";
    case Code::kUnknownOutcome:
      return "ERR outcome unknown: the connection to the server broke before its answer; the "
             "command may or may not have taken effect";
    case Code::kNoSpace:
      return "OOM command not allowed when used memory > 'maxmemory'.";
    case Code::kTooLarge:
      return "ERR value is larger than the server takes";
    case Code::kBusy:
      return "ERR server is busy: too many large values under way, try again";
    case Code::kCancelled:
      return "ERR the proxy is shutting down";
    default:
      return "ERR server error: " + std::string(code_name(code));
  }
}

}  // namespace rdmakv::proxy
