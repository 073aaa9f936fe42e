// The connection itself: PING, HELLO, AUTH, SELECT and so on.
#include "protocol/resp_parser.h"
#include "proxy/client_names.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/info.h"

namespace rdmakv::proxy::commands {
namespace {

constexpr std::string_view kWrongPass =
    "WRONGPASS invalid username-password pair or user is disabled.";

// There is one user, `default`, without a password: it may say what it likes.
bool authenticates(std::string_view user) {
  return user == "default";
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

// The clauses of HELLO; false: replied with an error.
bool apply_hello_options(Request& request, Arguments options) {
  for (size_t i = 0; i < options.size(); ++i) {
    const size_t more = options.size() - 1 - i;
    if (equals_ignoring_case(options[i], "auth") && more >= 2) {
      if (!authenticates(options[i + 1])) {
        request.finish_error(kWrongPass);
        return false;
      }
      i += 2;
    } else if (equals_ignoring_case(options[i], "setname") && more >= 1) {
      const std::string_view problem =
          set_client_name(request.connection().session(), options[++i]);
      if (!problem.empty()) {
        request.finish_error(problem);
        return false;
      }
    } else {
      request.text = "ERR Syntax error in HELLO option '";
      request.text.append(options[i]).append("'");
      request.finish_error(request.text);
      return false;
    }
  }
  return true;
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
    if (!apply_hello_options(request, arguments.subspan(2))) return;
  }
  Connection::Session& session = request.connection().session();
  if (version != 0) {
    session.protocol = version == 3 ? resp::Protocol::kResp3 : resp::Protocol::kResp2;
  }
  write_greeting(request);
  request.finish();
}

void auth(Request& request, Arguments arguments) {
  if (arguments.size() > 3) return request.finish_error("ERR syntax error");
  if (arguments.size() == 2) {
    return request.finish_error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
  }
  authenticates(arguments[1]) ? request.finish_ok() : request.finish_error(kWrongPass);
}

void select(Request& request, Arguments arguments) {
  const std::optional<int64_t> index = resp::parse_integer(arguments[1]);
  if (!index) return request.finish_error("ERR value is not an integer or out of range");
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
  session = Connection::Session{};
  request.reply().simple_string("RESET");
  request.finish();
}

void cluster_disabled(Request& request, Arguments) {
  request.finish_error("ERR This instance has cluster support disabled");
}

}  // namespace rdmakv::proxy::commands
