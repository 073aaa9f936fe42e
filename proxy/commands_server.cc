// The server: what counts, clears and describes, over all workers of all servers.
#include <sys/time.h>

#include <string>
#include <utility>
#include <vector>

#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/gather.h"
#include "proxy/help.h"
#include "proxy/info.h"
#include "proxy/server_survey.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

// A client that connects asks for INFO first: a server that is slow must not keep it waiting.
constexpr uint64_t kServersForInfoNs = 500'000'000;

// Keys that a worker removes before it serves others again: less than a millisecond.
constexpr uint32_t kFlushedAtATime = 2000;

// The names were kept in `text`, one a line.
InfoSections info_sections(const Request& request) {
  std::vector<std::string_view> names;
  for (std::string_view rest = request.text; !rest.empty();) {
    const size_t end = rest.find('\n');
    names.push_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  return InfoSections(names);
}

// The servers have told of themselves; now what the workers' client libraries have done.
void reply_info_of_servers(Request& request, const ServerSurvey&) {
  if (request.worker().shutting_down()) return request.finish();
  gather(
      request,
      [](Worker& worker) {
        GatherPart part;
        part.counters = worker.client().counters();
        return part;
      },
      [](Request& done, const GatherPart& all) {
        const auto& survey = static_cast<const ServerSurvey&>(*done.state);
        done.reply().verbatim("txt", make_info(done.worker(), info_sections(done),
                                               {survey.keys(), all.counters, survey.shares()}));
      });
}

// As Redis's getFlushCommandFlags: one option at most, and both ways are the same here.
bool is_flush_option(Arguments arguments) {
  return arguments.size() == 1 ||
         (arguments.size() == 2 && (equals_ignoring_case(arguments[1], "async") ||
                                    equals_ignoring_case(arguments[1], "sync")));
}

}  // namespace

void dbsize(Request& request, Arguments) {
  request.operation.kind = OperationKind::kCount;
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    done.finish_integer(static_cast<int64_t>(done.operation.number));
  });
}

void flush(Request& request, Arguments arguments) {
  if (!is_flush_option(arguments)) return request.finish_error(kSyntaxError);
  request.operation.kind = OperationKind::kClear;
  request.operation.length = kFlushedAtATime;
  request.submit([](Request& done) {
    if (!finish_if_failed(done)) done.finish_ok();
  });
}

void info(Request& request, Arguments arguments) {
  std::vector<std::string_view> names(arguments.begin() + 1, arguments.end());
  for (const std::string_view name : names) request.text.append(name).push_back('\n');
  const InfoSections sections(names);
  if (!needs_servers(sections)) {
    request.reply().verbatim("txt", make_info(request.worker(), sections, {}));
    return request.finish();
  }
  const uint64_t deadline_ns = request.worker().now_us() * 1000 + kServersForInfoNs;
  ServerSurvey::start(request, deadline_ns, &reply_info_of_servers);
}

void time(Request& request, Arguments) {
  timeval now{};
  gettimeofday(&now, nullptr);
  resp::ReplyWriter reply = request.reply();
  reply.array(2);
  reply.bulk_integer(now.tv_sec);
  reply.bulk_integer(now.tv_usec);
  request.finish();
}

// There are no functions, so there is nothing to flush and nothing to list.
void function_flush(Request& request, Arguments arguments) {
  if (arguments.size() > 3) {
    request.text = "ERR unknown subcommand or wrong number of arguments for '";
    request.text.append(until_nul(arguments[1])).append("'. Try FUNCTION HELP.");
    return request.finish_error(request.text);
  }
  if (arguments.size() == 3 && !is_flush_option(arguments.subspan(1))) {
    return request.finish_error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
  }
  request.finish_ok();
}

void function_list(Request& request, Arguments arguments) {
  bool with_code = false, named = false;  // each at most once
  for (size_t i = 2; i < arguments.size(); ++i) {
    if (!with_code && equals_ignoring_case(arguments[i], "withcode")) {
      with_code = true;
      continue;
    }
    if (!named && equals_ignoring_case(arguments[i], "libraryname")) {
      if (++i == arguments.size()) {
        return request.finish_error("ERR library name argument was not given");
      }
      named = true;
      continue;
    }
    request.text = "ERR Unknown argument ";
    // Redis does not cut line ends off here, as it does from other errors.
    for (const char c : until_nul(arguments[i])) {
      request.text.push_back(c == '\r' || c == '\n' ? ' ' : c);
    }
    return request.finish_error(request.text);
  }
  request.reply().array(0);
  request.finish();
}

void function_help(Request& request, Arguments) {
  finish_help(request, "FUNCTION",
              {"FLUSH [ASYNC|SYNC]", "    Delete all the libraries; there are none.", "LIST",
               "    Return general information on all the libraries; there are none."});
}

// The reply comes first; then the worker's list has the connection, and the others are told.
void monitor(Request& request, Arguments) {
  Connection& connection = request.connection();
  if (request.in_transaction()) {
    return request.finish_error("ERR MONITOR isn't allowed for DENY BLOCKING client");
  }
  if (!std::exchange(connection.session().monitor, true)) request.worker().add_monitor(connection);
  gather(
      request,
      [](Worker& worker) {
        worker.refresh_monitored();
        return GatherPart{};
      },
      [](Request& done, const GatherPart&) { done.reply().ok(); });
}

void role(Request& request, Arguments) {
  resp::ReplyWriter reply = request.reply();
  reply.array(3);
  reply.bulk("master");
  reply.integer(0);
  reply.array(0);
  request.finish();
}

}  // namespace rdmakv::proxy::commands
