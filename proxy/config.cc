#include "proxy/config.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "proxy/command_table.h"
#include "proxy/config_parameters.h"
#include "proxy/glob.h"

namespace rdmakv::proxy {

std::vector<std::pair<std::string, std::string>> get_config(
    const Proxy& proxy, const std::vector<std::string_view>& patterns) {
  std::vector<std::pair<std::string, std::string>> result;
  const auto add = [&](std::string_view name, const Parameter& parameter) {
    for (const auto& [present, value] : result) {
      if (equals_ignoring_case(present, name)) return;
    }
    result.emplace_back(name, value_of(proxy, parameter));
  };
  for (const std::string_view pattern : patterns) {
    if (pattern.find_first_of("[*?") == std::string_view::npos) {
      const Parameter* parameter = find_parameter(pattern);
      if (parameter != nullptr) add(pattern, *parameter);
      continue;
    }
    for (const Parameter& parameter : parameters()) {
      if (glob_matches(pattern, parameter.name, true)) add(parameter.name, parameter);
    }
  }
  return result;
}

std::string set_config(Proxy& proxy,
                       const std::vector<std::pair<std::string_view, std::string_view>>& pairs) {
  const auto failed = [](std::string_view name, std::string_view why) {
    return fmt::format("ERR CONFIG SET failed (possibly related to argument '{}') - {}", name, why);
  };
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Parameter* parameter = find_parameter(pairs[i].first);
    if (parameter == nullptr) {
      return fmt::format("ERR Unknown option or number of arguments for CONFIG SET - '{}'",
                         until_nul(pairs[i].first));
    }
    for (size_t j = 0; j < i; ++j) {
      if (find_parameter(pairs[j].first) == parameter) {
        return failed(pairs[i].first, "duplicate parameter");
      }
    }
  }
  for (const auto& [name, value] : pairs) {
    const std::string problem = set_parameter(proxy, *find_parameter(name), value, false);
    if (!problem.empty()) return failed(name, problem);
  }
  // Whether certificates and keys are any good turns out when they are loaded, so those come first:
  // what fails changes nothing.
  const auto is_tls = [](const auto& pair) {
    return equals_ignoring_case(pair.first.substr(0, 4), "tls-");
  };
  const auto apply_if = [&](bool tls) {
    for (const auto& pair : pairs) {
      if (is_tls(pair) == tls) set_parameter(proxy, *find_parameter(pair.first), pair.second, true);
    }
  };
  apply_if(true);
  if (const Status loaded = proxy.apply_tls(); !loaded) {
    spdlog::warn("TLS: {}", loaded.message());
    const auto tls = std::find_if(pairs.begin(), pairs.end(), is_tls);
    return failed(tls == pairs.end() ? "tls-port" : tls->first,
                  "Unable to update TLS configuration. Check server logs.");
  }
  apply_if(false);
  return {};
}

}  // namespace rdmakv::proxy
