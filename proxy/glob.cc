#include "proxy/glob.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace rdmakv::proxy {
namespace {

// Redis says that nothing matches a pattern of more (its recursion is bounded).
constexpr int kMostStars = 1000;

uint8_t fold(char c, bool ignore_case) {
  const auto byte = static_cast<uint8_t>(c);
  return ignore_case && byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;
}

// A set, `at` behind its '['. Leaves `at` behind its ']' (or at the end, where none closes it).
bool set_matches(std::string_view pattern, size_t& at, uint8_t c, bool ignore_case) {
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  for (; at < pattern.size() && pattern[at] != ']'; ++at) {
    if (pattern[at] == '\\' && at + 1 < pattern.size()) {
      found |= fold(pattern[++at], ignore_case) == c;
    } else if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
      const auto [low, high] =
          std::minmax({fold(pattern[at], ignore_case), fold(pattern[at + 2], ignore_case)});
      found |= c >= low && c <= high;
      at += 2;
    } else {
      found |= fold(pattern[at], ignore_case) == c;
    }
  }
  if (at < pattern.size()) ++at;
  return found != negated;
}

// One element of the pattern other than '*' against one byte; `at` goes behind it.
bool element_matches(std::string_view pattern, size_t& at, char text, bool ignore_case) {
  const char element = pattern[at++];
  if (element == '?') return true;
  const uint8_t c = fold(text, ignore_case);
  if (element == '[') return set_matches(pattern, at, c, ignore_case);
  if (element == '\\' && at < pattern.size()) return fold(pattern[at++], ignore_case) == c;
  return fold(element, ignore_case) == c;
}

}  // namespace

// Goes back to the last star only: a match that an earlier star could give, the last one can give
// too.
bool glob_matches(std::string_view pattern, std::string_view text, bool ignore_case) {
  constexpr size_t kNone = ~size_t{0};
  size_t at = 0, position = 0, star = kNone, star_position = 0;
  int stars = 0;
  while (position < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      while (at < pattern.size() && pattern[at] == '*') ++at;
      if (at == pattern.size()) return true;
      if (++stars > kMostStars) return false;
      star = at;
      star_position = position;
      continue;
    }
    if (at < pattern.size()) {
      size_t after = at;
      if (element_matches(pattern, after, text[position], ignore_case)) {
        at = after;
        ++position;
        continue;
      }
    }
    if (star == kNone) return false;
    at = star;
    position = ++star_position;
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace rdmakv::proxy
