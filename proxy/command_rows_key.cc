// The rows of the command table that concern keys. As command_rows_string.cc.
#include "proxy/command_table.h"
#include "proxy/commands.h"

namespace rdmakv::proxy {

// A row is a paragraph.
// clang-format off
std::vector<Command> key_command_rows() {
  return {
    {.name = "del", .arity = -2, .flags = kWrite, .first_key = 1, .last_key = -1, .key_step = 1,
     .categories = acl::kKeyspace | acl::kWrite | acl::kSlow,
     .tips = "request_policy:multi_shard,response_policy:agg_sum", .key_flags = "RM delete",
     .summary = "Delete a key", .since = "1.0.0", .group = "generic",
     .complexity =
         "O(N) where N is the number of keys that will be removed. When a key to remove "
         "holds a value other than a string, the individual complexity for this key is "
         "O(M) where M is the number of elements in the list, set, sorted set or hash. "
         "Removing a single key that holds a string value is O(1).",
     .handler = commands::del},
    {.name = "unlink", .arity = -2, .flags = kWrite | kFast, .first_key = 1, .last_key = -1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kWrite | acl::kFast,
     .tips = "request_policy:multi_shard,response_policy:agg_sum", .key_flags = "RM delete",
     .summary =
         "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but "
         "non blocking.",
     .since = "4.0.0", .group = "generic",
     .complexity =
         "O(1) for each key removed regardless of its size. Then the command does O(N) "
         "work in a different thread in order to reclaim memory, where N is the number of "
         "allocations the deleted objects where composed of.",
     .handler = commands::del},
    {.name = "exists", .arity = -2, .flags = kReadonly | kFast, .first_key = 1, .last_key = -1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kFast,
     .tips = "request_policy:multi_shard,response_policy:agg_sum", .key_flags = "RO",
     .summary = "Determine if a key exists", .since = "1.0.0", .group = "generic",
     .complexity = "O(N) where N is the number of keys to check.", .handler = commands::exists},
    {.name = "touch", .arity = -2, .flags = kReadonly | kFast, .first_key = 1, .last_key = -1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kFast,
     .tips = "request_policy:multi_shard,response_policy:agg_sum", .key_flags = "RO",
     .summary =
         "Alters the last access time of a key(s). Returns the number of existing keys "
         "specified.",
     .since = "3.2.1", .group = "generic",
     .complexity = "O(N) where N is the number of keys that will be touched.",
     .handler = commands::touch},
    {.name = "type", .arity = 2, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kFast, .key_flags = "RO",
     .summary = "Determine the type stored at key", .since = "1.0.0", .group = "generic",
     .complexity = "O(1)", .handler = commands::type},
    {.name = "ttl", .arity = 2, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kFast,
     .tips = "nondeterministic_output", .key_flags = "RO access",
     .summary = "Get the time to live for a key in seconds", .since = "1.0.0", .group = "generic",
     .complexity = "O(1)", .handler = commands::ttl},
    {.name = "pttl", .arity = 2, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kFast,
     .tips = "nondeterministic_output", .key_flags = "RO access",
     .summary = "Get the time to live for a key in milliseconds", .since = "2.6.0",
     .group = "generic", .complexity = "O(1)", .handler = commands::pttl},
    {.name = "expiretime", .arity = 2, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kFast,
     .key_flags = "RO access", .summary = "Get the expiration Unix timestamp for a key",
     .since = "7.0.0", .group = "generic", .complexity = "O(1)", .handler = commands::expiretime},
    {.name = "pexpiretime", .arity = 2, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kFast,
     .key_flags = "RO access",
     .summary = "Get the expiration Unix timestamp for a key in milliseconds", .since = "7.0.0",
     .group = "generic", .complexity = "O(1)", .handler = commands::pexpiretime},
    {.name = "expire", .arity = -3, .flags = kWrite | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kWrite | acl::kFast,
     .key_flags = "RW update", .summary = "Set a key's time to live in seconds", .since = "1.0.0",
     .group = "generic", .complexity = "O(1)", .handler = commands::expire},
    {.name = "pexpire", .arity = -3, .flags = kWrite | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kWrite | acl::kFast,
     .key_flags = "RW update", .summary = "Set a key's time to live in milliseconds",
     .since = "2.6.0", .group = "generic", .complexity = "O(1)", .handler = commands::pexpire},
    {.name = "expireat", .arity = -3, .flags = kWrite | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kWrite | acl::kFast,
     .key_flags = "RW update", .summary = "Set the expiration for a key as a UNIX timestamp",
     .since = "1.2.0", .group = "generic", .complexity = "O(1)", .handler = commands::expireat},
    {.name = "pexpireat", .arity = -3, .flags = kWrite | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kWrite | acl::kFast,
     .key_flags = "RW update",
     .summary = "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
     .since = "2.6.0", .group = "generic", .complexity = "O(1)", .handler = commands::pexpireat},
    {.name = "persist", .arity = 2, .flags = kWrite | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kKeyspace | acl::kWrite | acl::kFast,
     .key_flags = "RW update", .summary = "Remove the expiration from a key", .since = "2.2.0",
     .group = "generic", .complexity = "O(1)", .handler = commands::persist},
  };
}
// clang-format on

}  // namespace rdmakv::proxy
