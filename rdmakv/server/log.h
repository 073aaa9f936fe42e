// Where the server's words go: the owner's sink. The server library itself prints nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rdmakv::server {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

// Called from any of the server's threads, also at once.
using LogSink = std::function<void(LogLevel, std::string_view)>;

// Lets at most kBurst messages pass per second, so that hostile peers cannot fill a disk, and says
// how many it kept back. One thread.
class LimitedLog {
 public:
  static constexpr uint32_t kBurst = 20;

  LimitedLog(LogSink sink, std::string prefix)
      : sink_(std::move(sink)), prefix_(std::move(prefix)) {}

  void write(LogLevel level, std::string_view text, uint64_t now_ns) {
    if (!sink_) return;
    if (now_ns - second_began_ns_ >= 1'000'000'000) {
      if (kept_back_ > 0) {
        sink_(LogLevel::kWarning, prefix_ + std::to_string(kept_back_) + " messages kept back");
      }
      second_began_ns_ = now_ns;
      written_ = 0;
      kept_back_ = 0;
    }
    if (written_ == kBurst) {
      ++kept_back_;
      return;
    }
    ++written_;
    sink_(level, prefix_ + std::string(text));
  }

 private:
  LogSink sink_;
  std::string prefix_;
  uint64_t second_began_ns_ = 0;
  uint32_t written_ = 0;
  uint64_t kept_back_ = 0;
};

}  // namespace rdmakv::server
