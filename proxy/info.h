// INFO: what the proxy tells about itself, in Redis's sections and ours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/server_survey.h"
#include "rdmakv/client/client.h"

namespace rdmakv::proxy {

class Worker;

// The version whose behaviour this is, and that clients see.
inline constexpr std::string_view kRedisVersion = "7.0.15";

// Bytes of this process.
struct ProcessMemory {
  uint64_t resident = 0, peak = 0;
};
ProcessMemory process_memory();

// Which sections a call of INFO asks for: by name, "default", "all", "everything"; none: default.
class InfoSections {
 public:
  explicit InfoSections(const std::vector<std::string_view>& names);
  bool has(std::string_view section) const;

 private:
  std::vector<std::string> names_;
  bool default_ = false, all_ = false;
};

// What the worker that answers does not know by itself.
struct InfoFacts {
  std::optional<uint64_t> keys;  // of the whole store, for # Keyspace; nothing: not known
  ClientCounters backend;        // of all workers, for # Backends
  std::vector<ServerSurvey::Share> servers;  // likewise; none: not asked

  // Of all servers that have told.
  uint64_t sum(uint64_t ServerSurvey::Share::*count) const {
    uint64_t total = 0;
    for (const ServerSurvey::Share& share : servers) total += share.*count;
    return total;
  }
};

// Whether the servers have to be asked for these sections.
bool needs_servers(const InfoSections& sections);

// The text, sections in Redis's order, separated by empty lines.
std::string make_info(Worker& worker, const InfoSections& sections, const InfoFacts& facts);

}  // namespace rdmakv::proxy
