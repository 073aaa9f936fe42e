// The longest common subsequence of two strings, as Redis's LCS tells it, and with its choices
// where there are several. The classic table of dynamic programming, four bytes for each pair of
// positions; source: R. A. Wagner, M. J. Fischer, "The String-to-String Correction Problem", 1974.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rdmakv::proxy {

// Inclusive on both ends.
struct LcsMatch {
  uint32_t a_first, a_last, b_first, b_last;
  uint32_t length() const { return a_last - a_first + 1; }
};

struct Lcs {
  uint32_t length = 0;
  std::string text;
  std::vector<LcsMatch> matches;  // from the end of the strings to their beginning
};

// Bytes of the table.
constexpr uint64_t lcs_table_bytes(uint64_t a, uint64_t b) {
  return (a + 1) * (b + 1) * sizeof(uint32_t);
}

// Needs lcs_table_bytes(), or with `length_only` those of two rows.
Lcs longest_common_subsequence(std::string_view a, std::string_view b, bool length_only);

}  // namespace rdmakv::proxy
