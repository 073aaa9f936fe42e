#include "proxy/command_docs.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

namespace rdmakv::proxy {
namespace {

struct Argument {
  std::string_view name, type, token, since, deprecated_since;
  int key_specification = -1;
  bool has_token = false, optional = false, multiple = false, multiple_token = false;
  std::vector<Argument> arguments;
};

// Reads the notation of CommandDocs::arguments, which is ours and so never wrong.
class ArgumentReader {
 public:
  explicit ArgumentReader(std::string_view text) : text_(text) {}

  std::vector<Argument> read_all() {
    std::vector<Argument> arguments;
    while (!text_.empty() && text_.front() != '}') {
      arguments.push_back(read());
      if (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
    }
    return arguments;
  }

 private:
  std::string_view until(std::string_view ends) {
    const std::string_view taken = text_.substr(0, text_.find_first_of(ends));
    text_.remove_prefix(taken.size());
    return taken;
  }

  Argument read() {
    Argument argument;
    // A name may hold a colon; a type never does.
    const std::string_view head = until("#=?*+@!{} ");
    const size_t colon = head.rfind(':');
    argument.name = head.substr(0, colon);
    argument.type = head.substr(colon + 1);
    while (!text_.empty() && text_.front() != ' ' && text_.front() != '}') {
      const char mark = text_.front();
      text_.remove_prefix(1);
      read_mark(mark, argument);
    }
    return argument;
  }

  void read_mark(char mark, Argument& argument) {
    constexpr std::string_view kEnds = "=?*+@!{} ";
    switch (mark) {
      case '#': {
        const std::string_view digits = until(kEnds);
        std::from_chars(digits.data(), digits.data() + digits.size(), argument.key_specification);
        break;
      }
      case '=':
        text_.remove_prefix(1);
        argument.token = until("'");
        argument.has_token = true;
        text_.remove_prefix(1);
        break;
      case '?':
        argument.optional = true;
        break;
      case '*':
        argument.multiple = true;
        break;
      case '+':
        argument.multiple_token = true;
        break;
      case '@':
        argument.since = until("!{} ");
        break;
      case '!':
        argument.deprecated_since = until("{} ");
        break;
      case '{':
        argument.arguments = read_all();
        text_.remove_prefix(1);
        break;
      default:
        break;
    }
  }

  std::string_view text_;
};

void write_pair(resp::ReplyWriter& reply, std::string_view name, std::string_view text) {
  reply.bulk(name);
  reply.bulk(text);
}

void write_arguments(resp::ReplyWriter& reply, const std::vector<Argument>& arguments) {
  reply.array(arguments.size());
  for (const Argument& argument : arguments) {
    const bool is_key = argument.key_specification >= 0;
    const int flags = (argument.optional ? 1 : 0) + (argument.multiple ? 1 : 0) +
                      (argument.multiple_token ? 1 : 0);
    reply.map(2 + (is_key ? 1 : 0) + (argument.has_token ? 1 : 0) +
              (argument.since.empty() ? 0 : 1) + (argument.deprecated_since.empty() ? 0 : 1) +
              (flags > 0 ? 1 : 0) + (argument.arguments.empty() ? 0 : 1));
    write_pair(reply, "name", argument.name);
    write_pair(reply, "type", argument.type);
    if (is_key) {
      reply.bulk("key_spec_index");
      reply.integer(argument.key_specification);
    }
    if (argument.has_token) write_pair(reply, "token", argument.token);
    if (!argument.since.empty()) write_pair(reply, "since", argument.since);
    if (!argument.deprecated_since.empty()) {
      write_pair(reply, "deprecated_since", argument.deprecated_since);
    }
    if (flags > 0) {
      reply.bulk("flags");
      reply.set(static_cast<uint64_t>(flags));
      if (argument.optional) reply.simple_string("optional");
      if (argument.multiple) reply.simple_string("multiple");
      if (argument.multiple_token) reply.simple_string("multiple_token");
    }
    if (!argument.arguments.empty()) {
      reply.bulk("arguments");
      write_arguments(reply, argument.arguments);
    }
  }
}

// Entries begin with a version; only a bar before one separates them.
std::vector<std::string_view> history_entries(std::string_view history) {
  std::vector<std::string_view> entries;
  size_t begin = 0;
  for (size_t at = 0; at < history.size(); ++at) {
    const bool before_version =
        at + 1 < history.size() && '0' <= history[at + 1] && history[at + 1] <= '9';
    if (history[at] != '|' || !before_version) continue;
    entries.push_back(history.substr(begin, at - begin));
    begin = at + 1;
  }
  entries.push_back(history.substr(begin));
  return entries;
}

void write_history(resp::ReplyWriter& reply, std::string_view history) {
  const std::vector<std::string_view> entries = history_entries(history);
  reply.bulk("history");
  reply.set(entries.size());
  for (const std::string_view entry : entries) {
    const size_t space = entry.find(' ');
    reply.array(2);
    reply.bulk(entry.substr(0, space));
    reply.bulk(entry.substr(space + 1));
  }
}

// The fields that are not in the row; null for none.
void write_more(resp::ReplyWriter& reply, const CommandDocs* docs) {
  if (docs == nullptr) return;
  if (!docs->deprecated_since.empty()) {
    reply.bulk("doc_flags");
    reply.set(1);
    reply.simple_string("deprecated");
    write_pair(reply, "deprecated_since", docs->deprecated_since);
  }
  if (!docs->replaced_by.empty()) write_pair(reply, "replaced_by", docs->replaced_by);
  if (!docs->history.empty()) write_history(reply, docs->history);
  if (!docs->arguments.empty()) {
    reply.bulk("arguments");
    write_arguments(reply, ArgumentReader(docs->arguments).read_all());
  }
}

uint64_t count_more(const CommandDocs* docs) {
  if (docs == nullptr) return 0;
  return (docs->deprecated_since.empty() ? 0u : 2u) + (docs->replaced_by.empty() ? 0u : 1u) +
         (docs->history.empty() ? 0u : 1u) + (docs->arguments.empty() ? 0u : 1u);
}

}  // namespace

void write_docs(resp::ReplyWriter& reply, const Command& command) {
  const CommandDocs* docs = find_docs(command.name);
  const bool contains = !command.subcommands.empty();
  reply.bulk(command.name);
  reply.map(3 + (command.complexity.empty() ? 0 : 1) + count_more(docs) + (contains ? 1 : 0));
  write_pair(reply, "summary", command.summary);
  write_pair(reply, "since", command.since);
  write_pair(reply, "group", command.group);
  if (!command.complexity.empty()) write_pair(reply, "complexity", command.complexity);
  write_more(reply, docs);
  if (!contains) return;
  reply.bulk("subcommands");
  reply.map(command.subcommands.size());
  for (const Command* subcommand : command.subcommands) write_docs(reply, *subcommand);
}

}  // namespace rdmakv::proxy
