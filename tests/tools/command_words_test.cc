#include "tools/command_words.h"

#include <gtest/gtest.h>

#include "tools/client_commands.h"

namespace rdmakv {
namespace {

std::vector<std::string> split(std::string_view line) {
  Result<std::vector<std::string>> words = split_words(line);
  EXPECT_TRUE(words) << words.status().message();
  return words ? *words : std::vector<std::string>{};
}
using Words = std::vector<std::string>;

TEST(CommandWords, AreSplitAtBlanks) {
  EXPECT_EQ(split("put  key\tvalue \r\n"), (Words{"put", "key", "value"}));
}
TEST(CommandWords, NothingIsNoWords) {
  EXPECT_TRUE(split("  \t ").empty());
}
TEST(CommandWords, QuotesKeepBlanks) {
  EXPECT_EQ(split("put \"a key\" 'a value'"), (Words{"put", "a key", "a value"}));
}
TEST(CommandWords, QuotesMayBeEmpty) {
  EXPECT_EQ(split("put k \"\""), (Words{"put", "k", ""}));
}
TEST(CommandWords, EscapesInDoubleQuotes) {
  EXPECT_EQ(split(R"("\x00\xfF\n\t\\\"")"), (Words{std::string("\0\xff\n\t\\\"", 6)}));
}
TEST(CommandWords, NoEscapesInSingleQuotes) {
  EXPECT_EQ(split(R"('a\n\'b')"), (Words{"a\\n'b"}));
}
TEST(CommandWords, ABackslashOutsideOfQuotesIsItself) {
  EXPECT_EQ(split(R"(a\n)"), (Words{"a\\n"}));
}
TEST(CommandWords, AMissingQuoteIsAnError) {
  EXPECT_FALSE(split_words("put 'k"));
  EXPECT_FALSE(split_words("put \"k"));
  EXPECT_FALSE(split_words("put \"k\\"));
}
TEST(CommandWords, AWordMustNotGoOnBehindAQuote) {
  EXPECT_FALSE(split_words("'a'b"));
}

TEST(CommandWords, QuotedIsUndoneBySplitting) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  EXPECT_EQ(split(quote_bytes(all)), Words{all});
}
TEST(CommandWords, Utf8IsShownAsItIs) {
  EXPECT_EQ(quote_bytes("Grüße €𝄞"), "\"Grüße €𝄞\"");
}
TEST(CommandWords, WhatIsNotUtf8IsEscaped) {
  EXPECT_EQ(quote_bytes("\xc3"), "\"\\xc3\"");
  EXPECT_EQ(quote_bytes("\xc2\x9b"), "\"\\xc2\\x9b\"")
      << "a terminal takes it for a control sequence";
  EXPECT_EQ(quote_bytes("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"") << "a surrogate";
}

TEST(CommandWords, Sizes) {
  EXPECT_EQ(*parse_bytes("0"), 0u);
  EXPECT_EQ(*parse_bytes("4k"), 4096u);
  EXPECT_EQ(*parse_bytes("2M"), 2u << 20);
  for (const char* bad : {"", "k", "4kb", "-1", "99999999999999999999"}) {
    EXPECT_FALSE(parse_bytes(bad)) << bad;
  }
}

TEST(CommandErrors, NameTheCommand) {
  EXPECT_NE(command_error({"frobnicate"}).find("frobnicate"), std::string::npos);
}
TEST(CommandErrors, TellTheUsage) {
  EXPECT_EQ(command_error({"put", "k"}), "usage: put KEY VALUE");
  EXPECT_EQ(command_error({"get"}), "usage: get KEY [> FILE]");
  EXPECT_EQ(command_error({"get", "k", "x", "y"}), "usage: get KEY [> FILE]");
}
TEST(CommandErrors, VersionsAreNumbers) {
  EXPECT_NE(command_error({"cas", "k", "one", "v"}), "");
  EXPECT_NE(command_error({"cas", "k", "-1", "v"}), "");
  EXPECT_EQ(command_error({"cas", "k", "18446744073709551615", "v"}), "");
}
TEST(CommandErrors, BenchWantsNumbers) {
  EXPECT_EQ(command_error({"bench"}), "");
  EXPECT_EQ(command_error({"bench", "10", "4k", "1m"}), "");
  EXPECT_NE(command_error({"bench", "0"}), "");
  EXPECT_NE(command_error({"bench", "ten"}), "");
  EXPECT_NE(command_error({"bench", "10", "513m"}), "");
}

}  // namespace
}  // namespace rdmakv
