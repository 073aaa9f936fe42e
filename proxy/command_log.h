// Commands as people get to see them: lines of MONITOR, arguments in the slow log.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/command_table.h"

namespace rdmakv::proxy {

// Which arguments hold a secret, which nobody gets to see.
bool is_secret_argument(const Command& command, Arguments arguments, size_t index);

// +1700000000.000000 [0 127.0.0.1:50000] "SET" "k" "v"
std::string monitor_line(std::string_view address, const Command& command, Arguments arguments);

// The arguments as the slow log keeps them: at most 32 of at most 128 bytes, without secrets.
std::vector<std::string> slow_log_arguments(const Command& command, Arguments arguments);
// The first 128 bytes, and how many there are more.
std::string cut_argument(std::string_view argument);

// In quotes, with everything that is not printable escaped, as Redis's sdscatrepr.
std::string quoted(std::string_view text);

}  // namespace rdmakv::proxy
