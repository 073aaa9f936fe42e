#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace resp {

/// Reads a decimal integer the way Redis reads every number it is sent: an optional minus, no plus,
/// no spaces, no leading zeros, no "-0", within int64. Anything else is nothing.
std::optional<int64_t> parse_integer(std::string_view text);

/// What a client may send. Lengths are bytes.
struct Limits {
  /// Most arguments of one command, its name included.
  int64_t max_arguments = INT_MAX;
  /// Longest single argument (Redis: proto-max-bulk-len).
  int64_t max_bulk = int64_t{512} << 20;
  /// A bulk of this length or longer is handed over by ParseResult::kLargeArgument; never 0.
  /// INT64_MAX turns that off.
  int64_t large_argument = 4096;
  /// The client still owes an AUTH: at most 10 arguments of at most 16,384 bytes each.
  bool unauthenticated = false;
};

enum class ParseResult : uint8_t {
  kNeedMore,       ///< the input ends inside a command, or is empty
  kCommand,        ///< one command is complete: arguments()
  kLargeArgument,  ///< a large bulk begins: large_begin(), large_arguments().back()
  kError,          ///< protocol error: error(); final
};

/// The server's side of RESP: turns a byte stream into commands, multibulk
/// (`*2\r\n$3\r\nGET\r\n...`) and inline (`GET key\r\n`), accepting and refusing exactly what
/// redis-server 7.0 does. That includes its leniencies: the byte after a line's CR and the two
/// bytes after a bulk are not looked at, and a NUL inside a line hides the line's end.
///
/// One difference: Redis measures a line against its limit of 65,536 bytes only while the line's
/// end has not arrived, so what it accepts depends on how the bytes were cut; here it never does.
///
/// The parser owns no input. The connection keeps the bytes not yet consumed and gives all of them
/// to each parse():
///
///     for (;;) {
///       ParseResult result = parser.parse(unconsumed);
///       if (result == ParseResult::kCommand) execute(parser.arguments());
///       unconsumed.remove_prefix(parser.consumed());   // after every result
///       if (result != ParseResult::kCommand) break;
///     }
///
/// Between two calls more bytes may be appended and the buffer may move, but bytes given once and
/// not consumed stay the same.
///
/// Large arguments. A bulk of Limits::large_argument bytes or more is not collected in the
/// connection's buffer. parse() says kLargeArgument when it has read the bulk's length: the payload
/// begins at large_begin() of the input just given, arguments() has everything before it. The
/// connection then does one of two things, and calls parse() again:
///
///   - It takes the payload: first the part of it that is already in the input, then the rest from
///     the socket, wherever it likes. When all of it is taken, large_argument_taken(left_in_input)
///     says how many payload bytes are still in the input between large_begin() and the byte that
///     follows the payload: 0 if it cut them out, all that had arrived if it only copied them.
///     Until the command is complete it keeps input[0, large_begin()), which holds the arguments
///     before the large one.
///   - It wants the argument like any other: keep_large_argument_in_input().
///
/// Not thread-safe. No parse() allocates, but for commands of more arguments than any before them
/// on this connection, for quotes in inline commands, and for large arguments; the work is linear
/// in the length of the stream however it is cut. A parser between commands may be copied and
/// moved.
class RequestParser {
 public:
  struct LargeArgument {
    uint32_t index;   ///< in arguments()
    uint64_t length;  ///< bytes of payload
  };

  explicit RequestParser(const Limits& limits = {}) { set_limits(limits); }

  /// Reads on. `input` is everything not yet consumed. After kError, and after kLargeArgument until
  /// it is answered, says the same again.
  ParseResult parse(std::string_view input);

  /// How many bytes at the front of the last input the connection has to drop before the next
  /// parse(). Not 0 after kCommand, and after kNeedMore when only empty commands had arrived.
  size_t consumed() const { return consumed_; }

  /// After kCommand the whole command, never empty; after kLargeArgument all up to the large one.
  /// Views into the last input, or into the parser for inline commands with quotes; a large
  /// argument is an empty view. Valid until the next parse(), or until the input goes away.
  std::span<const std::string_view> arguments() const { return {slots_.data(), argument_count_}; }

  /// The large ones among arguments(), by index. Those kept in the input are not among them.
  std::span<const LargeArgument> large_arguments() const { return large_; }
  bool is_large(size_t index) const { return find_large(index) != nullptr; }
  /// Payload bytes of a large argument; 0 for any other.
  uint64_t large_length(size_t index) const;

  /// After kLargeArgument: where in the last input the payload begins. May be its end.
  size_t large_begin() const { return position_; }
  /// After kLargeArgument: the payload was taken, `left_in_input` bytes of it are still there.
  void large_argument_taken(size_t left_in_input);
  /// After kLargeArgument: treat it as a small one, to be completed in the input.
  void keep_large_argument_in_input();

  /// After kError, without the leading '-': "ERR Protocol error: ...". May hold a CR or LF that the
  /// client sent. Redis sends it behind the replies to earlier commands and closes the connection.
  std::string_view error() const { return text_; }

  /// In the middle of a command: the end of the stream now would cut it off.
  bool in_command() const { return state_ > State::kStart && state_ < State::kComplete; }

  /// Takes effect with the next length read, also in the middle of a command.
  void set_limits(const Limits& limits);
  const Limits& limits() const { return limits_; }

  /// Forgets everything but the limits: for a new connection.
  void reset();
  /// Heap memory held, in bytes, beside sizeof.
  size_t heap_bytes() const;
  /// Gives spare memory back, for a connection gone quiet; invalidates arguments(), not a command
  /// in progress.
  void release_memory();

 private:
  enum class State : uint8_t {
    kStart,         // between commands
    kInlineLine,    // in an inline command
    kCountLine,     // in `*<count>`
    kLengthLine,    // in `$<length>`
    kPayload,       // in a bulk's bytes or the two bytes behind them
    kLargePayload,  // the connection has the word
    kLargeEnd,      // in the two bytes behind a large argument
    kComplete,      // kCommand was returned
    kFailed,
  };
  // What a step of the parser comes to; nothing, and parsing goes on in the new state.
  using Step = std::optional<ParseResult>;
  static constexpr Step kGoOn = std::nullopt;

  void begin_parse(std::string_view input);
  void clear_command();
  void clear_rare();
  bool take_whole_command(std::string_view input);
  void take_whole_bulks(const char* at, const char* end);
  ParseResult parse_on(std::string_view input);
  Step start(std::string_view input);
  Step inline_line(std::string_view input);
  bool split_line(std::string_view line);
  Step count_line(std::string_view input);
  Step bulks(std::string_view input);
  Step bulk_step(std::string_view input);
  Step length_line(std::string_view input);
  Step accept_count(int64_t count);
  Step find_line_end(std::string_view input, char terminator, std::string_view too_big);
  void add_argument(std::string_view argument);
  Step complete();
  Step fail(std::string_view text);
  const LargeArgument* find_large(size_t index) const;

  // Offsets are into the last input. What lies before position_ is understood; no terminator of the
  // present line lies before line_end_.
  State state_ = State::kStart;
  uint32_t remaining_ = 0;       // arguments of a multibulk that are not complete yet
  uint32_t argument_count_ = 0;  // of slots_ in use
  uint32_t inspect_count_ = 0;   // no limit concerns a multibulk of no more arguments than this
  uint64_t inspect_length_ = 0;  // nor a bulk shorter than this
  size_t position_ = 0;
  size_t line_end_ = 0;
  size_t consumed_ = 0;
  size_t bulk_length_ = 0;      // in kPayload and kLargePayload
  const char* base_ = nullptr;  // data() of the last input, which the arguments point into
  std::vector<std::string_view> slots_;
  std::vector<LargeArgument> large_;
  std::string text_;  // the arguments of an inline command that had quotes; the error
  Limits limits_;
};

}  // namespace resp
