// The connection itself: PING, HELLO, AUTH, SELECT and so on.
#include <optional>

#include "protocol/kv_hash.h"
#include "protocol/resp_parser.h"
#include "proxy/client_names.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/info.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

constexpr std::string_view kWrongPass =
    "WRONGPASS invalid username-password pair or user is disabled.";

// False: replied with an error.
bool authenticate(Request& request, std::string_view command, std::string_view user,
                  std::string_view password) {
  Connection& connection = request.connection();
  AclUserPointer known = request.worker().proxy().access().authenticate(user, password);
  if (known != nullptr) {
    connection.become(std::move(known), true);
    return true;
  }
  request.worker().stats().auth_denied.add();
  connection.log_denial(request, "auth", command, user);
  request.finish_error(kWrongPass);
  return false;
}

void write_greeting(Request& request) {
  resp::ReplyWriter reply(request.output(), request.connection().session().protocol);
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");
  reply.bulk("version");
  reply.bulk(kRedisVersion);
  reply.bulk("proto");
  reply.integer(reply.protocol() == resp::Protocol::kResp3 ? 3 : 2);
  reply.bulk("id");
  reply.integer(static_cast<int64_t>(request.connection().id()));
  reply.bulk("mode");
  reply.bulk("standalone");
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("modules");
  reply.array(0);
}

// The clauses of HELLO, each at once, as Redis does it; false: replied with an error.
bool apply_hello_options(Request& request, Arguments arguments) {
  for (size_t i = 2; i < arguments.size(); ++i) {
    const size_t more = arguments.size() - 1 - i;
    if (equals_ignoring_case(arguments[i], "auth") && more >= 2) {
      if (!authenticate(request, arguments[0], arguments[i + 1], arguments[i + 2])) return false;
      i += 2;
    } else if (equals_ignoring_case(arguments[i], "setname") && more >= 1) {
      const std::string_view problem =
          set_client_name(request.connection().session(), arguments[++i]);
      if (!problem.empty()) {
        request.finish_error(problem);
        return false;
      }
    } else {
      request.text = "ERR Syntax error in HELLO option '";
      request.text.append(until_nul(arguments[i])).append("'");
      request.finish_error(request.text);
      return false;
    }
  }
  if (!request.connection().authentication_required()) return true;
  request.finish_error(
      "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
      "AUTH <user> <pass> option can be used to authenticate the client and select the RESP "
      "protocol version at the same time");
  return false;
}

}  // namespace

void ping(Request& request, Arguments arguments) {
  if (arguments.size() > 2) {
    return request.finish_error("ERR wrong number of arguments for 'ping' command");
  }
  arguments.size() == 1 ? request.reply().pong() : request.reply().bulk(arguments[1]);
  request.finish();
}

void echo(Request& request, Arguments arguments) {
  request.reply().bulk(arguments[1]);
  request.finish();
}

void quit(Request& request, Arguments) {
  request.connection().close_after_replies();
  request.finish_ok();
}

void hello(Request& request, Arguments arguments) {
  int64_t version = 0;
  if (arguments.size() >= 2) {
    const std::optional<int64_t> number = resp::parse_integer(arguments[1]);
    if (!number) {
      return request.finish_error("ERR Protocol version is not an integer or out of range");
    }
    version = *number;
    if (version < 2 || version > 3) {
      return request.finish_error("NOPROTO unsupported protocol version");
    }
  }
  if (!apply_hello_options(request, arguments)) return;
  Connection::Session& session = request.connection().session();
  if (version != 0) {
    session.protocol = version == 3 ? resp::Protocol::kResp3 : resp::Protocol::kResp2;
  }
  write_greeting(request);
  request.finish();
}

void auth(Request& request, Arguments arguments) {
  if (arguments.size() > 3) return request.finish_error(kSyntaxError);
  const bool old_form = arguments.size() == 2;
  if (old_form && request.worker().proxy().access().default_user()->no_password()) {
    return request.finish_error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
  }
  const std::string_view user = old_form ? std::string_view("default") : arguments[1];
  if (authenticate(request, arguments[0], user, arguments.back())) request.finish_ok();
}

void select(Request& request, Arguments arguments) {
  const std::optional<int64_t> index = resp::parse_integer(arguments[1]);
  if (!index) return request.finish_error(kNotAnInteger);
  if (*index < INT32_MIN || *index > INT32_MAX) {
    return request.finish_error(
        "ERR value is out of range, value must between -2147483648 and 2147483647");
  }
  if (*index != 0) return request.finish_error("ERR DB index is out of range");
  request.finish_ok();
}

// Ends CLIENT REPLY OFF and is answered; after CLIENT REPLY SKIP it is the command to be skipped.
void reset(Request& request, Arguments) {
  Connection::Session& session = request.connection().session();
  request.set_silent(session.skip_reply);
  if (session.monitor) request.worker().remove_monitor(request.connection());
  session = Connection::Session{};
  request.connection().end_transaction();
  const AclUserPointer& everybody = request.worker().default_user();
  request.connection().become(everybody, everybody->no_password() && everybody->enabled());
  request.reply().simple_string("RESET");
  request.finish();
}

// Redis answers with cluster mode on only; whoever asks here wants to know which keys go together.
void cluster_keyslot(Request& request, Arguments arguments) {
  request.finish_integer(wire::hash_slot(arguments[2]));
}

void cluster_disabled(Request& request, Arguments) {
  request.finish_error("ERR This instance has cluster support disabled");
}

}  // namespace rdmakv::proxy::commands
