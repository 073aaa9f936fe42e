#include "proxy/lcs.h"

#include <gtest/gtest.h>

#include <random>

namespace rdmakv::proxy {
namespace {

bool is_subsequence(std::string_view part, std::string_view whole) {
  size_t at = 0;
  for (const char byte : whole) at += at < part.size() && part[at] == byte ? 1 : 0;
  return at == part.size();
}

TEST(Lcs, TheDocumentationsExample) {
  const Lcs lcs = longest_common_subsequence("ohmytext", "mynewtext", false);
  EXPECT_EQ(lcs.text, "mytext");
  ASSERT_EQ(lcs.matches.size(), 2u);
  EXPECT_EQ(lcs.matches[0].a_first, 4u);
  EXPECT_EQ(lcs.matches[0].a_last, 7u);
  EXPECT_EQ(lcs.matches[0].b_first, 5u);
  EXPECT_EQ(lcs.matches[0].b_last, 8u);
  EXPECT_EQ(lcs.matches[1].length(), 2u);
}

TEST(Lcs, OfNothingIsNothing) {
  for (const auto& [a, b] : {std::pair("", ""), std::pair("", "abc"), std::pair("abc", "xyz")}) {
    const Lcs lcs = longest_common_subsequence(a, b, false);
    EXPECT_EQ(lcs.length, 0u);
    EXPECT_TRUE(lcs.text.empty() && lcs.matches.empty());
  }
}

TEST(Lcs, MatchesSpellTheText) {
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    std::string strings[2];
    for (std::string& s : strings) {
      s.resize(random() % 40);
      for (char& c : s) c = static_cast<char>('a' + random() % 3);
    }
    const auto& [a, b] = strings;
    const Lcs lcs = longest_common_subsequence(a, b, false);
    EXPECT_EQ(longest_common_subsequence(a, b, true).length, lcs.length);
    EXPECT_EQ(lcs.text.size(), lcs.length);
    EXPECT_TRUE(is_subsequence(lcs.text, a) && is_subsequence(lcs.text, b));
    std::string spelt;
    for (auto match = lcs.matches.rbegin(); match != lcs.matches.rend(); ++match) {
      EXPECT_EQ(a.substr(match->a_first, match->length()),
                b.substr(match->b_first, match->length()));
      spelt += a.substr(match->a_first, match->length());
    }
    EXPECT_EQ(spelt, lcs.text);
  }
}

}  // namespace
}  // namespace rdmakv::proxy
