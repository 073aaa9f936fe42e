// COMMAND DOCS: what is told about a command beside its row, and the reply.
#pragma once

#include <string_view>

#include "protocol/resp_writer.h"
#include "proxy/command_table.h"

namespace rdmakv::proxy {

struct CommandDocs {
  std::string_view name;
  // Separated by spaces, each
  //   name:type[#key specification][='TOKEN'][?][*][+][@since][!deprecated since][{arguments}]
  // where ? is optional, * multiple, + multiple with the token repeated.
  std::string_view arguments = {};
  std::string_view deprecated_since = {}, replaced_by = {};
  std::string_view history = {};  // "since what changed", separated by bars
};

// By a command's own name; null: there is no more to tell. command_docs_data.cc.
const CommandDocs* find_docs(std::string_view name);

// The name and the map that COMMAND DOCS has for a command and its subcommands.
void write_docs(resp::ReplyWriter& reply, const Command& command);

}  // namespace rdmakv::proxy
