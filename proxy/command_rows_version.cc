// The rows of the command table that concern versions, which are ours or Tair's. As
// command_rows_string.cc.
#include "proxy/command_table.h"
#include "proxy/commands.h"

namespace rdmakv::proxy {

// A row is a paragraph.
// clang-format off
std::vector<Command> version_command_rows() {
  return {
    {.name = "cas", .arity = -4, .flags = kWrite | kDenyoom | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kFast, .value_argument = 3,
     .key_flags = "RW access update",
     .summary =
         "Set the value of a key if its version is the one given; replies with success and"
         " the version",
     .since = "7.0.15", .group = "string", .complexity = "O(1)", .handler = commands::cas},
    {.name = "getv", .arity = 2, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kRead | acl::kString | acl::kFast, .key_flags = "RO access",
     .summary = "Get the value of a key and its version", .since = "7.0.15", .group = "string",
     .complexity = "O(1)", .handler = commands::getv},
    {.name = "exget", .arity = -2, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kRead | acl::kString | acl::kFast, .key_flags = "RO access",
     .summary = "Get the value of a key and its version", .since = "7.0.15", .group = "string",
     .complexity = "O(1)", .handler = commands::exget},
    {.name = "exset", .arity = -3, .flags = kWrite | kDenyoom | kFast, .first_key = 1,
     .last_key = 1, .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kFast,
     .value_argument = 2, .key_flags = "RW update",
     .summary = "Set the value of a key, perhaps if its version is the one given",
     .since = "7.0.15", .group = "string", .complexity = "O(1)", .handler = commands::exset},
    {.name = "excas", .arity = -4, .flags = kWrite | kDenyoom | kFast, .first_key = 1,
     .last_key = 1, .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kFast,
     .value_argument = 2, .key_flags = "RW access update",
     .summary = "Set the value of a key if its version is the one given", .since = "7.0.15",
     .group = "string", .complexity = "O(1)", .handler = commands::excas},
    {.name = "excad", .arity = 3, .flags = kWrite | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kFast, .key_flags = "RW delete",
     .summary = "Delete a key if its version is the one given", .since = "7.0.15",
     .group = "string", .complexity = "O(1)", .handler = commands::excad},
    {.name = "exsetver", .arity = 3, .flags = kWrite | kDenyoom | kFast, .first_key = 1,
     .last_key = 1, .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kFast,
     .key_flags = "RW update", .summary = "Set the version of a key", .since = "7.0.15",
     .group = "string", .complexity = "O(1)", .handler = commands::exsetver},
    {.name = "exincrby", .arity = -3, .flags = kWrite | kDenyoom | kFast, .first_key = 1,
     .last_key = 1, .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kFast,
     .key_flags = "RW access update",
     .summary = "Increment the integer value of a key, perhaps within bounds", .since = "7.0.15",
     .group = "string", .complexity = "O(1)", .handler = commands::exincrby},
    {.name = "exappend", .arity = -3, .flags = kWrite | kDenyoom | kFast, .first_key = 1,
     .last_key = 1, .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kFast,
     .value_argument = 2, .key_flags = "RW insert",
     .summary = "Append a value to a key, perhaps if its version is the one given",
     .since = "7.0.15", .group = "string", .complexity = "O(1)", .handler = commands::exappend},
  };
}
// clang-format on

}  // namespace rdmakv::proxy
