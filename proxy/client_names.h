// Names that clients give themselves: CLIENT SETNAME, CLIENT SETINFO, HELLO SETNAME.
#pragma once

#include <string_view>

#include "proxy/connection.h"

namespace rdmakv::proxy {

// Printable and without spaces.
bool is_client_name(std::string_view name);
// Sets it; an empty one takes the name away. What Redis replies when it is not a name, or nothing.
std::string_view set_client_name(Connection::Session& session, std::string_view name);

}  // namespace rdmakv::proxy
