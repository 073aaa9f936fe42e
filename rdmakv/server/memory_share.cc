#include "rdmakv/server/memory_share.h"

#include <charconv>
#include <cmath>
#include <string>

namespace rdmakv::server {

Result<uint64_t> parse_memory_share(std::string_view text, uint64_t whole) {
  const auto wrong = [&](const char* why) {
    return Status(Code::kInvalidArgument, "'" + std::string(text) + "' " + why);
  };
  std::string_view number = text;
  const bool percent = number.ends_with('%');
  if (percent) number.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value,
                                            std::chars_format::fixed);
  if (error != std::errc() || end != number.data() + number.size() || !std::isfinite(value)) {
    return wrong("is neither a percentage, like 5%, nor a number of MB");
  }
  if (value <= 0) return wrong("is not more than 0");
  const double bytes = percent ? value / 100 * static_cast<double>(whole) : value * (1 << 20);
  if (bytes >= static_cast<double>(whole)) return wrong("is all of the memory, or more");
  return static_cast<uint64_t>(bytes);
}

}  // namespace rdmakv::server
