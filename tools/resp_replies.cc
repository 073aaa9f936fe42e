#include "tools/resp_replies.h"

#include <algorithm>
#include <charconv>

namespace rdmakv {

size_t RespReplies::take(std::string_view bytes) {
  size_t replies = 0;
  while (!bytes.empty() && !broken_) {
    if (to_skip_ > 0) {
      const size_t skipped = std::min<uint64_t>(to_skip_, bytes.size());
      bytes.remove_prefix(skipped);
      to_skip_ -= skipped;
      if (to_skip_ == 0) ++replies;
      continue;
    }
    const size_t end = bytes.find('\n');
    line_.append(bytes.substr(0, end));
    if (line_.size() > kMostLine) fail();
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
    if (end_line()) ++replies;
  }
  return replies;
}

// Whether the reply is whole with this line.
bool RespReplies::end_line() {
  if (line_.size() < 2 || line_.back() != '\r') {
    fail();
    return false;
  }
  line_.pop_back();
  int64_t length = 0;
  switch (line_[0]) {
    case '-':
      if (errors_++ == 0) first_error_ = line_.substr(1);
      break;
    case '$': {
      const char* const last = line_.data() + line_.size();
      const auto [at, problem] = std::from_chars(line_.data() + 1, last, length);
      if (problem != std::errc() || at != last || length < -1 || length > INT32_MAX) {
        fail();
        return false;
      }
      to_skip_ = length < 0 ? 0 : static_cast<uint64_t>(length) + 2;
      break;
    }
    case '+':
    case ':':
      break;
    default:
      fail();
      return false;
  }
  line_.clear();
  return to_skip_ == 0;
}

void RespReplies::fail() {
  broken_ = true;
  first_error_ = line_;
}

}  // namespace rdmakv
