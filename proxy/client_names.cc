#include "proxy/client_names.h"

#include <algorithm>

namespace rdmakv::proxy {

bool is_client_name(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; });
}

std::string_view set_client_name(Connection::Session& session, std::string_view name) {
  if (!is_client_name(name)) {
    return "ERR Client names cannot contain spaces, newlines or special characters.";
  }
  session.name = name;
  return {};
}

}  // namespace rdmakv::proxy
