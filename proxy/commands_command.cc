// COMMAND and its subcommands: the command table, as Redis shows it.
#include <algorithm>
#include <bit>
#include <iterator>
#include <string>
#include <vector>

#include "proxy/command_docs.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/glob.h"
#include "proxy/help.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

struct NamedFlag {
  uint32_t bit;
  std::string_view name;
};
// In Redis's order.
constexpr NamedFlag kFlagNames[] = {
    {kWrite, "write"},
    {kReadonly, "readonly"},
    {kDenyoom, "denyoom"},
    {kAdmin, "admin"},
    {kPubsub, "pubsub"},
    {kNoscript, "noscript"},
    {kBlocking, "blocking"},
    {kLoading, "loading"},
    {kStale, "stale"},
    {kSkipMonitor, "skip_monitor"},
    {kSkipSlowlog, "skip_slowlog"},
    {kAsking, "asking"},
    {kFast, "fast"},
    {kNoAuth, "no_auth"},
    {kNoMandatoryKeys, "no_mandatory_keys"},
    {kNoAsyncLoading, "no_async_loading"},
    {kNoMulti, "no_multi"},
    {kMovableKeys, "movablekeys"},
    {kAllowBusy, "allow_busy"},
};

const CommandTable& table_of(const Request& request) {
  return request.worker().commands();
}

void write_flags(resp::ReplyWriter& reply, uint32_t flags) {
  const auto has = [flags](const NamedFlag& flag) { return (flags & flag.bit) != 0; };
  reply.set(
      static_cast<uint64_t>(std::count_if(std::begin(kFlagNames), std::end(kFlagNames), has)));
  for (const NamedFlag& flag : kFlagNames) {
    if (has(flag)) reply.simple_string(flag.name);
  }
}

void write_categories(resp::ReplyWriter& reply, uint32_t categories) {
  reply.set(static_cast<uint64_t>(std::popcount(categories)));
  for (const acl::NamedCategory& category : acl::categories()) {
    if ((categories & category.bit) == 0) continue;
    reply.simple_string("@" + std::string(category.name));
  }
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

void write_flag_set(resp::ReplyWriter& reply, const std::vector<std::string_view>& flags) {
  reply.set(flags.size());
  for (const std::string_view flag : flags) reply.simple_string(flag);
}

// Where one argument, the one at which the search begins, says how many keys follow.
void write_counted_keys(resp::ReplyWriter& reply, const Command& command) {
  reply.bulk("keynum");
  reply.bulk("spec");
  reply.map(3);
  reply.bulk("keynumidx");
  reply.integer(0);
  reply.bulk("firstkey");
  reply.integer(command.first_key - static_cast<int>(command.count_argument));
  reply.bulk("keystep");
  reply.integer(command.key_step);
}

// Our commands' keys are nearly all of the kind "from this argument on, in these steps". `first`,
// `last`: as in the row.
void write_key_specification(resp::ReplyWriter& reply, const Command& command,
                             std::string_view flags, int first, int last) {
  reply.map(command.key_notes.empty() ? 3 : 4);
  if (!command.key_notes.empty()) {
    reply.bulk("notes");
    reply.bulk(command.key_notes);
  }
  reply.bulk("flags");
  write_flag_set(reply, split(flags, ' '));
  reply.bulk("begin_search");
  reply.map(2);
  reply.bulk("type");
  reply.bulk("index");
  reply.bulk("spec");
  reply.map(1);
  reply.bulk("index");
  reply.integer(command.count_argument != 0 ? static_cast<int>(command.count_argument) : first);
  reply.bulk("find_keys");
  reply.map(2);
  reply.bulk("type");
  if (command.count_argument != 0) return write_counted_keys(reply, command);
  reply.bulk("range");
  reply.bulk("spec");
  reply.map(3);
  reply.bulk("lastkey");
  // Counted from the first key here; from the name in the classic column.
  reply.integer(last > 0 ? last - first : last);
  reply.bulk("keystep");
  reply.integer(command.key_step);
  reply.bulk("limit");
  reply.integer(0);
}

void write_key_specifications(resp::ReplyWriter& reply, const Command& command) {
  if (command.first_key == 0) return reply.set(0);
  const std::vector<std::string_view> all = split(command.key_flags, '|');
  reply.set(all.size());
  int first = command.first_key;
  for (size_t i = 0; i < all.size(); ++i, first += command.key_step) {
    const bool is_last = i + 1 == all.size();
    write_key_specification(reply, command, all[i], first, is_last ? command.last_key : first);
  }
}

void write_info(resp::ReplyWriter& reply, const Command* command) {
  if (command == nullptr) return reply.null();
  reply.array(10);
  reply.bulk(command->name);
  reply.integer(command->arity);
  write_flags(reply, command->flags);
  const bool counted = command->count_argument != 0;
  reply.integer(counted ? 0 : command->first_key);
  reply.integer(counted ? 0 : command->last_key);
  reply.integer(counted ? 0 : command->key_step);
  write_categories(reply, command->categories);
  const std::vector<std::string_view> tips = split(command->tips, ',');
  reply.set(tips.size());
  for (const std::string_view tip : tips) reply.bulk(tip);
  write_key_specifications(reply, *command);
  // As Redis: no set where there are some.
  if (command->subcommands.empty()) return reply.set(0);
  reply.array(command->subcommands.size());
  for (const Command* subcommand : command->subcommands) write_info(reply, subcommand);
}

std::vector<const Command*> top_level(const CommandTable& table) {
  std::vector<const Command*> commands;
  for (const Command& row : table.rows()) {
    if (row.parent == nullptr && !row.called.empty()) commands.push_back(&row);
  }
  return commands;
}

void reply_all_infos(Request& request) {
  resp::ReplyWriter reply = request.reply();
  const std::vector<const Command*> commands = top_level(table_of(request));
  reply.array(commands.size());
  for (const Command* command : commands) write_info(reply, command);
  request.finish();
}

// The command that a GETKEYS asks about, checked; null: replied with an error.
const Command* keyed_command(Request& request, Arguments called) {
  const Command* command = table_of(request).resolve(called);
  std::string_view problem;
  if (command == nullptr) {
    problem = "ERR Invalid command specified";
  } else if (command->first_key == 0) {
    problem = "ERR The command has no key arguments";
  } else if (!command->accepts(called.size())) {
    problem = "ERR Invalid number of arguments specified for command";
  } else {
    return command;
  }
  request.finish_error(problem);
  return nullptr;
}

void list_keys(Request& request, Arguments called, bool with_flags) {
  const Command* command = keyed_command(request, called);
  if (command == nullptr) return;
  const std::vector<size_t> keys = key_positions(*command, called);
  resp::ReplyWriter reply = request.reply();
  reply.array(keys.size());
  for (const size_t key : keys) {
    if (with_flags) reply.array(2);
    reply.bulk(called[key]);
    if (with_flags) write_flag_set(reply, split(key_flags(*command, called, key), ' '));
  }
  request.finish();
}

}  // namespace

void command(Request& request, Arguments) {
  reply_all_infos(request);
}

void command_count(Request& request, Arguments) {
  request.finish_integer(static_cast<int64_t>(table_of(request).top_level_count()));
}

void command_info(Request& request, Arguments arguments) {
  if (arguments.size() == 2) return reply_all_infos(request);
  resp::ReplyWriter reply = request.reply();
  reply.array(arguments.size() - 2);
  for (const std::string_view name : arguments.subspan(2))
    write_info(reply, table_of(request).find(name));
  request.finish();
}

void command_docs(Request& request, Arguments arguments) {
  std::vector<const Command*> commands;
  if (arguments.size() == 2) {
    commands = top_level(table_of(request));
  } else {
    for (const std::string_view name : arguments.subspan(2)) {
      if (const Command* found = table_of(request).find(name)) commands.push_back(found);
    }
  }
  resp::ReplyWriter reply = request.reply();
  reply.map(commands.size());
  for (const Command* found : commands) write_docs(reply, *found);
  request.finish();
}

void command_list(Request& request, Arguments arguments) {
  std::vector<const Command*> commands;
  const auto keep = [&](auto&& wanted) {
    for (const Command& row : table_of(request).rows()) {
      if (!row.called.empty() && wanted(row)) commands.push_back(&row);
    }
  };
  const bool filtered = arguments.size() == 5 && equals_ignoring_case(arguments[2], "filterby");
  const std::string_view filter = filtered ? arguments[3] : std::string_view{};
  if (arguments.size() == 2) {
    keep([](const Command&) { return true; });
  } else if (equals_ignoring_case(filter, "pattern")) {
    keep([&](const Command& row) { return glob_matches(arguments[4], row.called, true); });
  } else if (equals_ignoring_case(filter, "aclcat")) {
    const uint32_t bit = acl::category(arguments[4]);
    keep([&](const Command& row) { return (row.categories & bit) != 0; });
  } else if (!equals_ignoring_case(filter, "module")) {
    return request.finish_error(kSyntaxError);
  }
  resp::ReplyWriter reply = request.reply();
  reply.array(commands.size());
  for (const Command* row : commands) reply.bulk(row->called);
  request.finish();
}

void command_getkeys(Request& request, Arguments arguments) {
  list_keys(request, arguments.subspan(2), false);
}

void command_getkeysandflags(Request& request, Arguments arguments) {
  list_keys(request, arguments.subspan(2), true);
}

void command_help(Request& request, Arguments) {
  finish_help(request, "COMMAND",
              {"(no subcommand)", "    Return details about all Redis commands.", "COUNT",
               "    Return the total number of commands in this Redis server.", "LIST",
               "    Return a list of all commands in this Redis server.",
               "INFO [<command-name> ...]", "    Return details about multiple Redis commands.",
               "    If no command names are given, documentation details for all",
               "    commands are returned.", "DOCS [<command-name> ...]",
               "    Return documentation details about multiple Redis commands.",
               "    If no command names are given, documentation details for all",
               "    commands are returned.", "GETKEYS <full-command>",
               "    Return the keys from a full Redis command.", "GETKEYSANDFLAGS <full-command>",
               "    Return the keys and the access flags from a full Redis command."});
}

}  // namespace rdmakv::proxy::commands
