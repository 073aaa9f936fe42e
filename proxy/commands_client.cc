// CLIENT and its subcommands. LIST and KILL ask all workers.
#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <set>

#include "protocol/resp_parser.h"
#include "proxy/client_names.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/gather.h"
#include "proxy/help.h"
#include "proxy/proxy.h"
#include "proxy/watch_survey.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

// All our clients are normal ones; the other types exist, without clients.
enum class ClientType : uint8_t { kNormal, kOther };

std::optional<ClientType> parse_type(std::string_view text) {
  if (equals_ignoring_case(text, "normal")) return ClientType::kNormal;
  for (const std::string_view other : {"slave", "replica", "pubsub", "master"}) {
    if (equals_ignoring_case(text, other)) return ClientType::kOther;
  }
  return std::nullopt;
}

void finish_unknown_type(Request& request, std::string_view type) {
  request.text = "ERR Unknown client type '";
  request.text.append(type).append("'");
  request.finish_error(request.text);
}

void reply_verbatim(Request& request, std::string_view text) {
  request.reply().verbatim("txt", text);
}

// What CLIENT KILL is to kill.
struct KillFilter {
  std::optional<uint64_t> id;
  std::optional<std::string> address, local_address, user;
  std::optional<ClientType> type;
  uint64_t skip = 0;  // the client that asks, or 0
  bool matches(const Connection& connection) const {
    return (!id || *id == connection.id()) && (!address || *address == connection.address()) &&
           (!local_address || *local_address == connection.local_address()) &&
           (!user || *user == connection.user()->name()) &&
           (!type || *type == ClientType::kNormal) && skip != connection.id();
  }
};

// False: replied with an error.
bool parse_kill_option(Request& request, std::string_view option, std::string_view value,
                       KillFilter& filter, bool& skip_me) {
  if (equals_ignoring_case(option, "id")) {
    const std::optional<int64_t> id = resp::parse_integer(value);
    if (!id || *id < 1) {
      request.finish_error("ERR client-id should be greater than 0");
      return false;
    }
    filter.id = static_cast<uint64_t>(*id);
  } else if (equals_ignoring_case(option, "type")) {
    filter.type = parse_type(value);
    if (!filter.type) {
      finish_unknown_type(request, value);
      return false;
    }
  } else if (equals_ignoring_case(option, "addr")) {
    filter.address = value;
  } else if (equals_ignoring_case(option, "laddr")) {
    filter.local_address = value;
  } else if (equals_ignoring_case(option, "user")) {
    filter.user = value;
    if (request.worker().proxy().access().find(value) == nullptr) {
      request.text = "ERR No such user '";
      request.text.append(value).append("'");
      request.finish_error(request.text);
      return false;
    }
  } else if (equals_ignoring_case(option, "skipme") &&
             (equals_ignoring_case(value, "yes") || equals_ignoring_case(value, "no"))) {
    skip_me = equals_ignoring_case(value, "yes");
  } else {
    request.finish_error(kSyntaxError);
    return false;
  }
  return true;
}

GatherPart kill_matching(Worker& worker, const KillFilter& filter, uint64_t asking) {
  GatherPart part;
  worker.for_each_connection([&](Connection& connection) {
    if (!filter.matches(connection)) return;
    ++part.number;
    // The one that asks still gets its reply.
    connection.id() == asking ? connection.close_after_replies() : connection.close("CLIENT KILL");
  });
  return part;
}

void list_clients(Request& request, const WatchSurvey::Wanted& wanted) {
  gather(
      request,
      [wanted](Worker& worker) {
        GatherPart part;
        worker.for_each_connection([&](const Connection& connection) {
          if (wanted(connection)) part.text += connection.describe();
        });
        return part;
      },
      [](Request& done, const GatherPart& all) { reply_verbatim(done, all.text); });
}

}  // namespace

void client_getname(Request& request, Arguments) {
  const std::string& name = request.connection().session().name;
  name.empty() ? request.reply().null() : request.reply().bulk(name);
  request.finish();
}

void client_setname(Request& request, Arguments arguments) {
  const std::string_view problem = set_client_name(request.connection().session(), arguments[2]);
  problem.empty() ? request.finish_ok() : request.finish_error(problem);
}

// As Redis 7.2 has it, because client libraries send it when they connect.
void client_setinfo(Request& request, Arguments arguments) {
  Connection::Session& session = request.connection().session();
  std::string* field = nullptr;
  if (equals_ignoring_case(arguments[2], "lib-name")) field = &session.library_name;
  if (equals_ignoring_case(arguments[2], "lib-ver")) field = &session.library_version;
  if (field == nullptr) {
    request.text = "ERR Unrecognized option '";
    request.text.append(arguments[2]).append("'");
    return request.finish_error(request.text);
  }
  if (!is_client_name(arguments[3])) {
    request.text.assign(equals_ignoring_case(arguments[2], "lib-name") ? "ERR lib-name"
                                                                       : "ERR lib-ver");
    request.text.append(" cannot contain spaces, newlines or special characters.");
    return request.finish_error(request.text);
  }
  *field = arguments[3];
  request.finish_ok();
}

void client_id(Request& request, Arguments) {
  request.finish_integer(static_cast<int64_t>(request.connection().id()));
}

void client_info(Request& request, Arguments) {
  WatchSurvey::start_for_own(request, [](Request& going) {
    reply_verbatim(going, going.connection().describe());
    going.finish();
  });
}

void client_list(Request& request, Arguments arguments) {
  std::optional<ClientType> type;
  std::optional<std::set<uint64_t>> ids;
  if (arguments.size() == 4 && equals_ignoring_case(arguments[2], "type")) {
    type = parse_type(arguments[3]);
    if (!type) return finish_unknown_type(request, arguments[3]);
  } else if (arguments.size() > 3 && equals_ignoring_case(arguments[2], "id")) {
    ids.emplace();
    for (const std::string_view text : arguments.subspan(3)) {
      const std::optional<int64_t> id = resp::parse_integer(text);
      if (!id) return request.finish_error("ERR Invalid client ID");
      ids->insert(static_cast<uint64_t>(*id));
    }
  } else if (arguments.size() != 2) {
    return request.finish_error(kSyntaxError);
  }
  const WatchSurvey::Wanted wanted = [type, ids](const Connection& connection) {
    return (!type || *type == ClientType::kNormal) && (!ids || ids->contains(connection.id()));
  };
  WatchSurvey::start(request, wanted, [wanted](Request& going) { list_clients(going, wanted); });
}

void client_kill(Request& request, Arguments arguments) {
  KillFilter filter;
  const bool old_style = arguments.size() == 3;
  bool skip_me = !old_style;
  if (old_style) {
    filter.address = arguments[2];
  } else {
    for (size_t i = 2; i < arguments.size(); i += 2) {
      if (i + 1 == arguments.size()) return request.finish_error(kSyntaxError);
      if (!parse_kill_option(request, arguments[i], arguments[i + 1], filter, skip_me)) return;
    }
  }
  const uint64_t asking = request.connection().id();
  if (skip_me) filter.skip = asking;
  gather(
      request, [filter, asking](Worker& worker) { return kill_matching(worker, filter, asking); },
      [old_style](Request& done, const GatherPart& all) {
        if (!old_style) return done.reply().integer(static_cast<int64_t>(all.number));
        all.number > 0 ? done.reply().ok() : done.error("ERR No such client");
      });
}

void client_reply(Request& request, Arguments arguments) {
  Connection::Session& session = request.connection().session();
  if (equals_ignoring_case(arguments[2], "on")) {
    session.reply_off = session.skip_reply = false;
    request.set_silent(false);
    return request.finish_ok();
  }
  if (equals_ignoring_case(arguments[2], "off")) {
    session.reply_off = true;
  } else if (equals_ignoring_case(arguments[2], "skip")) {
    if (!session.reply_off) session.skip_next_reply = true;
  } else {
    return request.finish_error(kSyntaxError);
  }
  request.set_silent(true);
  request.finish();
}

namespace {

void set_switch(Request& request, std::string_view value, bool& field) {
  if (equals_ignoring_case(value, "on")) {
    field = true;
  } else if (equals_ignoring_case(value, "off")) {
    field = false;
  } else {
    return request.finish_error(kSyntaxError);
  }
  request.finish_ok();
}

}  // namespace

// Nothing is evicted for a client's sake, and no use is recorded: both are noted and change
// nothing.
void client_no_evict(Request& request, Arguments arguments) {
  set_switch(request, arguments[2], request.connection().session().no_evict);
}

void client_no_touch(Request& request, Arguments arguments) {
  set_switch(request, arguments[2], request.connection().session().no_touch);
}

// Newer clients ask for notifications of maintenance and go on without when they are refused. We
// have none to send, so we do not promise any.
void client_maint_notifications(Request& request, Arguments arguments) {
  if (equals_ignoring_case(arguments[2], "off")) return request.finish_ok();
  request.finish_error("ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.");
}

// ---- CLIENT PAUSE ------------------------------------------------------------------------------

namespace {

void pause_all(Request& request, uint32_t flags, uint64_t duration_us) {
  const uint64_t now = request.worker().now_us();
  request.worker().proxy().pause(flags, now, now + duration_us);
  gather(
      request,
      [](Worker& worker) {
        worker.refresh_pause();
        return GatherPart{};
      },
      [](Request& done, const GatherPart&) { done.reply().ok(); });
}

}  // namespace

void client_pause(Request& request, Arguments arguments) {
  uint32_t flags = kEveryCommand;
  if (arguments.size() == 4) {
    if (equals_ignoring_case(arguments[3], "write")) {
      flags = kWrite;
    } else if (!equals_ignoring_case(arguments[3], "all")) {
      return request.finish_error("ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
  } else if (arguments.size() > 4) {
    return finish_wrong_usage(request, "CLIENT", arguments[1]);
  }
  const std::optional<int64_t> milliseconds = resp::parse_integer(arguments[2]);
  if (!milliseconds) return request.finish_error("ERR timeout is not an integer or out of range");
  if (*milliseconds < 0) return request.finish_error("ERR timeout is negative");
  constexpr int64_t kLongest = INT64_MAX / 4000;
  const auto us = static_cast<uint64_t>(std::min(*milliseconds, kLongest)) * 1000;
  pause_all(request, flags, us);
}

void client_unpause(Request& request, Arguments) {
  pause_all(request, 0, 0);
}

// No command of ours blocks, so there is never anybody to unblock.
void client_unblock(Request& request, Arguments arguments) {
  if (arguments.size() > 4) return finish_wrong_usage(request, "CLIENT", arguments[1]);
  if (arguments.size() == 4 && !equals_ignoring_case(arguments[3], "timeout") &&
      !equals_ignoring_case(arguments[3], "error")) {
    return request.finish_error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  }
  if (!resp::parse_integer(arguments[2])) {
    return request.finish_error(kNotAnInteger);
  }
  request.finish_integer(0);
}

// ---- client side caching, which there is none of -----------------------------------------------

void client_tracking(Request& request, Arguments arguments) {
  if (equals_ignoring_case(arguments[2], "off")) return request.finish_ok();
  if (!equals_ignoring_case(arguments[2], "on")) return request.finish_error(kSyntaxError);
  request.finish_error(
      "ERR CLIENT TRACKING is not supported: kv_proxy does not learn of changes that others make");
}

void client_caching(Request& request, Arguments) {
  request.finish_error(
      "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
      "OPTOUT mode enabled");
}

void client_getredir(Request& request, Arguments) {
  request.finish_integer(-1);
}

void client_trackinginfo(Request& request, Arguments) {
  resp::ReplyWriter reply = request.reply();
  reply.map(3);
  reply.bulk("flags");
  reply.set(1);
  reply.bulk("off");
  reply.bulk("redirect");
  reply.integer(-1);
  reply.bulk("prefixes");
  reply.array(0);
  request.finish();
}

void client_help(Request& request, Arguments) {
  finish_help(request, "CLIENT",
              {"CACHING (YES|NO)",
               "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
               "GETREDIR",
               "    Return the client ID we are redirecting to when tracking is enabled.",
               "GETNAME",
               "    Return the name of the current connection.",
               "ID",
               "    Return the ID of the current connection.",
               "INFO",
               "    Return information about the current client connection.",
               "KILL <ip:port>",
               "    Kill connection made from <ip:port>.",
               "KILL <option> <value> [<option> <value> [...]]",
               "    Kill connections. Options are:",
               "    * ADDR (<ip:port>|<unixsocket>:0)",
               "      Kill connections made from the specified address",
               "    * LADDR (<ip:port>|<unixsocket>:0)",
               "      Kill connections made to specified local address",
               "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
               "      Kill connections by type.",
               "    * USER <username>",
               "      Kill connections authenticated by <username>.",
               "    * SKIPME (YES|NO)",
               "      Skip killing current connection (default: yes).",
               "LIST [options ...]",
               "    Return information about client connections. Options:",
               "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
               "      Return clients of specified type.",
               "UNPAUSE",
               "    Stop the current client pause, resuming traffic.",
               "PAUSE <timeout> [WRITE|ALL]",
               "    Suspend all, or just write, clients for <timeout> milliseconds.",
               "REPLY (ON|OFF|SKIP)",
               "    Control the replies sent to the current connection.",
               "SETNAME <name>",
               "    Assign the name <name> to the current connection.",
               "UNBLOCK <clientid> [TIMEOUT|ERROR]",
               "    Unblock the specified blocked client.",
               "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
               "         [OPTIN] [OPTOUT] [NOLOOP]",
               "    Control server assisted client side caching.",
               "TRACKINGINFO",
               "    Report tracking status for the current connection.",
               "NO-EVICT (ON|OFF)",
               "    Protect current client connection from eviction."});
}

}  // namespace rdmakv::proxy::commands
