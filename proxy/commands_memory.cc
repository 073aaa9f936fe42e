// MEMORY and DEBUG, as far as they mean anything here.
#include <malloc.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>

#include "protocol/kv_layout.h"
#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/help.h"
#include "proxy/info.h"
#include "proxy/proxy.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

// One slot of the index, at the load it is made for.
constexpr uint64_t kIndexBytesPerKey = 16;

}  // namespace

// What the entry takes of its server's memory. Strings have no samples, so SAMPLES changes nothing.
void memory_usage(Request& request, Arguments arguments) {
  for (size_t i = 3; i < arguments.size(); i += 2) {
    if (!equals_ignoring_case(arguments[i], "samples") || i + 1 == arguments.size()) {
      return request.finish_error(kSyntaxError);
    }
    const std::optional<int64_t> samples = resp::parse_integer(arguments[i + 1]);
    if (!samples) return request.finish_error(kNotAnInteger);
    if (*samples < 0) return request.finish_error(kSyntaxError);
  }
  request.set_key(arguments[2]);
  request.operation.kind = OperationKind::kInspect;
  request.submit([](Request& done) {
    if (done.operation.code == Code::kNotFound) return done.finish_null();
    if (finish_if_failed(done)) return;
    const Operation& operation = done.operation;
    const uint64_t bytes =
        wire::entry_bytes(operation.key.size(), operation.value_length, operation.expiry != 0);
    const uint64_t units = (bytes + wire::kExtentUnit - 1) / wire::kExtentUnit;
    done.finish_integer(static_cast<int64_t>(units * wire::kExtentUnit + kIndexBytesPerKey));
  });
}

void memory_stats(Request& request, Arguments) {
  const ProcessMemory memory = process_memory();
  const Worker& worker = request.worker();
  resp::ReplyWriter reply = request.reply();
  const auto field = [&reply](std::string_view name, uint64_t value) {
    reply.bulk(name);
    reply.integer(static_cast<int64_t>(value));
  };
  reply.map(8);
  field("peak.allocated", memory.peak);
  field("total.allocated", memory.resident);
  field("startup.allocated", worker.proxy().startup_memory());
  field("replication.backlog", 0);
  field("clients.slaves", 0);
  field("clients.normal", worker.proxy().clients() * sizeof(Connection));
  field("aof.buffer", 0);
  reply.bulk("peak.percentage");
  reply.double_number(memory.peak == 0 ? 100
                                       : 100 * static_cast<double>(memory.resident) /
                                             static_cast<double>(memory.peak));
  request.finish();
}

void memory_doctor(Request& request, Arguments) {
  request.reply().verbatim("txt",
                           "Hi Sam, I can't find any memory issue in your instance. I can only "
                           "account for what occurs on this base.\n");
  request.finish();
}

void memory_malloc_stats(Request& request, Arguments) {
  request.reply().verbatim("txt", "Stats not supported for the current allocator");
  request.finish();
}

void memory_purge(Request& request, Arguments) {
  malloc_trim(0);
  request.finish_ok();
}

void memory_help(Request& request, Arguments) {
  finish_help(request, "MEMORY",
              {"DOCTOR", "    Return memory problems reports.", "MALLOC-STATS",
               "    Return internal statistics report from the memory allocator.", "PURGE",
               "    Attempt to purge dirty pages for reclamation by the allocator.", "STATS",
               "    Return information about the memory usage of the server.",
               "USAGE <key> [SAMPLES <count>]",
               "    Return memory in bytes used by <key> and its value. Nested values are",
               "    sampled up to <count> times (default: 5, 0 means sample all)."});
}

// SLEEP keeps the whole thread, as it keeps all of Redis; that is what tests use it for.
void debug(Request& request, Arguments arguments) {
  const std::string& allowed = request.worker().proxy().options().debug_command;
  if (allowed == "no" || (allowed == "local" && !request.connection().is_local())) {
    return request.finish_error(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", "
        "you can run it from a local connection, otherwise you need to set this option in the "
        "configuration file, and then restart the server.");
  }
  if (equals_ignoring_case(arguments[1], "help")) {
    return finish_help(request, "DEBUG",
                       {"SLEEP <seconds>", "    Stop the thread for <seconds>. Decimals allowed."});
  }
  if (!equals_ignoring_case(arguments[1], "sleep") || arguments.size() != 3) {
    return finish_wrong_usage(request, "DEBUG", arguments[1]);
  }
  const double seconds = std::strtod(std::string(arguments[2]).c_str(), nullptr);
  if (seconds > 0 && seconds < 1e9) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  }
  request.worker().time_has_passed();
  request.finish_ok();
}

}  // namespace rdmakv::proxy::commands
