// Commands of Redis that are refused with a reason instead of as unknown ones: whoever sends them
// has to learn that this proxy will never do it.
#pragma once

#include <span>
#include <string_view>

namespace rdmakv::proxy {

struct RefusedCommand {
  std::string_view name;  // lower case
  std::string_view why;
};

std::span<const RefusedCommand> refused_commands();
// In any case; null: it is not one of them.
const RefusedCommand* find_refused(std::string_view name);

}  // namespace rdmakv::proxy
