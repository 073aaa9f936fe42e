#include "rdmakv/transport/system_memory.h"

#include <fstream>
#include <string_view>

namespace rdmakv {
namespace {

// A line of /proc/meminfo, in bytes; 0: there is no such line.
size_t memory_info(std::string_view line) {
  std::ifstream info("/proc/meminfo");
  std::string key, rest;
  size_t kilobytes = 0;
  while (info >> key >> kilobytes) {
    if (key == line) return kilobytes * 1024;
    std::getline(info, rest);
  }
  return 0;
}

}  // namespace

size_t huge_page_bytes() {
  return memory_info("Hugepagesize:");
}

Status check_available_memory(const std::string& name, size_t bytes) {
  const size_t available = memory_info("MemAvailable:");
  if (available == 0 || bytes <= available) return Status::ok();
  return {Code::kNoSpace, name + ": " + std::to_string(bytes >> 20) + " MB asked for, but only " +
                              std::to_string(available >> 20) + " MB of memory are available"};
}

}  // namespace rdmakv
