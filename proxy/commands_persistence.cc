// What Redis has for its files. There are none here: keys live in the memory of the servers, and
// nothing is written to disk; who asks for it is told so.
#include <spdlog/spdlog.h>

#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

void refuse(Request& request, std::string_view command) {
  request.text = "ERR ";
  request.text.append(command).append(
      " is not supported: keys live in the memory of the servers, and nothing is written to disk");
  request.finish_error(request.text);
}

struct ShutdownOptions {
  bool save = false, nosave = false, now = false, force = false, abort = false;
};

bool parse_shutdown(Arguments options, ShutdownOptions& result) {
  for (const std::string_view option : options) {
    if (equals_ignoring_case(option, "save")) {
      result.save = true;
    } else if (equals_ignoring_case(option, "nosave")) {
      result.nosave = true;
    } else if (equals_ignoring_case(option, "now")) {
      result.now = true;
    } else if (equals_ignoring_case(option, "force")) {
      result.force = true;
    } else if (equals_ignoring_case(option, "abort")) {
      result.abort = true;
    } else {
      return false;
    }
  }
  return !(result.abort && options.size() > 1) && !(result.save && result.nosave);
}

}  // namespace

void save(Request& request, Arguments) {
  refuse(request, "SAVE");
}

void bgsave(Request& request, Arguments arguments) {
  if (arguments.size() > 2 ||
      (arguments.size() == 2 && !equals_ignoring_case(arguments[1], "schedule"))) {
    return request.finish_error(kSyntaxError);
  }
  refuse(request, "BGSAVE");
}

void bgrewriteaof(Request& request, Arguments) {
  refuse(request, "BGREWRITEAOF");
}

// As of a Redis that has not saved yet, and as INFO has it: the start.
void lastsave(Request& request, Arguments) {
  request.finish_integer(request.worker().proxy().started_at());
}

// The proxy ends as it does by SIGTERM; as in Redis there is no reply, the connection closes when
// it has ended. Nothing can be under way that would take time to end, so NOW changes nothing.
void shutdown(Request& request, Arguments arguments) {
  ShutdownOptions options;
  if (!parse_shutdown(arguments.subspan(1), options)) {
    return request.finish_error(kSyntaxError);
  }
  if (options.abort) return request.finish_error("ERR No shutdown in progress.");
  if (options.save && !options.force) return refuse(request, "SHUTDOWN SAVE");
  Connection& connection = request.connection();
  spdlog::warn("client {} {}: SHUTDOWN", connection.id(), connection.address());
  request.worker().proxy().request_shutdown();
  request.set_silent(true);
  request.finish();
}

}  // namespace rdmakv::proxy::commands
