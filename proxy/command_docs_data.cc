// What COMMAND DOCS tells beside the rows of the command table, as Redis 7.0.15 has it.
#include "proxy/command_docs.h"

namespace rdmakv::proxy {
namespace {

// A command is a paragraph.
// clang-format off
constexpr CommandDocs kDocs[] = {
    {.name = "cas",
     .arguments = "key:key#0 version:integer value:string "
         "expiration:oneof?{seconds:integer='EX' milliseconds:integer='PX' "
         "unix-time-seconds:unix-time='EXAT' unix-time-milliseconds:unix-time='PXAT' "
         "keepttl:pure-token='KEEPTTL'}"},
    {.name = "delex",
     .arguments = "key:key#0 condition:oneof?{ifeq-value:string='IFEQ' ifne-value:string='IFNE' "
         "ifdeq-digest:string='IFDEQ' ifdne-digest:string='IFDNE'}"},
    {.name = "digest",
     .arguments = "key:key#0"},
    {.name = "msetex",
     .arguments = "numkeys:integer data:block*{key:key#0 value:string} "
         "condition:oneof?{nx:pure-token='NX' xx:pure-token='XX'} "
         "expiration:oneof?{seconds:integer='EX' milliseconds:integer='PX' "
         "unix-time-seconds:unix-time='EXAT' unix-time-milliseconds:unix-time='PXAT' "
         "keepttl:pure-token='KEEPTTL'}"},
    {.name = "exappend",
     .arguments = "key:key#0 value:string condition:oneof?{nx:pure-token='NX' xx:pure-token='XX'} "
         "version:oneof?{version:integer='VER' version:integer='ABS'}"},
    {.name = "excad",
     .arguments = "key:key#0 version:integer"},
    {.name = "excas",
     .arguments = "key:key#0 value:string version:integer "
         "expiration:oneof?{seconds:integer='EX' milliseconds:integer='PX' "
         "unix-time-seconds:unix-time='EXAT' unix-time-milliseconds:unix-time='PXAT' "
         "keepttl:pure-token='KEEPTTL'}"},
    {.name = "exget",
     .arguments = "key:key#0 withflags:pure-token='WITHFLAGS'?"},
    {.name = "exincrby",
     .arguments = "key:key#0 increment:integer default:integer='DEF'? "
         "expiration:oneof?{seconds:integer='EX' milliseconds:integer='PX' "
         "unix-time-seconds:unix-time='EXAT' unix-time-milliseconds:unix-time='PXAT' "
         "keepttl:pure-token='KEEPTTL'} condition:oneof?{nx:pure-token='NX' xx:pure-token='XX'} "
         "version:oneof?{version:integer='VER' version:integer='ABS'} min:integer='MIN'? "
         "max:integer='MAX'? nonegative:pure-token='NONEGATIVE'? "
         "withversion:pure-token='WITHVERSION'?"},
    {.name = "exset",
     .arguments = "key:key#0 value:string "
         "expiration:oneof?{seconds:integer='EX' milliseconds:integer='PX' "
         "unix-time-seconds:unix-time='EXAT' unix-time-milliseconds:unix-time='PXAT' "
         "keepttl:pure-token='KEEPTTL'} condition:oneof?{nx:pure-token='NX' xx:pure-token='XX'} "
         "version:oneof?{version:integer='VER' version:integer='ABS'} flags:integer='FLAGS'? "
         "withversion:pure-token='WITHVERSION'?"},
    {.name = "exsetver",
     .arguments = "key:key#0 version:integer"},
    {.name = "getv",
     .arguments = "key:key#0"},
    {.name = "client|maint_notifications",
     .arguments = "enabled:oneof{on:pure-token='ON' off:pure-token='OFF'}"},
    {.name = "client|no-touch",
     .arguments = "enabled:oneof{on:pure-token='ON' off:pure-token='OFF'}"},
    {.name = "client|setinfo",
     .arguments = "attr:oneof{libname:string='LIB-NAME' libver:string='LIB-VER'}"},
    {.name = "append",
     .arguments = "key:key#0 value:string"},
    {.name = "decr",
     .arguments = "key:key#0"},
    {.name = "decrby",
     .arguments = "key:key#0 decrement:integer"},
    {.name = "get",
     .arguments = "key:key#0"},
    {.name = "getdel",
     .arguments = "key:key#0"},
    {.name = "getex",
     .arguments = "key:key#0 expiration:oneof?{seconds:integer='EX' milliseconds:integer='PX' "
         "unix-time-seconds:unix-time='EXAT' unix-time-milliseconds:unix-time='PXAT' "
         "persist:pure-token='PERSIST'}"},
    {.name = "getrange",
     .arguments = "key:key#0 start:integer end:integer"},
    {.name = "getset",
     .arguments = "key:key#0 value:string",
     .deprecated_since = "6.2.0",
     .replaced_by = "`SET` with the `!GET` argument"},
    {.name = "incr",
     .arguments = "key:key#0"},
    {.name = "incrby",
     .arguments = "key:key#0 increment:integer"},
    {.name = "incrbyfloat",
     .arguments = "key:key#0 increment:double"},
    {.name = "lcs",
     .arguments = "key1:key#0 key2:key#0 len:pure-token='LEN'? idx:pure-token='IDX'? "
         "len:integer='MINMATCHLEN'? withmatchlen:pure-token='WITHMATCHLEN'?"},
    {.name = "mget",
     .arguments = "key:key#0*"},
    {.name = "mset",
     .arguments = "key_value:block*{key:key#0 value:string}"},
    {.name = "msetnx",
     .arguments = "key_value:block*{key:key#0 value:string}"},
    {.name = "psetex",
     .arguments = "key:key#0 milliseconds:integer value:string"},
    {.name = "set",
     .arguments = "key:key#0 value:string condition:oneof?@2.6.12{nx:pure-token='NX' "
         "xx:pure-token='XX'} get:pure-token='GET'?@6.2.0 "
         "expiration:oneof?{seconds:integer='EX'@2.6.12 milliseconds:integer='PX'@2.6.12 "
         "unix-time-seconds:unix-time='EXAT'@6.2.0 "
         "unix-time-milliseconds:unix-time='PXAT'@6.2.0 keepttl:pure-token='KEEPTTL'@6.0.0}",
     .history = "2.6.12 Added the `EX`, `PX`, `NX` and `XX` options.|6.0.0 Added the `KEEPTTL` "
         "option.|6.2.0 Added the `GET`, `EXAT` and `PXAT` option.|7.0.0 Allowed the `NX` and "
         "`GET` options to be used together."},
    {.name = "setex",
     .arguments = "key:key#0 seconds:integer value:string"},
    {.name = "setnx",
     .arguments = "key:key#0 value:string"},
    {.name = "setrange",
     .arguments = "key:key#0 offset:integer value:string"},
    {.name = "strlen",
     .arguments = "key:key#0"},
    {.name = "substr",
     .arguments = "key:key#0 start:integer end:integer",
     .deprecated_since = "2.0.0",
     .replaced_by = "`GETRANGE`"},
    {.name = "bitcount",
     .arguments = "key:key#0 index:block?{start:integer end:integer "
         "index_unit:oneof?@7.0.0{byte:pure-token='BYTE' bit:pure-token='BIT'}}",
     .history = "7.0.0 Added the `BYTE|BIT` option."},
    {.name = "bitfield",
     .arguments = "key:key#0 operation:oneof?*{encoding_offset:block='GET'{encoding:string "
         "offset:integer} write:block{wrap_sat_fail:oneof='OVERFLOW'?{wrap:pure-token='WRAP' "
         "sat:pure-token='SAT' fail:pure-token='FAIL'} "
         "write_operation:oneof{encoding_offset_value:block='SET'{encoding:string "
         "offset:integer value:integer} "
         "encoding_offset_increment:block='INCRBY'{encoding:string offset:integer "
         "increment:integer}}}}"},
    {.name = "bitfield_ro",
     .arguments = "key:key#0 encoding_offset:block='GET'?*+{encoding:string offset:integer}"},
    {.name = "bitop",
     .arguments = "operation:string destkey:key#0 key:key#1*"},
    {.name = "bitpos",
     .arguments = "key:key#0 bit:integer index:block?{start:integer "
         "end_index:block?{end:integer index_unit:oneof?@7.0.0{byte:pure-token='BYTE' "
         "bit:pure-token='BIT'}}}",
     .history = "7.0.0 Added the `BYTE|BIT` option."},
    {.name = "getbit",
     .arguments = "key:key#0 offset:integer"},
    {.name = "setbit",
     .arguments = "key:key#0 offset:integer value:integer"},
    {.name = "copy",
     .arguments = "source:key#0 destination:key#1 destination-db:integer='DB'? "
         "replace:pure-token='REPLACE'?"},
    {.name = "del",
     .arguments = "key:key#0*"},
    {.name = "dump",
     .arguments = "key:key#0"},
    {.name = "exists",
     .arguments = "key:key#0*",
     .history = "3.0.3 Accepts multiple `key` arguments."},
    {.name = "expire",
     .arguments = "key:key#0 seconds:integer condition:oneof?@7.0.0{nx:pure-token='NX' "
         "xx:pure-token='XX' gt:pure-token='GT' lt:pure-token='LT'}",
     .history = "7.0.0 Added options: `NX`, `XX`, `GT` and `LT`."},
    {.name = "expireat",
     .arguments = "key:key#0 unix-time-seconds:unix-time "
         "condition:oneof?@7.0.0{nx:pure-token='NX' xx:pure-token='XX' gt:pure-token='GT' "
         "lt:pure-token='LT'}",
     .history = "7.0.0 Added options: `NX`, `XX`, `GT` and `LT`."},
    {.name = "expiretime",
     .arguments = "key:key#0"},
    {.name = "keys",
     .arguments = "pattern:pattern"},
    {.name = "object|encoding",
     .arguments = "key:key#0"},
    {.name = "object|freq",
     .arguments = "key:key#0"},
    {.name = "object|idletime",
     .arguments = "key:key#0"},
    {.name = "object|refcount",
     .arguments = "key:key#0"},
    {.name = "persist",
     .arguments = "key:key#0"},
    {.name = "pexpire",
     .arguments = "key:key#0 milliseconds:integer condition:oneof?@7.0.0{nx:pure-token='NX' "
         "xx:pure-token='XX' gt:pure-token='GT' lt:pure-token='LT'}",
     .history = "7.0.0 Added options: `NX`, `XX`, `GT` and `LT`."},
    {.name = "pexpireat",
     .arguments = "key:key#0 unix-time-milliseconds:unix-time "
         "condition:oneof?@7.0.0{nx:pure-token='NX' xx:pure-token='XX' gt:pure-token='GT' "
         "lt:pure-token='LT'}",
     .history = "7.0.0 Added options: `NX`, `XX`, `GT` and `LT`."},
    {.name = "pexpiretime",
     .arguments = "key:key#0"},
    {.name = "pttl",
     .arguments = "key:key#0",
     .history = "2.8.0 Added the -2 reply."},
    {.name = "rename",
     .arguments = "key:key#0 newkey:key#1"},
    {.name = "renamenx",
     .arguments = "key:key#0 newkey:key#1",
     .history = "3.2.0 The command no longer returns an error when source and destination names "
         "are the same."},
    {.name = "restore",
     .arguments = "key:key#0 ttl:integer serialized-value:string "
         "replace:pure-token='REPLACE'?@3.0.0 absttl:pure-token='ABSTTL'?@5.0.0 "
         "seconds:integer='IDLETIME'?@5.0.0 frequency:integer='FREQ'?@5.0.0",
     .history = "3.0.0 Added the `REPLACE` modifier.|5.0.0 Added the `ABSTTL` modifier.|5.0.0 "
         "Added the `IDLETIME` and `FREQ` options."},
    {.name = "scan",
     .arguments = "cursor:integer pattern:pattern='MATCH'? count:integer='COUNT'? "
         "type:string='TYPE'?@6.0.0",
     .history = "6.0.0 Added the `TYPE` subcommand."},
    {.name = "touch",
     .arguments = "key:key#0*"},
    {.name = "ttl",
     .arguments = "key:key#0",
     .history = "2.8.0 Added the -2 reply."},
    {.name = "type",
     .arguments = "key:key#0"},
    {.name = "unlink",
     .arguments = "key:key#0*"},
    {.name = "wait",
     .arguments = "numreplicas:integer timeout:integer"},
    {.name = "watch",
     .arguments = "key:key#0*"},
    {.name = "auth",
     .arguments = "username:string?@6.0.0 password:string",
     .history = "6.0.0 Added ACL style (username and password)."},
    {.name = "client|caching",
     .arguments = "mode:oneof{yes:pure-token='YES' no:pure-token='NO'}"},
    {.name = "client|kill",
     .arguments = "filter:oneof{ip:port:string!2.8.12 "
         "new-format:oneof*{client-id:integer='ID'?@2.8.12 "
         "normal_master_slave_pubsub:oneof='TYPE'?@2.8.12{normal:pure-token='NORMAL' "
         "master:pure-token='MASTER'@3.2.0 slave:pure-token='SLAVE' "
         "replica:pure-token='REPLICA'@5.0.0 pubsub:pure-token='PUBSUB'} "
         "username:string='USER'? ip:port:string='ADDR'? ip:port:string='LADDR'?@6.2.0 "
         "yes/no:string='SKIPME'?}}",
     .history = "2.8.12 Added new filter format.|2.8.12 `ID` option.|3.2.0 Added `master` type "
         "in for `TYPE` option.|5.0.0 Replaced `slave` `TYPE` with `replica`. `slave` still "
         "supported for backward compatibility.|6.2.0 `LADDR` option."},
    {.name = "client|list",
     .arguments = "normal_master_replica_pubsub:oneof='TYPE'?@5.0.0{normal:pure-token='NORMAL' "
         "master:pure-token='MASTER' replica:pure-token='REPLICA' pubsub:pure-token='PUBSUB'} "
         "id:block='ID'?@6.2.0{client-id:integer*}",
     .history = "2.8.12 Added unique client `id` field.|5.0.0 Added optional `TYPE` "
         "filter.|6.0.0 Added `user` field.|6.2.0 Added `argv-mem`, `tot-mem`, `laddr` and "
         "`redir` fields and the optional `ID` filter.|7.0.0 Added `resp`, `multi-mem`, `rbs` "
         "and `rbp` fields.|7.0.3 Added `ssub` field."},
    {.name = "client|no-evict",
     .arguments = "enabled:oneof{on:pure-token='ON' off:pure-token='OFF'}"},
    {.name = "client|pause",
     .arguments = "timeout:integer mode:oneof?@6.2.0{write:pure-token='WRITE' "
         "all:pure-token='ALL'}",
     .history = "6.2.0 `CLIENT PAUSE WRITE` mode added along with the `mode` option."},
    {.name = "client|reply",
     .arguments = "on_off_skip:oneof{on:pure-token='ON' off:pure-token='OFF' "
         "skip:pure-token='SKIP'}"},
    {.name = "client|setname",
     .arguments = "connection-name:string"},
    {.name = "client|tracking",
     .arguments = "status:oneof{on:pure-token='ON' off:pure-token='OFF'} "
         "client-id:integer='REDIRECT'? prefix:string='PREFIX'?*+ bcast:pure-token='BCAST'? "
         "optin:pure-token='OPTIN'? optout:pure-token='OPTOUT'? noloop:pure-token='NOLOOP'?"},
    {.name = "client|unblock",
     .arguments = "client-id:integer timeout_error:oneof?{timeout:pure-token='TIMEOUT' "
         "error:pure-token='ERROR'}"},
    {.name = "echo",
     .arguments = "message:string"},
    {.name = "hello",
     .arguments = "arguments:block?{protover:integer "
         "username_password:block='AUTH'?{username:string password:string} "
         "clientname:string='SETNAME'?}",
     .history = "6.2.0 `protover` made optional; when called without arguments the command "
         "reports the current connection's context."},
    {.name = "ping",
     .arguments = "message:string?"},
    {.name = "select",
     .arguments = "index:integer"},
    {.name = "acl|cat",
     .arguments = "categoryname:string?"},
    {.name = "acl|deluser",
     .arguments = "username:string*"},
    {.name = "acl|dryrun",
     .arguments = "username:string command:string arg:string?*"},
    {.name = "acl|genpass",
     .arguments = "bits:integer?"},
    {.name = "acl|getuser",
     .arguments = "username:string",
     .history = "6.2.0 Added Pub/Sub channel patterns.|7.0.0 Added selectors and changed the "
         "format of key and channel patterns from a list to their rule representation."},
    {.name = "acl|log",
     .arguments = "operation:oneof?{count:integer reset:pure-token='RESET'}"},
    {.name = "acl|setuser",
     .arguments = "username:string rule:string?*",
     .history = "6.2.0 Added Pub/Sub channel patterns.|7.0.0 Added selectors and key based "
         "permissions."},
    {.name = "command|docs",
     .arguments = "command-name:string?*"},
    {.name = "command|info",
     .arguments = "command-name:string?*",
     .history = "7.0.0 Allowed to be called with no argument to get info on all commands."},
    {.name = "command|list",
     .arguments = "filterby:oneof='FILTERBY'?{module-name:string='MODULE' "
         "category:string='ACLCAT' pattern:pattern='PATTERN'}"},
    {.name = "config|get",
     .arguments = "parameter:block*{parameter:string}",
     .history = "7.0.0 Added the ability to pass multiple pattern parameters in one call"},
    {.name = "config|set",
     .arguments = "parameter_value:block*{parameter:string value:string}",
     .history = "7.0.0 Added the ability to set multiple parameters in one call."},
    {.name = "flushall",
     .arguments = "async:oneof?{async:pure-token='ASYNC'@4.0.0 sync:pure-token='SYNC'@6.2.0}",
     .history = "4.0.0 Added the `ASYNC` flushing mode modifier.|6.2.0 Added the `SYNC` "
         "flushing mode modifier."},
    {.name = "flushdb",
     .arguments = "async:oneof?{async:pure-token='ASYNC'@4.0.0 sync:pure-token='SYNC'@6.2.0}",
     .history = "4.0.0 Added the `ASYNC` flushing mode modifier.|6.2.0 Added the `SYNC` "
         "flushing mode modifier."},
    {.name = "function|flush",
     .arguments = "async:oneof?{async:pure-token='ASYNC' sync:pure-token='SYNC'}"},
    {.name = "function|list",
     .arguments = "library-name-pattern:string='LIBRARYNAME'? withcode:pure-token='WITHCODE'?"},
    {.name = "info",
     .arguments = "section:string?*",
     .history = "7.0.0 Added support for taking multiple section arguments."},
    {.name = "latency|graph",
     .arguments = "event:string"},
    {.name = "latency|histogram",
     .arguments = "command:string?*"},
    {.name = "latency|history",
     .arguments = "event:string"},
    {.name = "latency|reset",
     .arguments = "event:string?*"},
    {.name = "lolwut",
     .arguments = "version:integer='VERSION'?"},
    {.name = "memory|usage",
     .arguments = "key:key#0 count:integer='SAMPLES'?"},
    {.name = "bgsave",
     .arguments = "schedule:pure-token='SCHEDULE'?@3.2.2",
     .history = "3.2.2 Added the `SCHEDULE` option."},
    {.name = "shutdown",
     .arguments = "nosave_save:oneof?{nosave:pure-token='NOSAVE' save:pure-token='SAVE'} "
         "now:pure-token='NOW'?@7.0.0 force:pure-token='FORCE'?@7.0.0 "
         "abort:pure-token='ABORT'?@7.0.0",
     .history = "7.0.0 Added the `NOW`, `FORCE` and `ABORT` modifiers."},
    {.name = "slowlog|get",
     .arguments = "count:integer?",
     .history = "4.0.0 Added client IP address, port and name to the reply."},
    {.name = "cluster|countkeysinslot",
     .arguments = "slot:integer"},
    {.name = "cluster|getkeysinslot",
     .arguments = "slot:integer count:integer"},
    {.name = "cluster|keyslot",
     .arguments = "key:string"},
};
// clang-format on

}  // namespace

const CommandDocs* find_docs(std::string_view name) {
  for (const CommandDocs& docs : kDocs) {
    if (docs.name == name) return &docs;
  }
  return nullptr;
}

}  // namespace rdmakv::proxy
