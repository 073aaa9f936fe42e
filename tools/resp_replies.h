// Counts the replies in a stream of RESP2 as it arrives, in pieces of any size, without keeping
// them: status, error, integer and bulk string; arrays are not expected and break the stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rdmakv {

class RespReplies {
 public:
  // How many replies end in these bytes. Once broken() nothing is counted any more.
  size_t take(std::string_view bytes);

  uint64_t errors() const { return errors_; }
  const std::string& first_error() const { return first_error_; }  // its text, or the bad line
  bool broken() const { return broken_; }

 private:
  static constexpr size_t kMostLine = 1024;
  bool end_line();
  void fail();

  std::string line_;      // what has come of a reply's first line, without CR LF
  uint64_t to_skip_ = 0;  // of a bulk string and its CR LF
  uint64_t errors_ = 0;
  std::string first_error_;
  bool broken_ = false;
};

}  // namespace rdmakv
