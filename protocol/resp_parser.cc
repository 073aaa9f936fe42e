#include "protocol/resp_parser.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>

namespace resp {
namespace {

// Redis's PROTO_INLINE_MAX_SIZE: the longest line, of any kind, without its terminator.
constexpr size_t kLongestLine = size_t{64} * 1024;
constexpr int64_t kUnauthenticatedArguments = 10;
constexpr int64_t kUnauthenticatedBulk = 16384;
// Storage a parser keeps from one command to the next; a command that needed more gives it back.
constexpr size_t kKeptArguments = 1024;
constexpr size_t kKeptLargeArguments = 64;
constexpr size_t kKeptText = 1024;

// The shortest whole bulk, `$0\r\n\r\n`, and so the least that can follow a count line too.
constexpr ptrdiff_t kShortestBulk = 6;

inline unsigned digit_at(const char* at) {
  return static_cast<unsigned char>(*at) - unsigned{'0'};
}

// The hot path's number line, `<prefix><digits>\r<any byte>`. Returns what follows the line; null,
// and the careful path sorts it out, when it is cut off, is near the end of the input, has a number
// that parse_integer would refuse, or has so many digits that it matters little how fast it is
// read.
inline const char* plain_number_line(const char* at, const char* end, char prefix,
                                     uint64_t& number) {
  if (end - at < kShortestBulk || *at != prefix) [[unlikely]]
    return nullptr;
  const unsigned first = digit_at(at + 1);
  if (first > 9) [[unlikely]]
    return nullptr;
  if (at[2] == '\r') {
    number = first;
    return at + 4;
  }
  const unsigned second = digit_at(at + 2);
  if (first == 0 || second > 9) [[unlikely]]
    return nullptr;
  number = first * 10 + second;
  if (at[3] == '\r') return at + 5;
  const unsigned third = digit_at(at + 3);
  if (third > 9) [[unlikely]]
    return nullptr;
  number = number * 10 + third;
  if (at[4] == '\r') return at + 6;
  const unsigned fourth = digit_at(at + 4);
  if (fourth > 9 || at[5] != '\r' || end - at == kShortestBulk) [[unlikely]]
    return nullptr;
  number = number * 10 + fourth;
  return at + 7;
}

// As isspace in the C locale, whatever the locale.
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// What ends an unquoted word; not all that separates words.
bool ends_word(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Appends what stands in double quotes to `text`; `at` goes from behind the opening quote to behind
// the closing one. False when it does not close.
bool read_double_quoted(std::string_view line, size_t& at, std::string& text) {
  for (; at < line.size(); ++at) {
    if (line[at] == '"') {
      ++at;
      return true;
    }
    if (line[at] != '\\' || at + 1 == line.size()) {
      text.push_back(line[at]);
    } else if (line[at + 1] == 'x' && at + 3 < line.size() && hex_digit(line[at + 2]) >= 0 &&
               hex_digit(line[at + 3]) >= 0) {
      text.push_back(static_cast<char>(hex_digit(line[at + 2]) * 16 + hex_digit(line[at + 3])));
      at += 3;
    } else {
      text.push_back(unescape(line[++at]));
    }
  }
  return false;
}

// The same for single quotes, where \' is the only escape.
bool read_single_quoted(std::string_view line, size_t& at, std::string& text) {
  for (; at < line.size(); ++at) {
    if (line[at] == '\'') {
      ++at;
      return true;
    }
    if (line[at] == '\\' && at + 1 < line.size() && line[at + 1] == '\'') ++at;
    text.push_back(line[at]);
  }
  return false;
}

// Appends the word at `at` to `text` without its quotes. A closing quote ends the word and must
// have a space or nothing behind it.
bool read_word(std::string_view line, size_t& at, std::string& text) {
  for (; at < line.size() && !ends_word(line[at]); ++at) {
    if (line[at] == '"' || line[at] == '\'') {
      const bool closed = line[at] == '"' ? read_double_quoted(line, ++at, text)
                                          : read_single_quoted(line, ++at, text);
      return closed && (at == line.size() || is_space(line[at]));
    }
    text.push_back(line[at]);
  }
  return true;
}

template <typename Container>
void clear_and_trim(Container& container, size_t kept) {
  container.clear();
  // Not assignment: a string assigned a short one keeps its storage.
  if (container.capacity() > kept) Container().swap(container);
}

}  // namespace

std::optional<int64_t> parse_integer(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || (digits.front() == '0' && text.size() > 1)) return std::nullopt;
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

ParseResult RequestParser::parse(std::string_view input) {
  begin_parse(input);
  if (state_ == State::kStart && take_whole_command(input)) [[likely]]
    return ParseResult::kCommand;
  return parse_on(input);
}

inline void RequestParser::begin_parse(std::string_view input) {
  consumed_ = 0;
  if (state_ == State::kComplete) [[likely]] {
    clear_command();
  } else if (base_ != input.data() && argument_count_ > 0) {
    // As integers, because the old buffer may be gone.
    const auto old_base = reinterpret_cast<uintptr_t>(base_);
    for (std::string_view& argument : std::span(slots_).first(argument_count_)) {
      const size_t offset = reinterpret_cast<uintptr_t>(argument.data()) - old_base;
      argument = {input.data() + offset, argument.size()};
    }
  }
  assert(input.size() >= position_);
  base_ = input.data();
}

inline void RequestParser::clear_command() {
  state_ = State::kStart;
  position_ = 0;
  line_end_ = 0;
  argument_count_ = 0;
  if (slots_.size() > kKeptArguments || !large_.empty() || !text_.empty()) [[unlikely]]
    clear_rare();
}

void RequestParser::clear_rare() {
  if (slots_.size() > kKeptArguments) clear_and_trim(slots_, 0);
  clear_and_trim(large_, kKeptLargeArguments);
  clear_and_trim(text_, kKeptText);
}

// The hot path: a whole multibulk of small bulks, of no more arguments than there are slots. When
// it turns out to be anything else, what was understood of it stays understood.
inline bool RequestParser::take_whole_command(std::string_view input) {
  const char* const end = input.data() + input.size();
  uint64_t count = 0;
  const char* const bulks = plain_number_line(input.data(), end, '*', count);
  if (bulks == nullptr || count - 1 >= std::min<uint64_t>(slots_.size(), inspect_count_)) {
    return false;
  }
  remaining_ = static_cast<uint32_t>(count);
  state_ = State::kLengthLine;
  take_whole_bulks(bulks, end);
  if (remaining_ > 0) return false;
  complete();
  return true;
}

// The bulks from `at` on that are all here and small, as far as there are slots. Locals, because
// any store to a slot could alias a member.
inline void RequestParser::take_whole_bulks(const char* at, const char* end) {
  const uint64_t inspect_length = inspect_length_;
  std::string_view* const first_slot = slots_.data() + argument_count_;
  const size_t most = std::min<size_t>(remaining_, slots_.size() - argument_count_);
  size_t taken = 0;
  for (; taken < most; ++taken) {
    uint64_t length = 0;
    const char* const payload = plain_number_line(at, end, '$', length);
    if (payload == nullptr || length >= inspect_length) [[unlikely]]
      break;
    if (length + 2 > static_cast<uint64_t>(end - payload)) [[unlikely]]
      break;
    first_slot[taken] = {payload, length};
    at = payload + length + 2;
  }
  argument_count_ += static_cast<uint32_t>(taken);
  remaining_ -= static_cast<uint32_t>(taken);
  position_ = static_cast<size_t>(at - base_);
}

ParseResult RequestParser::parse_on(std::string_view input) {
  Step step = kGoOn;
  while (!step) {
    switch (state_) {
      case State::kStart:
        step = start(input);
        break;
      case State::kInlineLine:
        step = inline_line(input);
        break;
      case State::kCountLine:
        step = count_line(input);
        break;
      case State::kLengthLine:
      case State::kPayload:
      case State::kLargeEnd:
        step = bulks(input);
        break;
      case State::kLargePayload:
        return ParseResult::kLargeArgument;
      case State::kComplete:  // not here: begin_parse() left it
      case State::kFailed:
        return ParseResult::kError;
    }
  }
  return *step;
}

RequestParser::Step RequestParser::start(std::string_view input) {
  if (position_ == input.size()) {
    consumed_ = position_;
    position_ = 0;
    line_end_ = 0;
    return ParseResult::kNeedMore;
  }
  state_ = input[position_] == '*' ? State::kCountLine : State::kInlineLine;
  return kGoOn;
}

// Looks for the terminator of the line that begins at position_; line_end_ is where it is. Redis
// searches with strchr, so a NUL in front of it hides it: the line then only ends by growing too
// long.
RequestParser::Step RequestParser::find_line_end(std::string_view input, char terminator,
                                                 std::string_view too_big) {
  line_end_ = std::max(line_end_, position_);
  const size_t limit = std::min(input.size(), position_ + kLongestLine + 1);
  const char* const from = input.data() + line_end_;
  const void* const found = std::memchr(from, terminator, limit - line_end_);
  const size_t searched =
      found != nullptr ? static_cast<const char*>(found) - from : limit - line_end_;
  const void* const nul = std::memchr(from, '\0', searched);
  if (nul != nullptr) {
    line_end_ += static_cast<const char*>(nul) - from;
  } else {
    line_end_ += searched;
    if (found != nullptr) return kGoOn;
  }
  return input.size() - position_ > kLongestLine ? fail(too_big) : ParseResult::kNeedMore;
}

RequestParser::Step RequestParser::inline_line(std::string_view input) {
  const Step step = find_line_end(input, '\n', "too big inline request");
  if (step) return step;
  // A CR before the end is a space like any other.
  const std::string_view line = input.substr(position_, line_end_ - position_);
  if (!split_line(line)) return fail("unbalanced quotes in request");
  position_ = line_end_ + 1;
  if (argument_count_ > 0) return complete();
  state_ = State::kStart;
  return kGoOn;
}

// Splits as redis-cli and redis.conf lines are split. Words without quotes stay in the input.
bool RequestParser::split_line(std::string_view line) {
  for (size_t at = 0;;) {
    while (at < line.size() && is_space(line[at])) ++at;
    if (at == line.size()) return true;
    size_t end = at;
    while (end < line.size() && !ends_word(line[end]) && line[end] != '"' && line[end] != '\'') {
      ++end;
    }
    if (end == line.size() || ends_word(line[end])) {
      add_argument(line.substr(at, end - at));
      at = end;
      continue;
    }
    // All words together are no longer than the line, so no view into text_ is lost to growth.
    text_.reserve(line.size());
    const size_t text_begin = text_.size();
    if (!read_word(line, at, text_)) return false;
    add_argument(std::string_view(text_).substr(text_begin));
  }
}

RequestParser::Step RequestParser::count_line(std::string_view input) {
  const Step step = find_line_end(input, '\r', "too big mbulk count string");
  if (step) return step;
  if (line_end_ + 1 >= input.size()) return ParseResult::kNeedMore;
  const auto number = parse_integer(input.substr(position_ + 1, line_end_ - position_ - 1));
  if (!number) return fail("invalid multibulk length");
  position_ = line_end_ + 2;
  return accept_count(*number);
}

RequestParser::Step RequestParser::accept_count(int64_t count) {
  if (count > limits_.max_arguments) return fail("invalid multibulk length");
  if (limits_.unauthenticated && count > kUnauthenticatedArguments) {
    return fail("unauthenticated multibulk length");
  }
  if (count <= 0) {
    state_ = State::kStart;
    return kGoOn;
  }
  // Room for what was announced, within reason: the rest has to arrive first.
  const size_t slots = std::min(static_cast<size_t>(count), kKeptArguments);
  if (slots_.size() < slots) slots_.resize(slots);
  remaining_ = static_cast<uint32_t>(count);
  state_ = State::kLengthLine;
  return kGoOn;
}

RequestParser::Step RequestParser::bulks(std::string_view input) {
  const char* const end = input.data() + input.size();
  while (remaining_ > 0) {
    if (state_ == State::kLengthLine) take_whole_bulks(input.data() + position_, end);
    if (remaining_ == 0) break;
    const Step step = bulk_step(input);
    if (step) return step;
  }
  return complete();
}

// One step of a bulk that the hot path would not take: cut off, large, or malformed.
RequestParser::Step RequestParser::bulk_step(std::string_view input) {
  if (state_ == State::kLengthLine) return length_line(input);
  const size_t left = state_ == State::kPayload ? bulk_length_ + 2 : 2;
  if (position_ > input.size() || input.size() - position_ < left) return ParseResult::kNeedMore;
  if (state_ == State::kPayload) add_argument(input.substr(position_, bulk_length_));
  position_ += left;
  --remaining_;
  state_ = State::kLengthLine;
  return kGoOn;
}

RequestParser::Step RequestParser::length_line(std::string_view input) {
  const Step step = find_line_end(input, '\r', "too big bulk count string");
  if (step) return step;
  if (line_end_ + 1 >= input.size()) return ParseResult::kNeedMore;
  if (input[position_] != '$') {
    return fail(std::string("expected '$', got '") + input[position_] + "'");
  }
  const auto length = parse_integer(input.substr(position_ + 1, line_end_ - position_ - 1));
  if (!length || *length < 0 || *length > limits_.max_bulk) return fail("invalid bulk length");
  if (limits_.unauthenticated && *length > kUnauthenticatedBulk) {
    return fail("unauthenticated bulk length");
  }
  position_ = line_end_ + 2;
  bulk_length_ = static_cast<size_t>(*length);
  state_ = State::kPayload;
  if (*length < limits_.large_argument) return kGoOn;
  large_.push_back({static_cast<uint32_t>(argument_count_), bulk_length_});
  // Empty, but at its place, so that it moves with the buffer as the others do.
  add_argument(input.substr(position_, 0));
  state_ = State::kLargePayload;
  return ParseResult::kLargeArgument;
}

void RequestParser::add_argument(std::string_view argument) {
  if (argument_count_ == slots_.size()) slots_.resize(std::max<size_t>(8, 2 * slots_.size()));
  slots_[argument_count_++] = argument;
}

inline RequestParser::Step RequestParser::complete() {
  state_ = State::kComplete;
  consumed_ = position_;
  return ParseResult::kCommand;
}

RequestParser::Step RequestParser::fail(std::string_view text) {
  state_ = State::kFailed;
  argument_count_ = 0;
  large_.clear();
  text_ = "ERR Protocol error: ";
  text_ += text;
  return ParseResult::kError;
}

void RequestParser::large_argument_taken(size_t left_in_input) {
  assert(state_ == State::kLargePayload && left_in_input <= bulk_length_);
  position_ += left_in_input;
  state_ = State::kLargeEnd;
}

void RequestParser::keep_large_argument_in_input() {
  assert(state_ == State::kLargePayload);
  --argument_count_;
  large_.pop_back();
  state_ = State::kPayload;
}

const RequestParser::LargeArgument* RequestParser::find_large(size_t index) const {
  const auto found = std::ranges::lower_bound(large_, index, {}, &LargeArgument::index);
  return found != large_.end() && found->index == index ? &*found : nullptr;
}

uint64_t RequestParser::large_length(size_t index) const {
  const LargeArgument* const found = find_large(index);
  return found != nullptr ? found->length : 0;
}

void RequestParser::set_limits(const Limits& limits) {
  limits_ = limits;
  limits_.max_arguments = std::min<int64_t>(limits.max_arguments, INT_MAX);
  limits_.large_argument = std::max<int64_t>(limits.large_argument, 1);
  int64_t inspect = std::min(limits_.large_argument, std::max<int64_t>(limits_.max_bulk, 0));
  if (limits_.unauthenticated) inspect = std::min(inspect, kUnauthenticatedBulk);
  inspect_length_ = static_cast<uint64_t>(inspect);
  inspect_count_ = static_cast<uint32_t>(std::clamp<int64_t>(
      limits_.max_arguments, 0, limits_.unauthenticated ? kUnauthenticatedArguments : INT_MAX));
}

void RequestParser::reset() {
  clear_command();
  consumed_ = 0;
  remaining_ = 0;
}

size_t RequestParser::heap_bytes() const {
  // A short string lives inside the object.
  const size_t text = text_.capacity() > std::string().capacity() ? text_.capacity() + 1 : 0;
  return slots_.capacity() * sizeof(std::string_view) + large_.capacity() * sizeof(LargeArgument) +
         text;
}

void RequestParser::release_memory() {
  if (in_command() || state_ == State::kFailed) return;
  argument_count_ = 0;
  clear_and_trim(slots_, 0);
  clear_and_trim(large_, 0);
  clear_and_trim(text_, 0);
}

}  // namespace resp
