// The rows of the command table that concern bitmaps. As command_rows_string.cc.
#include "proxy/command_table.h"
#include "proxy/commands.h"

namespace rdmakv::proxy {

// A row is a paragraph.
// clang-format off
std::vector<Command> bitmap_command_rows() {
  return {
    {.name = "setbit", .arity = 4, .flags = kWrite | kDenyoom, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kWrite | acl::kBitmap | acl::kSlow,
     .key_flags = "RW access update",
     .summary = "Sets or clears the bit at offset in the string value stored at key",
     .since = "2.2.0", .group = "bitmap", .complexity = "O(1)", .handler = commands::setbit},
    {.name = "getbit", .arity = 3, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kRead | acl::kBitmap | acl::kFast, .key_flags = "RO access",
     .summary = "Returns the bit value at offset in the string value stored at key",
     .since = "2.2.0", .group = "bitmap", .complexity = "O(1)", .handler = commands::getbit},
    {.name = "bitcount", .arity = -2, .flags = kReadonly, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kRead | acl::kBitmap | acl::kSlow, .key_flags = "RO access",
     .summary = "Count set bits in a string", .since = "2.6.0", .group = "bitmap",
     .complexity = "O(N)", .handler = commands::bitcount},
    {.name = "bitpos", .arity = -3, .flags = kReadonly, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kRead | acl::kBitmap | acl::kSlow, .key_flags = "RO access",
     .summary = "Find first bit set or clear in a string", .since = "2.8.7", .group = "bitmap",
     .complexity = "O(N)", .handler = commands::bitpos},
    {.name = "bitop", .arity = -4, .flags = kWrite | kDenyoom | kRunsAlone, .first_key = 2,
     .last_key = -1,
     .key_step = 1, .categories = acl::kWrite | acl::kBitmap | acl::kSlow,
     .key_flags = "OW update|RO access", .summary = "Perform bitwise operations between strings",
     .since = "2.6.0", .group = "bitmap", .complexity = "O(N)", .handler = commands::bitop},
    {.name = "bitfield", .arity = -2, .flags = kWrite | kDenyoom, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kWrite | acl::kBitmap | acl::kSlow,
     .key_flags = "RW access update variable_flags",
     .key_notes = "This command allows both access and modification of the key",
     .summary = "Perform arbitrary bitfield integer operations on strings", .since = "3.2.0",
     .group = "bitmap", .complexity = "O(1) for each subcommand specified",
     .handler = commands::bitfield},
    {.name = "bitfield_ro", .arity = -2, .flags = kReadonly | kFast, .first_key = 1, .last_key = 1,
     .key_step = 1, .categories = acl::kRead | acl::kBitmap | acl::kFast, .key_flags = "RO access",
     .summary =
         "Perform arbitrary bitfield integer operations on strings. Read-only variant of "
         "BITFIELD",
     .since = "6.0.0", .group = "bitmap", .complexity = "O(1) for each subcommand specified",
     .handler = commands::bitfield_ro},
  };
}
// clang-format on

}  // namespace rdmakv::proxy
