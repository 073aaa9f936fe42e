// INFO: what the proxy tells about itself, in Redis's sections and ours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rdmakv::proxy {

class Worker;

// The version whose behaviour this is, and that clients see.
inline constexpr std::string_view kRedisVersion = "7.0.15";

// Which sections a call of INFO asks for: by name, "default", "all", "everything"; none: default.
class InfoSections {
 public:
  explicit InfoSections(const std::vector<std::string_view>& names);
  bool has(std::string_view section) const;

 private:
  std::vector<std::string> names_;
  bool default_ = false, all_ = false;
};

// The text, sections in Redis's order, separated by empty lines. `keys`: of the whole store, for
// # Keyspace; nothing: not known.
std::string make_info(Worker& worker, const InfoSections& sections, std::optional<uint64_t> keys);

}  // namespace rdmakv::proxy
