#include "proxy/command_log.h"

#include <fmt/format.h>
#include <sys/time.h>

#include <algorithm>

#include "proxy/slow_log.h"

namespace rdmakv::proxy {

bool is_secret_argument(const Command& command, Arguments arguments, size_t index) {
  if (index == 0) return false;
  if (command.name == "auth") return index >= 1;
  if (command.name == "acl|setuser") return index >= 2;
  if (command.name == "config|set") {
    return index >= 3 && index % 2 == 1 &&
           (equals_ignoring_case(arguments[index - 1], "requirepass") ||
            equals_ignoring_case(arguments[index - 1], "tls-key-file-pass"));
  }
  if (command.name == "hello") {
    const auto is_auth = [&](size_t at) {
      return at >= 2 && equals_ignoring_case(arguments[at], "auth");
    };
    return (index >= 1 && is_auth(index - 1)) || (index >= 2 && is_auth(index - 2));
  }
  return false;
}

std::string cut_argument(std::string_view argument) {
  constexpr size_t kMost = SlowLog::kMostBytes;
  if (argument.size() <= kMost) return std::string(argument);
  return fmt::format("{}... ({} more bytes)", argument.substr(0, kMost), argument.size() - kMost);
}

std::vector<std::string> slow_log_arguments(const Command& command, Arguments arguments) {
  std::vector<std::string> kept;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (i + 1 == SlowLog::kMostArguments && arguments.size() > SlowLog::kMostArguments) {
      kept.push_back(fmt::format("... ({} more arguments)", arguments.size() - i));
      break;
    }
    kept.push_back(is_secret_argument(command, arguments, i) ? "(redacted)"
                                                             : cut_argument(arguments[i]));
  }
  return kept;
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    switch (c) {
      case '\\':
        result += "\\\\";
        break;
      case '"':
        result += "\\\"";
        break;
      case '\n':
        result += "\\n";
        break;
      case '\r':
        result += "\\r";
        break;
      case '\t':
        result += "\\t";
        break;
      case '\a':
        result += "\\a";
        break;
      case '\b':
        result += "\\b";
        break;
      default:
        if (c >= ' ' && c <= '~') {
          result += c;
        } else {
          result += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<uint8_t>(c)));
        }
    }
  }
  return result + "\"";
}

std::string monitor_line(std::string_view address, const Command& command, Arguments arguments) {
  timeval now{};
  gettimeofday(&now, nullptr);
  std::string line = address.ends_with(":0")
                         ? fmt::format("+{}.{:06} [0 unix:{}]", now.tv_sec, now.tv_usec,
                                       address.substr(0, address.size() - 2))
                         : fmt::format("+{}.{:06} [0 {}]", now.tv_sec, now.tv_usec, address);
  for (size_t i = 0; i < arguments.size(); ++i) {
    line += ' ';
    line += is_secret_argument(command, arguments, i) ? "\"(redacted)\"" : quoted(arguments[i]);
  }
  return line + "\r\n";
}

}  // namespace rdmakv::proxy
