// ACL and its subcommands.
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <spdlog/spdlog.h>

#include "protocol/resp_parser.h"
#include "proxy/acl.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/gather.h"
#include "proxy/help.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "rdmakv/transport/authentication.h"

namespace rdmakv::proxy::commands {
namespace {

constexpr std::string_view kNoFile =
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users "
    "via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis "
    "configuration file set) in order to store users in the Redis configuration.";

AccessControl& access_of(const Request& request) {
  return request.worker().proxy().access();
}

// Replies when every worker's connections know of the change. `number`: the reply; none: OK.
void finish_when_known(Request& request, std::optional<int64_t> number) {
  gather(
      request,
      [](Worker& worker) {
        worker.refresh_users();
        return GatherPart{};
      },
      [number](Request& done, const GatherPart&) {
        number ? done.reply().integer(*number) : done.reply().ok();
      });
}

std::string user_line(const AclUser& user) {
  return "user " + user.name() + " " + user.describe();
}

void write_selector(resp::ReplyWriter& reply, const AclSelector& selector) {
  reply.bulk("commands");
  reply.bulk(selector.describe_commands());
  reply.bulk("keys");
  reply.bulk(selector.describe_keys());
  reply.bulk("channels");
  reply.bulk(selector.describe_channels());
}

void write_log_entry(resp::ReplyWriter& reply, const AclLogEntry& entry, int64_t now_ms) {
  const auto field = [&reply](std::string_view name, std::string_view value) {
    reply.bulk(name);
    reply.bulk(value);
  };
  reply.map(7);
  reply.bulk("count");
  reply.integer(static_cast<int64_t>(entry.count));
  field("reason", entry.reason);
  field("context", entry.context);
  field("object", entry.object);
  field("username", entry.user);
  reply.bulk("age-seconds");
  reply.double_number(static_cast<double>(now_ms - entry.time_ms) / 1000);
  field("client-info", entry.client_info);
}

}  // namespace

void acl_whoami(Request& request, Arguments) {
  request.reply().bulk(request.connection().user()->name());
  request.finish();
}

void acl_users(Request& request, Arguments) {
  const std::vector<AclUserPointer> users = access_of(request).users();
  resp::ReplyWriter reply = request.reply();
  reply.array(users.size());
  for (const AclUserPointer& user : users) reply.bulk(user->name());
  request.finish();
}

void acl_list(Request& request, Arguments) {
  const std::vector<AclUserPointer> users = access_of(request).users();
  resp::ReplyWriter reply = request.reply();
  reply.array(users.size());
  for (const AclUserPointer& user : users) reply.bulk(user_line(*user));
  request.finish();
}

void acl_getuser(Request& request, Arguments arguments) {
  const AclUserPointer user = access_of(request).find(arguments[2]);
  if (user == nullptr) return request.finish_null();
  resp::ReplyWriter reply = request.reply();
  reply.map(6);
  const std::vector<std::string_view> flags = user->flags();
  reply.bulk("flags");
  reply.set(flags.size());
  for (const std::string_view flag : flags) reply.bulk(flag);
  reply.bulk("passwords");
  reply.array(user->passwords().size());
  for (const std::string& password : user->passwords()) reply.bulk(password);
  const std::vector<AclSelector>& selectors = user->selectors();
  write_selector(reply, selectors.front());
  reply.bulk("selectors");
  reply.array(selectors.size() - 1);
  for (size_t i = 1; i < selectors.size(); ++i) {
    reply.map(3);
    write_selector(reply, selectors[i]);
  }
  request.finish();
}

void acl_setuser(Request& request, Arguments arguments) {
  const std::string problem = access_of(request).set_user(arguments[2], arguments.subspan(3));
  if (!problem.empty()) return request.finish_error(problem);
  finish_when_known(request, std::nullopt);
}

void acl_deluser(Request& request, Arguments arguments) {
  const Arguments names = arguments.subspan(2);
  if (std::find(names.begin(), names.end(), "default") != names.end()) {
    return request.finish_error("ERR The 'default' user cannot be removed");
  }
  finish_when_known(request, static_cast<int64_t>(access_of(request).delete_users(names)));
}

void acl_cat(Request& request, Arguments arguments) {
  resp::ReplyWriter reply = request.reply();
  if (arguments.size() == 2) {
    reply.array(acl::categories().size());
    for (const acl::NamedCategory& category : acl::categories()) reply.bulk(category.name);
    return request.finish();
  }
  if (arguments.size() > 3) {
    return finish_wrong_usage(request, "ACL", arguments[1]);
  }
  const uint32_t category = acl::category(arguments[2]);
  if (category == 0) {
    request.text = "ERR Unknown category '";
    request.text.append(until_nul(arguments[2]).substr(0, 128)).append("'");
    return request.finish_error(request.text);
  }
  std::vector<std::string_view> names;
  for (const Command& row : request.worker().commands().rows()) {
    if ((row.categories & category) != 0) names.push_back(row.name);
  }
  reply.array(names.size());
  for (const std::string_view name : names) reply.bulk(name);
  request.finish();
}

void acl_genpass(Request& request, Arguments arguments) {
  constexpr int64_t kMostBits = 4096;
  int64_t bits = 256;
  if (arguments.size() > 3) return finish_wrong_usage(request, "ACL", arguments[1]);
  if (arguments.size() == 3) {
    const std::optional<int64_t> number = resp::parse_integer(arguments[2]);
    if (!number) return request.finish_error(kNotAnInteger);
    bits = *number;
  }
  if (bits <= 0 || bits > kMostBits) {
    return request.finish_error(
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive "
        "number up to 4096");
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string password;
  for (int64_t i = 0; i < (bits + 3) / 4; ++i) password += kDigits[random_u64() & 15];
  request.reply().bulk(password);
  request.finish();
}

void acl_log(Request& request, Arguments arguments) {
  size_t most = 10;
  if (arguments.size() > 3) return finish_wrong_usage(request, "ACL", arguments[1]);
  if (arguments.size() == 3) {
    if (equals_ignoring_case(arguments[2], "reset")) {
      access_of(request).clear_log();
      return request.finish_ok();
    }
    const std::optional<int64_t> number = resp::parse_integer(arguments[2]);
    if (!number) return request.finish_error(kNotAnInteger);
    most = static_cast<size_t>(std::max<int64_t>(*number, 0));
  }
  const std::vector<AclLogEntry> entries = access_of(request).log_entries(most);
  const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::chrono::system_clock::now().time_since_epoch())
                             .count();
  resp::ReplyWriter reply = request.reply();
  reply.array(entries.size());
  for (const AclLogEntry& entry : entries) write_log_entry(reply, entry, now_ms);
  request.finish();
}

void acl_dryrun(Request& request, Arguments arguments) {
  const AclUserPointer user = access_of(request).find(arguments[2]);
  const Arguments called = arguments.subspan(3);
  std::string& text = request.text;
  if (user == nullptr) {
    text = "ERR User '" + std::string(until_nul(arguments[2])) + "' not found";
    return request.finish_error(text);
  }
  const Command* command = request.worker().commands().resolve(called);
  if (command == nullptr) {
    text = "ERR Command '" + std::string(until_nul(called[0])) + "' not found";
    return request.finish_error(text);
  }
  if (!command->accepts(called.size())) {
    text = "ERR wrong number of arguments for '" + std::string(command->name) + "' command";
    return request.finish_error(text);
  }
  const AclVerdict verdict = user->check(*command, called);
  if (verdict.kind == AclVerdict::kAllowed) return request.finish_ok();
  text =
      verdict.kind == AclVerdict::kKeyDenied
          ? "This user has no permissions to access the '" + std::string(called[verdict.argument]) +
                "' key"
          : "This user has no permissions to run the '" + std::string(command->name) + "' command";
  request.reply().bulk(text);
  request.finish();
}

void acl_load(Request& request, Arguments) {
  const std::string& path = request.worker().proxy().options().acl_file;
  if (path.empty()) return request.finish_error(kNoFile);
  const std::string problem = access_of(request).load(path);
  if (!problem.empty()) return request.finish_error("ERR " + problem);
  finish_when_known(request, std::nullopt);
}

void acl_save(Request& request, Arguments) {
  const std::string& path = request.worker().proxy().options().acl_file;
  if (path.empty()) return request.finish_error(kNoFile);
  const std::string problem = access_of(request).save(path);
  if (problem.empty()) return request.finish_ok();
  spdlog::warn("ACL SAVE: {}", problem);
  request.finish_error(
      "ERR There was an error trying to save the ACLs. Please check the server logs for more "
      "information");
}

void acl_help(Request& request, Arguments) {
  finish_help(
      request, "ACL",
      {"CAT [<category>]",
       "    List all commands that belong to <category>, or all command categories",
       "    when no category is specified.",
       "DELUSER <username> [<username> ...]",
       "    Delete a list of users.",
       "DRYRUN <username> <command> [<arg> ...]",
       "    Returns whether the user can execute the given command without executing the command.",
       "GETUSER <username>",
       "    Get the user's details.",
       "GENPASS [<bits>]",
       "    Generate a secure 256-bit user password. The optional `bits` argument can",
       "    be used to specify a different size.",
       "LIST",
       "    Show users details in config file format.",
       "LOAD",
       "    Reload users from the ACL file.",
       "LOG [<count> | RESET]",
       "    Show the ACL log entries.",
       "SAVE",
       "    Save the current config to the ACL file.",
       "SETUSER <username> <attribute> [<attribute> ...]",
       "    Create or modify a user with the specified attributes.",
       "USERS",
       "    List all the registered usernames.",
       "WHOAMI",
       "    Return the current connection username."});
}

}  // namespace rdmakv::proxy::commands
