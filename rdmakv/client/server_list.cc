#include "rdmakv/client/server_list.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace rdmakv {

Result<ServerList> parse_servers(const std::vector<std::string>& servers) {
  ServerList result;
  bool first = true;
  for (const std::string& text : servers) {
    Transport transport = Transport::kAuto;
    const size_t slash = std::min(text.find('/'), text.size());
    const Result<FabricAddress> address = parse_server_address(text.substr(0, slash), &transport);
    if (!address) return address.status();
    double weight = 1;
    if (slash < text.size()) {
      const char* const end = text.data() + text.size();
      const auto parsed = std::from_chars(text.data() + slash + 1, end, weight);
      if (parsed.ec != std::errc() || parsed.ptr != end || !(weight > 0)) {
        return {Code::kInvalidArgument, "'" + text + "': the weight is not a positive number"};
      }
    }
    result.weights.push_back(weight);
    if (!first && transport != result.transport) {
      return {Code::kInvalidArgument,
              "'" + servers.front() + "' and '" + text +
                  "' are reached in different ways; all servers must be of one transport"};
    }
    result.transport = transport;
    result.addresses.push_back(address.value());
    first = false;
  }
  return result;
}

Result<std::vector<std::string>> parse_servers_file(std::string_view text) {
  std::vector<std::string> servers;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::istringstream words{std::string(text.substr(0, std::min(end, text.find('#'))))};
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string address, weight, more;
    words >> address >> weight >> more;
    if (!more.empty()) {
      return {Code::kInvalidArgument,
              "line " + std::to_string(number) + " is not ADDRESS or ADDRESS WEIGHT"};
    }
    if (!weight.empty()) address += "/" + weight;
    if (!address.empty()) servers.push_back(std::move(address));
  }
  return servers;
}

Result<std::vector<std::string>> read_servers_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return {Code::kInvalidArgument, "it cannot be read"};
  return parse_servers_file(text.view());
}

}  // namespace rdmakv
