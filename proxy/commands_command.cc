// COMMAND and its subcommands: the command table, as Redis shows it.
#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/glob.h"
#include "proxy/help.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

struct NamedBit {
  uint32_t bit;
  std::string_view name;
};
// In Redis's order.
constexpr NamedBit kFlagNames[] = {
    {kWrite, "write"},       {kReadonly, "readonly"},    {kDenyoom, "denyoom"}, {kAdmin, "admin"},
    {kNoscript, "noscript"}, {kLoading, "loading"},      {kStale, "stale"},     {kFast, "fast"},
    {kNoAuth, "no_auth"},    {kAllowBusy, "allow_busy"},
};
constexpr NamedBit kCategoryNames[] = {
    {acl::kKeyspace, "@keyspace"},
    {acl::kRead, "@read"},
    {acl::kWrite, "@write"},
    {acl::kString, "@string"},
    {acl::kAdmin, "@admin"},
    {acl::kFast, "@fast"},
    {acl::kSlow, "@slow"},
    {acl::kDangerous, "@dangerous"},
    {acl::kConnection, "@connection"},
    {acl::kScripting, "@scripting"},
};

const CommandTable& table() {
  return CommandTable::instance();
}

template <size_t n>
void write_bits(resp::ReplyWriter& reply, const NamedBit (&names)[n], uint32_t bits) {
  reply.set(static_cast<uint64_t>(std::count_if(
      std::begin(names), std::end(names), [&](const NamedBit& b) { return (bits & b.bit) != 0; })));
  for (const NamedBit& name : names) {
    if ((bits & name.bit) != 0) reply.simple_string(name.name);
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

// Our commands' keys are all of the kind "from this argument on, in these steps".
void write_key_specification(resp::ReplyWriter& reply, const Command& command) {
  if (command.first_key == 0) return reply.set(0);
  reply.set(1);
  reply.map(command.key_notes.empty() ? 3 : 4);
  if (!command.key_notes.empty()) {
    reply.bulk("notes");
    reply.bulk(command.key_notes);
  }
  reply.bulk("flags");
  write_flag_set(reply, split(command.key_flags, ' '));
  reply.bulk("begin_search");
  reply.map(2);
  reply.bulk("type");
  reply.bulk("index");
  reply.bulk("spec");
  reply.map(1);
  reply.bulk("index");
  reply.integer(command.first_key);
  reply.bulk("find_keys");
  reply.map(2);
  reply.bulk("type");
  reply.bulk("range");
  reply.bulk("spec");
  reply.map(3);
  reply.bulk("lastkey");
  // Counted from the first key here; from the name in the classic column.
  reply.integer(command.last_key > 0 ? command.last_key - command.first_key : command.last_key);
  reply.bulk("keystep");
  reply.integer(command.key_step);
  reply.bulk("limit");
  reply.integer(0);
}

void write_info(resp::ReplyWriter& reply, const Command* command) {
  if (command == nullptr) return reply.null();
  reply.array(10);
  reply.bulk(command->name);
  reply.integer(command->arity);
  write_bits(reply, kFlagNames, command->flags);
  reply.integer(command->first_key);
  reply.integer(command->last_key);
  reply.integer(command->key_step);
  write_bits(reply, kCategoryNames, command->categories);
  const std::vector<std::string_view> tips = split(command->tips, ',');
  reply.set(tips.size());
  for (const std::string_view tip : tips) reply.bulk(tip);
  write_key_specification(reply, *command);
  reply.set(command->subcommands.size());
  for (const Command* subcommand : command->subcommands) write_info(reply, subcommand);
}

void write_docs(resp::ReplyWriter& reply, const Command& command) {
  const bool has_complexity = !command.complexity.empty();
  const bool contains = !command.subcommands.empty();
  reply.bulk(command.name);
  reply.map(3 + (has_complexity ? 1 : 0) + (contains ? 1 : 0));
  for (const auto& [name, text] :
       {std::pair("summary", command.summary), std::pair("since", command.since),
        std::pair("group", command.group), std::pair("complexity", command.complexity)}) {
    if (text.empty()) continue;
    reply.bulk(name);
    reply.bulk(text);
  }
  if (!contains) return;
  reply.bulk("subcommands");
  reply.map(command.subcommands.size());
  for (const Command* subcommand : command.subcommands) write_docs(reply, *subcommand);
}

std::vector<const Command*> top_level() {
  std::vector<const Command*> commands;
  for (const Command& row : table().rows()) {
    if (row.parent == nullptr) commands.push_back(&row);
  }
  return commands;
}

void reply_all_infos(Request& request) {
  resp::ReplyWriter reply = request.reply();
  reply.array(table().top_level_count());
  for (const Command* command : top_level()) write_info(reply, command);
  request.finish();
}

// The command that a GETKEYS asks about, checked; null: replied with an error.
const Command* keyed_command(Request& request, Arguments called) {
  const Command* command = table().resolve(called);
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

// SET's GET makes its access another one.
std::vector<std::string_view> key_flags(const Command& command, Arguments called) {
  if (command.name == "set") {
    const bool gets = std::any_of(called.begin() + 3, called.end(), [](std::string_view option) {
      return equals_ignoring_case(option, "get");
    });
    return split(gets ? "RW access update" : "OW update", ' ');
  }
  return split(command.key_flags, ' ');
}

}  // namespace

void command(Request& request, Arguments) {
  reply_all_infos(request);
}

void command_count(Request& request, Arguments) {
  request.finish_integer(static_cast<int64_t>(table().top_level_count()));
}

void command_info(Request& request, Arguments arguments) {
  if (arguments.size() == 2) return reply_all_infos(request);
  resp::ReplyWriter reply = request.reply();
  reply.array(arguments.size() - 2);
  for (const std::string_view name : arguments.subspan(2)) write_info(reply, table().find(name));
  request.finish();
}

void command_docs(Request& request, Arguments arguments) {
  std::vector<const Command*> commands;
  if (arguments.size() == 2) {
    commands = top_level();
  } else {
    for (const std::string_view name : arguments.subspan(2)) {
      if (const Command* found = table().find(name)) commands.push_back(found);
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
    for (const Command& row : table().rows()) {
      if (wanted(row)) commands.push_back(&row);
    }
  };
  if (arguments.size() == 2) {
    keep([](const Command&) { return true; });
  } else if (arguments.size() != 5 || !equals_ignoring_case(arguments[2], "filterby")) {
    return request.finish_error("ERR syntax error");
  } else if (equals_ignoring_case(arguments[3], "pattern")) {
    keep([&](const Command& row) { return glob_matches(arguments[4], row.name, true); });
  } else if (equals_ignoring_case(arguments[3], "aclcat")) {
    uint32_t bit = 0;
    for (const NamedBit& category : kCategoryNames) {
      if (equals_ignoring_case(category.name.substr(1), arguments[4])) bit = category.bit;
    }
    keep([&](const Command& row) { return (row.categories & bit) != 0; });
  } else if (!equals_ignoring_case(arguments[3], "module")) {
    return request.finish_error("ERR syntax error");
  }
  resp::ReplyWriter reply = request.reply();
  reply.array(commands.size());
  for (const Command* row : commands) reply.bulk(row->name);
  request.finish();
}

void command_getkeys(Request& request, Arguments arguments) {
  const Arguments called = arguments.subspan(2);
  const Command* command = keyed_command(request, called);
  if (command == nullptr) return;
  const std::vector<size_t> keys = key_positions(*command, called.size());
  resp::ReplyWriter reply = request.reply();
  reply.array(keys.size());
  for (const size_t key : keys) reply.bulk(called[key]);
  request.finish();
}

void command_getkeysandflags(Request& request, Arguments arguments) {
  const Arguments called = arguments.subspan(2);
  const Command* command = keyed_command(request, called);
  if (command == nullptr) return;
  const std::vector<size_t> keys = key_positions(*command, called.size());
  resp::ReplyWriter reply = request.reply();
  reply.array(keys.size());
  for (const size_t key : keys) {
    reply.array(2);
    reply.bulk(called[key]);
    write_flag_set(reply, key_flags(*command, called));
  }
  request.finish();
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
