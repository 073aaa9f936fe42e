// The replies of HELP subcommands.
#pragma once

#include <initializer_list>
#include <string_view>

#include "proxy/request.h"

namespace rdmakv::proxy {

// Redis's frame around `lines`; finishes the request.
void finish_help(Request& request, std::string_view command,
                 std::initializer_list<std::string_view> lines);

// A subcommand that exists was called with a number of arguments that it does not take, and the
// command table could not know: the reply that Redis has for it.
void finish_wrong_usage(Request& request, std::string_view command, std::string_view subcommand);

}  // namespace rdmakv::proxy
