// However a request stream is cut, and whatever is done with its large arguments, RequestParser
// gives the same commands and the same error. The input is
//
//   options: 1 byte   bits 0-1 LargeMode (3 as 0), 2 unauthenticated, 3-5 large_argument - 1,
//                     6 max_bulk 20 in place of Redis's, 7 max_arguments 5 in place of Redis's
//   count:   1 byte   of cuts
//   cuts:    1 byte each, the lengths of the pieces; what is left over comes last
//   stream:  the rest
//
// TestConnection checks the parser's other promises, and the sanitizers its reads.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/resp_parser.h"
#include "tests/protocol/resp_test_connection.h"

namespace {

using Events = std::vector<std::string>;

Events parse(std::string_view stream, std::string_view pieces, const resp::Limits& limits,
             resp::LargeMode mode) {
  resp::TestConnection connection(limits, mode);
  for (const char piece : pieces) {
    const size_t size = std::min<size_t>(static_cast<unsigned char>(piece), stream.size());
    connection.receive(stream.substr(0, size));
    stream.remove_prefix(size);
  }
  connection.receive(stream);
  return connection.events();
}

void print(const char* title, const Events& events) {
  std::fprintf(stderr, "%s\n", title);
  for (const std::string& event : events) std::fprintf(stderr, "  %s\n", event.c_str());
}

resp::Limits limits_of(unsigned options) {
  resp::Limits limits;
  limits.unauthenticated = (options & 4) != 0;
  limits.large_argument = ((options >> 3) & 7) + 1;
  if ((options & 64) != 0) limits.max_bulk = 20;
  if ((options & 128) != 0) limits.max_arguments = 5;
  return limits;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.size() < 2) return 0;
  const unsigned options = static_cast<unsigned char>(input[0]);
  const size_t cuts = static_cast<unsigned char>(input[1]);
  input.remove_prefix(2);
  const std::string_view pieces = input.substr(0, cuts);
  const std::string_view stream = input.substr(pieces.size());

  resp::Limits limits = limits_of(options);
  const auto mode = static_cast<resp::LargeMode>((options & 3) % 3);
  const Events in_pieces = parse(stream, pieces, limits, mode);
  limits.large_argument = INT64_MAX;
  const Events whole = parse(stream, {}, limits, resp::LargeMode::kKeepInInput);
  if (in_pieces != whole) {
    print("in pieces:", in_pieces);
    print("whole:", whole);
    std::abort();
  }
  return 0;
}
