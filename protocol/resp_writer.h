#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace resp {

/// Where replies are written: a window of memory, [next, limit), that the derived class replaces by
/// another when it is full. A chain of chunks, a ring or one growing array can stand behind it.
///
/// Bytes become part of the output in the order of commit() and append(). Nothing here is virtual
/// but the change of window. Not thread-safe.
class OutputBuffer {
 public:
  /// Most bytes that reserve() may be asked for, so the smallest window grow() may offer.
  static constexpr size_t kLongestReserve = 64;

  OutputBuffer() = default;
  OutputBuffer(const OutputBuffer&) = delete;
  OutputBuffer& operator=(const OutputBuffer&) = delete;
  virtual ~OutputBuffer() = default;

  /// Contiguous bytes writable without a change of window.
  size_t room() const { return static_cast<size_t>(limit_ - next_); }

  /// A place for at least `bytes` <= max(kLongestReserve, room()) bytes, valid until the next call.
  /// What is written there counts from commit() on.
  char* reserve(size_t bytes) {
    if (room() < bytes) [[unlikely]]
      grow(bytes);
    assert(room() >= bytes);
    return next_;
  }
  /// `end`: behind the last byte written since reserve(), within what was reserved.
  void commit(char* end) {
    assert(end >= next_ && end <= limit_);
    next_ = end;
  }

  /// Copies any number of bytes, over several windows if need be.
  void append(std::string_view bytes) {
    if (bytes.size() > room()) [[unlikely]]
      return append_in_pieces(bytes);
    if (bytes.empty()) return;
    assert(next_ != nullptr);
    std::memcpy(next_, bytes.data(), bytes.size());
    next_ += bytes.size();
  }

 protected:
  /// Sets a window of at least `bytes` <= kLongestReserve bytes; whatever lies before next() in the
  /// old one is output, the rest of it is unused. Must not fail but by throwing.
  virtual void grow(size_t bytes) = 0;

  void set_window(char* begin, char* end) {
    next_ = begin;
    limit_ = end;
  }
  char* next() const { return next_; }

 private:
  void append_in_pieces(std::string_view bytes);

  char* next_ = nullptr;
  char* limit_ = nullptr;
};

/// The protocol a connection speaks: RESP2 until it says HELLO 3.
enum class Protocol : uint8_t { kResp2 = 2, kResp3 = 3 };

/// Writes replies as redis-server 7.0 does, byte for byte, for either protocol. Each function
/// writes one element; an aggregate's header is followed by as many elements as it announces. Small
/// enough to be made for each reply. Allocates nothing.
class ReplyWriter {
 public:
  ReplyWriter(OutputBuffer& output, Protocol protocol) : output_(&output), protocol_(protocol) {}

  Protocol protocol() const { return protocol_; }
  OutputBuffer& output() const { return *output_; }

  void ok() { literal("+OK\r\n"); }
  void pong() { literal("+PONG\r\n"); }
  void queued() { literal("+QUEUED\r\n"); }
  /// A missing value, where a bulk might have been.
  void null() { literal(is_resp3() ? "_\r\n" : "$-1\r\n"); }
  /// A missing aggregate.
  void null_array() { literal(is_resp3() ? "_\r\n" : "*-1\r\n"); }

  /// A status such as "OK". CR and LF become spaces.
  void simple_string(std::string_view text);
  /// `text` begins with the code: "ERR syntax error". CR and LF at its ends go, others become
  /// spaces.
  void error(std::string_view text);
  void integer(int64_t value);
  void bulk(std::string_view value);
  /// An integer as a bulk, as in SCAN's cursor.
  void bulk_integer(int64_t value);

  /// A bulk whose `length` bytes the caller adds to the output itself, by reference or in pieces,
  /// before it calls bulk_end().
  void bulk_header(uint64_t length) { header('$', length); }
  void bulk_end() { literal("\r\n"); }

  void array(uint64_t elements) { header('*', elements); }
  /// Followed by a key and a value for each entry; flat in RESP2.
  void map(uint64_t entries) { is_resp3() ? header('%', entries) : header('*', 2 * entries); }
  void set(uint64_t elements) { header(is_resp3() ? '~' : '*', elements); }
  /// Out-of-band data (subscriptions, invalidations); an ordinary array in RESP2.
  void push(uint64_t elements) { header(is_resp3() ? '>' : '*', elements); }

  /// 17 significant digits; "inf", "-inf", "nan". A bulk in RESP2.
  void double_number(double value);
  /// The integer 1 or 0 in RESP2.
  void boolean(bool value);
  /// `digits`: a decimal integer of any length. A bulk in RESP2.
  void big_number(std::string_view digits);
  /// `format`: three characters, "txt" or "mkd"; lost in RESP2, where this is a bulk.
  void verbatim(std::string_view format, std::string_view text);

 private:
  bool is_resp3() const { return protocol_ == Protocol::kResp3; }
  void literal(std::string_view text) {
    char* const at = output_->reserve(text.size());
    std::memcpy(at, text.data(), text.size());
    output_->commit(at + text.size());
  }
  void header(char prefix, uint64_t number);
  void line_without_breaks(char prefix, std::string_view text);

  OutputBuffer* output_;
  Protocol protocol_;
};

}  // namespace resp
