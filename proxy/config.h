// CONFIG GET and CONFIG SET: one table of parameters under Redis's names, with ours among them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/proxy.h"

namespace rdmakv::proxy {

// The parameters that match any of `patterns` (a name, or a glob), each once, with their values.
std::vector<std::pair<std::string, std::string>> get_config(
    const Proxy& proxy, const std::vector<std::string_view>& patterns);

// Writes what was changed to the configuration file. What Redis replies when that fails; empty:
// done.
std::string rewrite_config(const Proxy& proxy);

// Sets all of the pairs or none. What Redis replies when one is wrong; empty: done.
std::string set_config(Proxy& proxy,
                       const std::vector<std::pair<std::string_view, std::string_view>>& pairs);

}  // namespace rdmakv::proxy
