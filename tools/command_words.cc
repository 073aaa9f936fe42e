#include "tools/command_words.h"

#include <charconv>
#include <cstdint>
#include <cstdio>

namespace rdmakv {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The byte that a backslash and what follows it mean; moves `at` to the last character used.
char unescape(std::string_view line, size_t& at) {
  const char c = line[++at];
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'x':
      if (at + 2 < line.size() && hex_digit(line[at + 1]) >= 0 && hex_digit(line[at + 2]) >= 0) {
        const int byte = hex_digit(line[at + 1]) * 16 + hex_digit(line[at + 2]);
        at += 2;
        return static_cast<char>(byte);
      }
      return c;
    default:
      return c;
  }
}

// Length of the well-formed UTF-8 sequence at the start of `bytes`; 0: there is none.
size_t utf8_length(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  size_t length = 0;
  if (first >= 0xc2 && first < 0xe0) length = 2;
  if (first >= 0xe0 && first < 0xf0) length = 3;
  if (first >= 0xf0 && first < 0xf5) length = 4;
  if (length == 0 || bytes.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(bytes[i]) & 0xc0) != 0x80) return 0;
  }
  // C1 controls, overlong forms, surrogates and what lies beyond Unicode are not shown.
  const auto second = static_cast<unsigned char>(bytes[1]);
  const bool odd = (first == 0xc2 && second < 0xa0) || (first == 0xe0 && second < 0xa0) ||
                   (first == 0xed && second >= 0xa0) || (first == 0xf0 && second < 0x90) ||
                   (first == 0xf4 && second >= 0x90);
  return odd ? 0 : length;
}

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  size_t at = 0;
  while (true) {
    while (at < line.size() && is_blank(line[at])) ++at;
    if (at == line.size()) return words;
    std::string word;
    char quote = 0;
    for (; at < line.size() && (quote != 0 || !is_blank(line[at])); ++at) {
      const char c = line[at];
      if (quote == 0 && (c == '"' || c == '\'')) {
        quote = c;
      } else if (quote != 0 && c == quote) {
        quote = 0;
        if (at + 1 < line.size() && !is_blank(line[at + 1])) {
          return {Code::kInvalidArgument, "a blank is missing after a closing quote"};
        }
      } else if (quote == '"' && c == '\\' && at + 1 < line.size()) {
        word.push_back(unescape(line, at));
      } else if (quote == '\'' && c == '\\' && at + 1 < line.size() && line[at + 1] == '\'') {
        word.push_back(line[++at]);
      } else {
        word.push_back(c);
      }
    }
    if (quote != 0) {
      return {Code::kInvalidArgument, std::string("a closing ") + quote + " is missing"};
    }
    words.push_back(std::move(word));
  }
}

std::string quote_bytes(std::string_view bytes) {
  std::string text = "\"";
  for (size_t at = 0; at < bytes.size(); ++at) {
    const char c = bytes[at];
    switch (c) {
      case '\n':
        text += "\\n";
        continue;
      case '\r':
        text += "\\r";
        continue;
      case '\t':
        text += "\\t";
        continue;
      case '\a':
        text += "\\a";
        continue;
      case '\b':
        text += "\\b";
        continue;
      case '"':
        text += "\\\"";
        continue;
      case '\\':
        text += "\\\\";
        continue;
      default:
        break;
    }
    if (c >= 0x20 && c < 0x7f) {
      text.push_back(c);
    } else if (const size_t length = utf8_length(bytes.substr(at)); length != 0) {
      text.append(bytes.substr(at, length));
      at += length - 1;
    } else {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\x%02x", static_cast<unsigned char>(c));
      text += escape;
    }
  }
  return text + "\"";
}

Result<uint64_t> parse_bytes(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  uint64_t factor = 0;
  if (unit.empty()) factor = 1;
  if (unit == "k" || unit == "K") factor = 1024;
  if (unit == "m" || unit == "M") factor = uint64_t{1} << 20;
  if (error != std::errc() || factor == 0 || number > (uint64_t{1} << 40)) {
    return {Code::kInvalidArgument, "'" + std::string(text) + "' is not a size in bytes"};
  }
  return number * factor;
}

}  // namespace rdmakv
