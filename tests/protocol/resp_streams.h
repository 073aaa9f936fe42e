#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/protocol/resp_test_connection.h"

namespace resp {

using Events = std::vector<std::string>;

inline constexpr LargeMode kLargeModes[] = {LargeMode::kCopyOut, LargeMode::kCutOut,
                                            LargeMode::kKeepInInput};
inline std::string protocol_error(std::string_view text) {
  return "ERR Protocol error: " + std::string(text);
}

inline std::string bulk(std::string_view bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
}

inline Events parse_pieces(std::string_view stream, const std::vector<size_t>& cuts,
                           const Limits& limits, LargeMode mode) {
  TestConnection connection(limits, mode);
  size_t begin = 0;
  for (const size_t cut : cuts) {
    connection.receive(stream.substr(begin, cut - begin));
    begin = cut;
  }
  connection.receive(stream.substr(begin));
  return connection.events();
}

inline Events parse_evenly(std::string_view stream, size_t piece, const Limits& limits = {},
                           LargeMode mode = LargeMode::kCopyOut) {
  TestConnection connection(limits, mode);
  for (size_t at = 0; at < stream.size(); at += piece) connection.receive(stream.substr(at, piece));
  return connection.events();
}

// The stream gives these events whole, byte by byte, cut at each place, and when it is short, cut
// at each two places.
inline void expect_events(std::string_view stream, const Events& events,
                          const Limits& limits = {}) {
  constexpr size_t kShort = 80;
  for (const LargeMode mode : kLargeModes) {
    ASSERT_EQ(parse_pieces(stream, {}, limits, mode), events) << "whole";
    ASSERT_EQ(parse_evenly(stream, 1, limits, mode), events) << "byte by byte";
    for (size_t i = 0; i <= stream.size(); ++i) {
      ASSERT_EQ(parse_pieces(stream, {i}, limits, mode), events) << "cut at " << i;
      if (stream.size() > kShort) continue;
      for (size_t j = i; j <= stream.size(); ++j) {
        ASSERT_EQ(parse_pieces(stream, {i, j}, limits, mode), events)
            << "cut at " << i << ", " << j;
      }
    }
  }
}

}  // namespace resp
