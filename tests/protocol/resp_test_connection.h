#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/resp_parser.h"

namespace resp {

/// What to do with a large argument.
enum class LargeMode { kCopyOut, kCutOut, kKeepInInput };

/// The connection's side of a RequestParser, for tests: keeps the unconsumed bytes, which lie at
/// another place and in memory of just their size at each parse(), and writes down what the parser
/// says in a form that does not depend on how the stream was cut. Breaking the parser's contract
/// ends the process.
class TestConnection {
 public:
  explicit TestConnection(const Limits& limits = {}, LargeMode mode = LargeMode::kCopyOut)
      : parser_(limits), mode_(mode) {}

  /// The bytes of one read from the socket.
  void receive(std::string_view bytes) {
    if (large_left_ > 0) {
      const size_t taken = std::min<size_t>(large_left_, bytes.size());
      large_payloads_.back().append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      large_left_ -= taken;
      if (large_left_ > 0) return;
      parser_.large_argument_taken(large_in_input_);
    }
    unconsumed_ += bytes;
    while (!failed_ && parse_once()) continue;
  }

  /// `[3:GET][3:key]` for a command, the text for an error.
  const std::vector<std::string>& events() const { return events_; }
  RequestParser& parser() { return parser_; }
  size_t unconsumed() const { return unconsumed_.size(); }

 private:
  static void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "RequestParser broke its contract: %s\n", what);
    std::abort();
  }

  // False when the parser needs more bytes or has failed.
  bool parse_once() {
    move_input();
    const std::string_view input(input_.get(), unconsumed_.size());
    const ParseResult result = parser_.parse(input);
    require(parser_.consumed() <= input.size(), "consumed within the input");
    check_arguments(input);
    switch (result) {
      case ParseResult::kCommand:
        require(parser_.consumed() > 0, "a command consumes");
        require(!parser_.in_command(), "complete is not in a command");
        record_command();
        break;
      case ParseResult::kNeedMore:
        require(parser_.in_command() || parser_.consumed() == input.size(), "idle consumes all");
        break;
      case ParseResult::kLargeArgument:
        return begin_large(input);
      case ParseResult::kError:
        events_.emplace_back(parser_.error());
        failed_ = true;
        require(parser_.parse(input) == ParseResult::kError, "errors are final");
        return false;
    }
    unconsumed_.erase(0, parser_.consumed());
    return result == ParseResult::kCommand;
  }

  void move_input() {
    auto moved = std::make_unique<char[]>(unconsumed_.size());
    unconsumed_.copy(moved.get(), unconsumed_.size());
    input_ = std::move(moved);
  }

  // Reads each byte, so that a sanitizer sees views that lead out of the input.
  void check_arguments(std::string_view input) {
    unsigned sum = 0;
    for (const std::string_view argument : parser_.arguments()) {
      require(argument.size() <= input.size(), "an argument is no longer than the input");
      for (const char c : argument) sum += static_cast<unsigned char>(c);
    }
    checksum_ += sum;
  }

  bool begin_large(std::string_view input) {
    require(parser_.parse(input) == ParseResult::kLargeArgument, "said again until answered");
    require(!parser_.large_arguments().empty(), "a large argument is listed");
    const auto [index, length] = parser_.large_arguments().back();
    require(index + 1 == parser_.arguments().size(), "arguments up to the large one");
    require(parser_.arguments()[index].empty(), "a large argument is an empty view");
    require(parser_.is_large(index) && parser_.large_length(index) == length, "its length");
    const size_t begin = parser_.large_begin();
    require(begin <= input.size(), "it begins within the input");
    if (mode_ == LargeMode::kKeepInInput) {
      parser_.keep_large_argument_in_input();
      return true;
    }
    const std::string_view here = input.substr(begin, length);
    large_payloads_.emplace_back(here);
    large_left_ = length - here.size();
    large_in_input_ = mode_ == LargeMode::kCutOut ? 0 : here.size();
    if (mode_ == LargeMode::kCutOut) unconsumed_.erase(begin, here.size());
    if (large_left_ > 0) return false;
    parser_.large_argument_taken(large_in_input_);
    return true;
  }

  void record_command() {
    require(!parser_.arguments().empty(), "a command has a name");
    require(parser_.large_arguments().size() == large_payloads_.size(), "all large ones listed");
    std::string event;
    size_t large = 0;
    for (size_t i = 0; i < parser_.arguments().size(); ++i) {
      std::string_view argument = parser_.arguments()[i];
      if (parser_.is_large(i)) {
        require(argument.empty(), "a large argument is an empty view");
        argument = large_payloads_[large++];
        require(parser_.large_length(i) == argument.size(), "its length");
      }
      event.append("[").append(std::to_string(argument.size())).append(":");
      event.append(argument).append("]");
    }
    require(large == large_payloads_.size(), "every large argument in its place");
    large_payloads_.clear();
    events_.push_back(std::move(event));
  }

  RequestParser parser_;
  LargeMode mode_;
  std::string unconsumed_;
  std::unique_ptr<char[]> input_;  // where the parser last saw it
  std::vector<std::string> large_payloads_;
  size_t large_left_ = 0;
  size_t large_in_input_ = 0;
  unsigned checksum_ = 0;
  bool failed_ = false;
  std::vector<std::string> events_;
};

}  // namespace resp
