#include "protocol/resp_writer.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace resp {
namespace {

// `<prefix><20 digits or sign and 19>\r\n`
constexpr size_t kLongestHeader = 1 + 20 + 2;
// The longest double at 17 digits is -2.2250738585072014e-308; to_chars is given room to spare.
constexpr size_t kLongestDouble = 32;
static_assert(2 * kLongestHeader <= OutputBuffer::kLongestReserve);
static_assert(kLongestHeader + kLongestDouble + 2 <= OutputBuffer::kLongestReserve);

char* put_break(char* at) {
  at[0] = '\r';
  at[1] = '\n';
  return at + 2;
}

template <typename Integer>
char* put_number_line(char* at, char prefix, Integer number) {
  *at++ = prefix;
  // Most lengths and counts; worth a branch.
  if (number >= 0 && number <= 9) {
    *at++ = static_cast<char>('0' + number);
  } else {
    at = std::to_chars(at, at + 20, number).ptr;
  }
  return put_break(at);
}

// Not printf, whose decimal point is the locale's.
std::string_view format_double(double value, char (&text)[kLongestDouble]) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  const char* const end =
      std::to_chars(text, text + kLongestDouble, value, std::chars_format::general, 17).ptr;
  return {text, static_cast<size_t>(end - text)};
}

bool is_break(char c) {
  return c == '\r' || c == '\n';
}

}  // namespace

void OutputBuffer::append_in_pieces(std::string_view bytes) {
  while (!bytes.empty()) {
    if (room() == 0) grow(1);
    const size_t piece = std::min(bytes.size(), room());
    std::memcpy(next_, bytes.data(), piece);
    next_ += piece;
    bytes.remove_prefix(piece);
  }
}

void ReplyWriter::header(char prefix, uint64_t number) {
  output_->commit(put_number_line(output_->reserve(kLongestHeader), prefix, number));
}

void ReplyWriter::integer(int64_t value) {
  output_->commit(put_number_line(output_->reserve(kLongestHeader), ':', value));
}

void ReplyWriter::bulk(std::string_view value) {
  if (value.size() + kLongestHeader + 2 > output_->room()) [[unlikely]] {
    bulk_header(value.size());
    output_->append(value);
    bulk_end();
    return;
  }
  char* at = put_number_line(output_->reserve(0), '$', value.size());
  if (!value.empty()) std::memcpy(at, value.data(), value.size());
  output_->commit(put_break(at + value.size()));
}

void ReplyWriter::bulk_integer(int64_t value) {
  char digits[20];
  const char* const end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  bulk({digits, static_cast<size_t>(end - digits)});
}

void ReplyWriter::simple_string(std::string_view text) {
  line_without_breaks('+', text);
}

void ReplyWriter::error(std::string_view text) {
  while (!text.empty() && is_break(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_break(text.back())) text.remove_suffix(1);
  line_without_breaks('-', text);
}

void ReplyWriter::line_without_breaks(char prefix, std::string_view text) {
  literal({&prefix, 1});
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, OutputBuffer::kLongestReserve);
    char* const at = output_->reserve(piece.size());
    output_->commit(std::ranges::replace_copy_if(piece, at, is_break, ' ').out);
    text.remove_prefix(piece.size());
  }
  literal("\r\n");
}

void ReplyWriter::double_number(double value) {
  char text[kLongestDouble];
  const std::string_view digits = format_double(value, text);
  if (!is_resp3()) return bulk(digits);
  char* at = output_->reserve(kLongestDouble + 3);
  *at++ = ',';
  at = std::ranges::copy(digits, at).out;
  output_->commit(put_break(at));
}

void ReplyWriter::boolean(bool value) {
  if (is_resp3()) return literal(value ? "#t\r\n" : "#f\r\n");
  integer(value ? 1 : 0);
}

void ReplyWriter::big_number(std::string_view digits) {
  if (!is_resp3()) return bulk(digits);
  line_without_breaks('(', digits);
}

void ReplyWriter::verbatim(std::string_view format, std::string_view text) {
  assert(format.size() == 3);
  if (!is_resp3()) return bulk(text);
  header('=', format.size() + 1 + text.size());
  output_->append(format);
  literal(":");
  output_->append(text);
  literal("\r\n");
}

}  // namespace resp
