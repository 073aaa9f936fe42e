// The rows of the command table, in the order of redis-compat.md's groups: those of strings. Names,
// arities, flags, keys, categories, tips and documentation are those of Redis 7.0.15.
#include "proxy/command_table.h"
#include "proxy/commands.h"

namespace rdmakv::proxy {

// A row is a paragraph.
// clang-format off
std::vector<Command> string_command_rows() {
  return {
    {.name = "get", .arity = 2, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kRead | acl::kString | acl::kFast, .key_flags = "RO access",
     .summary = "Get the value of a key", .since = "1.0.0", .group = "string", .complexity = "O(1)",
     .handler = commands::get},
    {.name = "set", .arity = -3, .flags = kWrite | kDenyoom, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kSlow, .value_argument = 2,
     .key_flags = "RW access update variable_flags",
     .key_notes = "RW and ACCESS due to the optional `GET` argument",
     .summary = "Set the string value of a key", .since = "1.0.0", .group = "string",
     .complexity = "O(1)", .handler = commands::set},
    {.name = "setnx", .arity = 3, .flags = kWrite | kDenyoom | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kFast, .value_argument = 2,
     .key_flags = "OW insert", .summary = "Set the value of a key, only if the key does not exist",
     .since = "1.0.0", .group = "string", .complexity = "O(1)", .handler = commands::setnx},
    {.name = "setex", .arity = 4, .flags = kWrite | kDenyoom, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kSlow, .value_argument = 3,
     .key_flags = "OW update", .summary = "Set the value and expiration of a key", .since = "2.0.0",
     .group = "string", .complexity = "O(1)", .handler = commands::setex},
    {.name = "psetex", .arity = 4, .flags = kWrite | kDenyoom, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kSlow, .value_argument = 3,
     .key_flags = "OW update", .summary = "Set the value and expiration in milliseconds of a key",
     .since = "2.6.0", .group = "string", .complexity = "O(1)", .handler = commands::psetex},
    {.name = "getset", .arity = 3, .flags = kWrite | kDenyoom | kFast, .first_key = 1,
     .last_key = 1, .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kFast,
     .value_argument = 2, .key_flags = "RW access update",
     .summary = "Set the string value of a key and return its old value", .since = "1.0.0",
     .group = "string", .complexity = "O(1)", .handler = commands::getset},
    {.name = "getdel", .arity = 2, .flags = kWrite | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kWrite | acl::kString | acl::kFast,
     .key_flags = "RW access delete", .summary = "Get the value of a key and delete the key",
     .since = "6.2.0", .group = "string", .complexity = "O(1)", .handler = commands::getdel},
    {.name = "mget", .arity = -2, .flags = kReadonly | kFast, .first_key = 1, .last_key = -1,
     .key_step = 1, .categories = acl::kRead | acl::kString | acl::kFast,
     .tips = "request_policy:multi_shard", .key_flags = "RO access",
     .summary = "Get the values of all the given keys", .since = "1.0.0", .group = "string",
     .complexity = "O(N) where N is the number of keys to retrieve.", .handler = commands::mget},
    {.name = "mset", .arity = -3, .flags = kWrite | kDenyoom, .first_key = 1, .last_key = -1,
     .key_step = 2, .categories = acl::kWrite | acl::kString | acl::kSlow,
     .tips = "request_policy:multi_shard,response_policy:all_succeeded", .key_flags = "OW update",
     .summary = "Set multiple keys to multiple values", .since = "1.0.1", .group = "string",
     .complexity = "O(N) where N is the number of keys to set.", .handler = commands::mset},
    {.name = "strlen", .arity = 2, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kRead | acl::kString | acl::kFast, .key_flags = "RO",
     .summary = "Get the length of the value stored in a key", .since = "2.2.0", .group = "string",
     .complexity = "O(1)", .handler = commands::strlen},
  };
}
// clang-format on

}  // namespace rdmakv::proxy
