// The replies of HELP subcommands.
#pragma once

#include <initializer_list>
#include <string_view>

#include "proxy/request.h"

namespace rdmakv::proxy {

// Redis's frame around `lines`; finishes the request.
void finish_help(Request& request, std::string_view command,
                 std::initializer_list<std::string_view> lines);

}  // namespace rdmakv::proxy
