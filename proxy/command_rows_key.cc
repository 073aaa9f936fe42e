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
    {.name = "rename", .arity = 3, .flags = kWrite | kRunsAlone,
     .first_key = 1, .last_key = 2,
     .key_step = 1, .categories = acl::kKeyspace | acl::kWrite | acl::kSlow,
     .key_flags = "RW access delete|OW update", .summary = "Rename a key", .since = "1.0.0",
     .group = "generic", .complexity = "O(1)", .handler = commands::rename},
    {.name = "renamenx", .arity = 3, .flags = kWrite | kFast | kRunsAlone,
     .first_key = 1,
     .last_key = 2, .key_step = 1, .categories = acl::kKeyspace | acl::kWrite | acl::kFast,
     .key_flags = "RW access delete|OW insert",
     .summary = "Rename a key, only if the new key does not exist", .since = "1.0.0",
     .group = "generic", .complexity = "O(1)", .handler = commands::renamenx},
    {.name = "copy", .arity = -3, .flags = kWrite | kDenyoom | kRunsAlone,
     .first_key = 1,
     .last_key = 2, .key_step = 1, .categories = acl::kKeyspace | acl::kWrite | acl::kSlow,
     .key_flags = "RO access|OW update", .summary = "Copy a key", .since = "6.2.0",
     .group = "generic",
     .complexity =
         "O(N) worst case for collections, where N is the number of nested items. O(1) for "
         "string values.",
     .handler = commands::copy},
    {.name = "randomkey", .arity = 1, .flags = kReadonly | kRunsAlone,
     .categories = acl::kKeyspace | acl::kRead | acl::kSlow,
     .tips = "request_policy:all_shards,nondeterministic_output",
     .summary = "Return a random key from the keyspace", .since = "1.0.0", .group = "generic",
     .complexity = "O(1)", .handler = commands::randomkey},
    {.name = "keys", .arity = 2, .flags = kReadonly | kRunsAlone,
     .categories = acl::kKeyspace | acl::kRead | acl::kSlow | acl::kDangerous,
     .tips = "request_policy:all_shards,nondeterministic_output_order",
     .summary = "Find all keys matching the given pattern", .since = "1.0.0", .group = "generic",
     .complexity =
         "O(N) with N being the number of keys in the database, under the assumption that "
         "the key names in the database and the given pattern have limited length.",
     .handler = commands::keys},
    {.name = "scan", .arity = -2, .flags = kReadonly | kRunsAlone,
     .categories = acl::kKeyspace | acl::kRead | acl::kSlow,
     .tips = "nondeterministic_output,request_policy:special",
     .summary = "Incrementally iterate the keys space", .since = "2.8.0", .group = "generic",
     .complexity =
         "O(1) for every call. O(N) for a complete iteration, including enough command "
         "calls for the cursor to return back to 0. N is the number of elements inside the "
         "collection.",
     .handler = commands::scan},
    {.name = "dump", .arity = 2, .flags = kReadonly, .first_key = 1, .last_key = 1, .key_step = 1,
     .categories = acl::kKeyspace | acl::kRead | acl::kSlow, .tips = "nondeterministic_output",
     .key_flags = "RO access",
     .summary = "Return a serialized version of the value stored at the specified key.",
     .since = "2.6.0", .group = "generic",
     .complexity =
         "O(1) to access the key and additional O(N*M) to serialize it, where N is the "
         "number of Redis objects composing the value and M their average size. For small "
         "string values the time complexity is thus O(1)+O(1*M) where M is small, so simply "
         "O(1).",
     .handler = commands::dump},
    {.name = "restore", .arity = -4, .flags = kWrite | kDenyoom, .first_key = 1, .last_key = 1,
     .key_step = 1,
     .categories = acl::kKeyspace | acl::kWrite | acl::kSlow | acl::kDangerous,
     .key_flags = "OW update",
     .summary =
         "Create a key using the provided serialized value, previously obtained using DUMP.",
     .since = "2.6.0", .group = "generic",
     .complexity =
         "O(1) to create the new key and additional O(N*M) to reconstruct the serialized "
         "value, where N is the number of Redis objects composing the value and M their "
         "average size. For small string values the time complexity is thus O(1)+O(1*M) "
         "where M is small, so simply O(1). However for sorted set values the complexity is "
         "O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
     .handler = commands::restore},
    {.name = "object", .arity = -2, .categories = acl::kSlow,
     .summary = "A container for object introspection commands", .since = "2.2.3",
     .group = "generic", .complexity = "Depends on subcommand."},
    {.name = "object|encoding", .arity = 3, .flags = kReadonly, .first_key = 2, .last_key = 2,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kSlow,
     .tips = "nondeterministic_output", .key_flags = "RO",
     .summary = "Inspect the internal encoding of a Redis object", .since = "2.2.3",
     .group = "generic", .complexity = "O(1)", .handler = commands::object_encoding},
    {.name = "object|freq", .arity = 3, .flags = kReadonly, .first_key = 2, .last_key = 2,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kSlow,
     .tips = "nondeterministic_output", .key_flags = "RO",
     .summary = "Get the logarithmic access frequency counter of a Redis object", .since = "4.0.0",
     .group = "generic", .complexity = "O(1)", .handler = commands::object_freq},
    {.name = "object|help", .arity = 2, .flags = kLoading | kStale,
     .categories = acl::kKeyspace | acl::kSlow,
     .summary = "Show helpful text about the different subcommands", .since = "6.2.0",
     .group = "generic", .complexity = "O(1)", .handler = commands::object_help},
    {.name = "object|idletime", .arity = 3, .flags = kReadonly, .first_key = 2, .last_key = 2,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kSlow,
     .tips = "nondeterministic_output", .key_flags = "RO",
     .summary = "Get the time since a Redis object was last accessed", .since = "2.2.3",
     .group = "generic", .complexity = "O(1)", .handler = commands::object_idletime},
    {.name = "object|refcount", .arity = 3, .flags = kReadonly, .first_key = 2, .last_key = 2,
     .key_step = 1, .categories = acl::kKeyspace | acl::kRead | acl::kSlow,
     .tips = "nondeterministic_output", .key_flags = "RO",
     .summary = "Get the number of references to the value of the key", .since = "2.2.3",
     .group = "generic", .complexity = "O(1)", .handler = commands::object_refcount},
    {.name = "wait", .arity = 3, .flags = kNoscript, .categories = acl::kSlow | acl::kConnection,
     .tips = "request_policy:all_shards,response_policy:agg_min",
     .summary =
         "Wait for the synchronous replication of all the write commands sent in the context of "
         "the current connection",
     .since = "3.0.0", .group = "generic", .complexity = "O(1)", .handler = commands::wait},
  };
}
// clang-format on

}  // namespace rdmakv::proxy
