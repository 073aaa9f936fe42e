// The handlers of all commands, as the command table names them; see Handler.
#pragma once

#include "proxy/command_table.h"

namespace rdmakv::proxy::commands {

void auth(Request& request, Arguments arguments);
void cas(Request& request, Arguments arguments);
void client_getname(Request& request, Arguments arguments);
void client_help(Request& request, Arguments arguments);
void client_id(Request& request, Arguments arguments);
void client_info(Request& request, Arguments arguments);
void client_kill(Request& request, Arguments arguments);
void client_list(Request& request, Arguments arguments);
void client_maint_notifications(Request& request, Arguments arguments);
void client_no_evict(Request& request, Arguments arguments);
void client_no_touch(Request& request, Arguments arguments);
void client_reply(Request& request, Arguments arguments);
void client_setinfo(Request& request, Arguments arguments);
void client_setname(Request& request, Arguments arguments);
void cluster_disabled(Request& request, Arguments arguments);
void command(Request& request, Arguments arguments);
void command_count(Request& request, Arguments arguments);
void command_docs(Request& request, Arguments arguments);
void command_getkeys(Request& request, Arguments arguments);
void command_getkeysandflags(Request& request, Arguments arguments);
void command_help(Request& request, Arguments arguments);
void command_info(Request& request, Arguments arguments);
void command_list(Request& request, Arguments arguments);
void config_get(Request& request, Arguments arguments);
void config_help(Request& request, Arguments arguments);
void config_resetstat(Request& request, Arguments arguments);
void config_rewrite(Request& request, Arguments arguments);
void config_set(Request& request, Arguments arguments);
void dbsize(Request& request, Arguments arguments);
void del(Request& request, Arguments arguments);
void echo(Request& request, Arguments arguments);
void exists(Request& request, Arguments arguments);
void expire(Request& request, Arguments arguments);
void expireat(Request& request, Arguments arguments);
void expiretime(Request& request, Arguments arguments);
void flush(Request& request, Arguments arguments);
void function_flush(Request& request, Arguments arguments);
void function_help(Request& request, Arguments arguments);
void function_list(Request& request, Arguments arguments);
void get(Request& request, Arguments arguments);
void getdel(Request& request, Arguments arguments);
void getset(Request& request, Arguments arguments);
void getv(Request& request, Arguments arguments);
void hello(Request& request, Arguments arguments);
void info(Request& request, Arguments arguments);
void lolwut(Request& request, Arguments arguments);
void mget(Request& request, Arguments arguments);
void mset(Request& request, Arguments arguments);
void persist(Request& request, Arguments arguments);
void pexpire(Request& request, Arguments arguments);
void pexpireat(Request& request, Arguments arguments);
void pexpiretime(Request& request, Arguments arguments);
void ping(Request& request, Arguments arguments);
void psetex(Request& request, Arguments arguments);
void pttl(Request& request, Arguments arguments);
void quit(Request& request, Arguments arguments);
void reset(Request& request, Arguments arguments);
void select(Request& request, Arguments arguments);
void set(Request& request, Arguments arguments);
void setex(Request& request, Arguments arguments);
void setnx(Request& request, Arguments arguments);
void strlen(Request& request, Arguments arguments);
void time(Request& request, Arguments arguments);
void touch(Request& request, Arguments arguments);
void ttl(Request& request, Arguments arguments);
void type(Request& request, Arguments arguments);

}  // namespace rdmakv::proxy::commands
