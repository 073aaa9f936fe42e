// Arguments too large to wait for in the read buffer.
#include "protocol/resp_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/protocol/resp_streams.h"

namespace resp {
namespace {

using ::testing::ElementsAre;

// A threshold small enough to cut everywhere.
constexpr Limits kLargeFromFour{.large_argument = 4};

TEST(LargeArgument, AtEveryBoundary) {
  expect_events("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$10\r\n0123456789\r\n*1\r\n$3\r\nFIN\r\n",
                {"[3:SET][3:key][10:0123456789]", "[3:FIN]"}, kLargeFromFour);
}

TEST(LargeArgument, SeveralInOneCommand) {
  expect_events("*5\r\n$3\r\nSET\r\n$4\r\nkeyA\r\n$1\r\na\r\n$5\r\nkey\r\n\r\n$2\r\nbb\r\n",
                {"[3:SET][4:keyA][1:a][5:key\r\n][2:bb]"}, kLargeFromFour);
}

TEST(LargeArgument, AsCommandName) {
  expect_events("*1\r\n$4\r\nPING\r\nPING\r\n", {"[4:PING]", "[4:PING]"}, kLargeFromFour);
}

TEST(LargeArgument, ErrorBehindIt) {
  expect_events("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$x\r\n", {protocol_error("invalid bulk length")},
                kLargeFromFour);
}

TEST(LargeArgument, PipelinedOnes) {
  std::string stream;
  Events events;
  for (int i = 0; i < 5; ++i) {
    const std::string value = "value" + std::to_string(i);
    stream += "*2\r\n$3\r\nSET\r\n" + bulk(value);
    events.push_back("[3:SET][6:" + value + "]");
  }
  expect_events(stream, events, kLargeFromFour);
}

TEST(LargeArgument, DefaultThresholdIs4096) {
  RequestParser parser;
  EXPECT_EQ(parser.parse("*1\r\n" + bulk(std::string(4095, 'x'))), ParseResult::kCommand);
  const std::string stream = "*1\r\n" + bulk(std::string(4096, 'x'));
  EXPECT_EQ(parser.parse(stream), ParseResult::kLargeArgument);
}

TEST(LargeArgument, IsSaidAsSoonAsItsLengthIsKnown) {
  const std::string stream = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$8192\r\n";
  RequestParser parser;
  ASSERT_EQ(parser.parse(stream), ParseResult::kLargeArgument);
  EXPECT_EQ(parser.large_begin(), stream.size());
  EXPECT_EQ(parser.consumed(), 0);
  EXPECT_THAT(parser.arguments(), ElementsAre("SET", "key", ""));
  EXPECT_FALSE(parser.is_large(1));
  EXPECT_TRUE(parser.is_large(2));
  EXPECT_EQ(parser.large_length(1), 0);
  EXPECT_EQ(parser.large_length(2), 8192);
}

TEST(LargeArgument, EarlierArgumentsFollowTheBuffer) {
  std::string stream = "\r\n*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$8192\r\n";
  RequestParser parser;
  ASSERT_EQ(parser.parse(stream), ParseResult::kLargeArgument);
  parser.large_argument_taken(0);
  std::string moved = stream + "\r\n";
  stream.assign(stream.size(), '#');
  ASSERT_EQ(parser.parse(moved), ParseResult::kCommand);
  EXPECT_THAT(parser.arguments(), ElementsAre("SET", "key", ""));
  EXPECT_EQ(parser.consumed(), moved.size());
  EXPECT_EQ(parser.large_length(2), 8192);
}

TEST(LargeArgument, OfHalfAGigabyteNeedsNoInput) {
  const std::string stream = "*2\r\n$3\r\nSET\r\n$536870912\r\n";
  RequestParser parser;
  ASSERT_EQ(parser.parse(stream), ParseResult::kLargeArgument);
  EXPECT_EQ(parser.large_length(1), uint64_t{512} << 20);
  parser.large_argument_taken(0);
  EXPECT_EQ(parser.parse(stream + "\r"), ParseResult::kNeedMore);
  EXPECT_EQ(parser.parse(stream + "\r\n"), ParseResult::kCommand);
}

TEST(LargeArgument, IsForgottenWithItsCommand) {
  RequestParser parser(kLargeFromFour);
  const std::string stream = "*1\r\n$4\r\nPING\r\nGET a\r\n";
  ASSERT_EQ(parser.parse(stream), ParseResult::kLargeArgument);
  parser.large_argument_taken(4);
  ASSERT_EQ(parser.parse(stream), ParseResult::kCommand);
  EXPECT_TRUE(parser.is_large(0));
  ASSERT_EQ(parser.parse(std::string_view(stream).substr(parser.consumed())),
            ParseResult::kCommand);
  EXPECT_FALSE(parser.is_large(0));
  EXPECT_TRUE(parser.large_arguments().empty());
}

TEST(LargeArgument, KeptInTheInputIsAnOrdinaryView) {
  const std::string stream = "*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n";
  RequestParser parser(kLargeFromFour);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(parser.parse(stream), ParseResult::kLargeArgument);
    parser.keep_large_argument_in_input();
  }
  ASSERT_EQ(parser.parse(stream), ParseResult::kCommand);
  EXPECT_THAT(parser.arguments(), ElementsAre("ECHO", "hello"));
  EXPECT_TRUE(parser.large_arguments().empty());
}

}  // namespace
}  // namespace resp
