// The limits of the parser: lines, counts and lengths, the bytes it consumes, the memory it holds.
#include "protocol/resp_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "tests/protocol/resp_streams.h"

namespace resp {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;

constexpr size_t kLongestLine = 65536;

// Lines of the greatest length, and one byte more. `head` begins the line; the rest is filler.
void expect_longest_line(const std::string& before, const std::string& head, const char* end,
                         const Events& longest, const Events& too_long) {
  const std::string line = head + std::string(kLongestLine - head.size(), '1');
  for (const size_t piece : {size_t{1000}, kLongestLine - 1, kLongestLine, kLongestLine * 2}) {
    EXPECT_EQ(parse_evenly(before + line + end, piece), longest);
    EXPECT_EQ(parse_evenly(before + line + "1" + end, piece), too_long);
    EXPECT_EQ(parse_evenly(before + line + "1", piece), too_long);
    EXPECT_EQ(parse_evenly(before + line, piece), Events{});
  }
}

TEST(LineLimit, Inline) {
  expect_longest_line("", "PING ", "\n",
                      {"[4:PING][65531:" + std::string(kLongestLine - 5, '1') + "]"},
                      {protocol_error("too big inline request")});
}

TEST(LineLimit, Count) {
  expect_longest_line("", "*", "\r\n", {protocol_error("invalid multibulk length")},
                      {protocol_error("too big mbulk count string")});
}

TEST(LineLimit, Length) {
  expect_longest_line("*1\r\n", "$", "\r\n", {protocol_error("invalid bulk length")},
                      {protocol_error("too big bulk count string")});
}

TEST(LineLimit, BehindAHidingNul) {
  for (const std::string& head : {"*1\0\r\n"s, "PING\0\r\n"s}) {
    TestConnection connection;
    connection.receive(head + std::string(kLongestLine - head.size(), 'x'));
    EXPECT_EQ(connection.events(), Events{});
    connection.receive("x");
    EXPECT_THAT(connection.events(),
                ElementsAre(testing::StartsWith("ERR Protocol error: too big")));
  }
}

TEST(Limit, Arguments) {
  const Limits limits{.max_arguments = 2};
  expect_events("*2\r\n$3\r\nGET\r\n$1\r\na\r\n", {"[3:GET][1:a]"}, limits);
  expect_events("*3\r\n", {protocol_error("invalid multibulk length")}, limits);
}

TEST(Limit, ArgumentsNeverMoreThanRedisTakes) {
  RequestParser parser(Limits{.max_arguments = std::numeric_limits<int64_t>::max()});
  EXPECT_EQ(parser.parse("*2147483647\r\n"), ParseResult::kNeedMore);
  RequestParser other(Limits{.max_arguments = std::numeric_limits<int64_t>::max()});
  EXPECT_EQ(other.parse("*2147483648\r\n"), ParseResult::kError);
}

TEST(Limit, Bulk) {
  const Limits limits{.max_bulk = 5};
  expect_events("*1\r\n$5\r\n12345\r\n", {"[5:12345]"}, limits);
  expect_events("*1\r\n$6\r\n123456\r\n", {protocol_error("invalid bulk length")}, limits);
}

TEST(Limit, BulkAboveTheThresholdForLargeOnes) {
  const Limits limits{.max_bulk = 5, .large_argument = 2};
  expect_events("*1\r\n$5\r\n12345\r\n", {"[5:12345]"}, limits);
  expect_events("*1\r\n$6\r\n123456\r\n", {protocol_error("invalid bulk length")}, limits);
}

TEST(Limit, UnauthenticatedArguments) {
  std::string ten = "*10\r\n";
  for (int i = 0; i < 10; ++i) ten += bulk("x");
  const Limits limits{.unauthenticated = true};
  expect_events(ten, {"[1:x][1:x][1:x][1:x][1:x][1:x][1:x][1:x][1:x][1:x]"}, limits);
  expect_events("*11\r\n", {protocol_error("unauthenticated multibulk length")}, limits);
  expect_events("*2147483648\r\n", {protocol_error("invalid multibulk length")}, limits);
}

TEST(Limit, UnauthenticatedBulk) {
  for (const int64_t large : {int64_t{4096}, std::numeric_limits<int64_t>::max()}) {
    const Limits limits{.large_argument = large, .unauthenticated = true};
    const std::string longest(16384, 'x');
    EXPECT_THAT(parse_evenly("*1\r\n" + bulk(longest), 5000, limits),
                ElementsAre("[16384:" + longest + "]"));
    expect_events("*1\r\n$16385\r\n", {protocol_error("unauthenticated bulk length")}, limits);
    expect_events("*1\r\n$536870913\r\n", {protocol_error("invalid bulk length")}, limits);
  }
}

// The second command of a connection takes a faster way than the first.
TEST(Limit, HoldsForAParserThatHasSeenMore) {
  std::string many = "*20\r\n";
  for (int i = 0; i < 20; ++i) many += bulk("x");
  const std::string eleven = "*11" + many.substr(3);
  RequestParser parser;
  ASSERT_EQ(parser.parse(many), ParseResult::kCommand);
  ASSERT_EQ(parser.parse(eleven), ParseResult::kCommand);
  parser.set_limits({.max_arguments = 10});
  ASSERT_EQ(parser.parse(eleven), ParseResult::kError);
  EXPECT_EQ(parser.error(), protocol_error("invalid multibulk length"));
  parser.reset();
  parser.set_limits({.unauthenticated = true});
  ASSERT_EQ(parser.parse(eleven), ParseResult::kError);
  EXPECT_EQ(parser.error(), protocol_error("unauthenticated multibulk length"));
}

TEST(Limit, IsLiftedBetweenTwoPipelinedCommands) {
  const std::string stream = "*1\r\n$4\r\nAUTH\r\n*1\r\n$20000\r\n";
  RequestParser parser(Limits{.unauthenticated = true});
  ASSERT_EQ(parser.parse(stream), ParseResult::kCommand);
  parser.set_limits({});
  EXPECT_EQ(parser.parse(std::string_view(stream).substr(parser.consumed())),
            ParseResult::kLargeArgument);
}

TEST(Consumed, SkippedCommandsAreConsumedWhenNothingFollows) {
  RequestParser parser;
  EXPECT_EQ(parser.parse("\r\n*0\r\n\n"), ParseResult::kNeedMore);
  EXPECT_EQ(parser.consumed(), 7);
  EXPECT_FALSE(parser.in_command());
}

TEST(Consumed, GoesWithTheCommandBehindTheSkippedOnes) {
  RequestParser parser;
  EXPECT_EQ(parser.parse("\r\n*0\r\nPI"), ParseResult::kNeedMore);
  EXPECT_EQ(parser.consumed(), 0);
  EXPECT_TRUE(parser.in_command());
  EXPECT_EQ(parser.parse("\r\n*0\r\nPING\r\n*"), ParseResult::kCommand);
  EXPECT_EQ(parser.consumed(), 12);
}

TEST(Reset, LeavesNothingOfABrokenStream) {
  RequestParser parser;
  for (const std::string_view broken :
       {"*2\r\n$3\r\nGET\r\n$1", "*x\r\n", "GET 'a", "*1\r\n$9000\r\n"}) {
    EXPECT_NE(parser.parse(broken), ParseResult::kCommand);
    parser.reset();
    EXPECT_FALSE(parser.in_command());
    EXPECT_EQ(parser.parse("*1\r\n$4\r\nPING\r\n"), ParseResult::kCommand);
    EXPECT_THAT(parser.arguments(), ElementsAre("PING"));
  }
}

TEST(Memory, AnIdleParserIsSmall) {
  EXPECT_LE(sizeof(RequestParser), 200);
  EXPECT_EQ(RequestParser().heap_bytes(), 0);
}

TEST(Memory, TheSecondCommandOfAShapeAllocatesNothing) {
  const std::string set = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n";
  RequestParser parser;
  ASSERT_EQ(parser.parse(set), ParseResult::kCommand);
  const size_t held = parser.heap_bytes();
  const std::string_view* const slots = parser.arguments().data();
  EXPECT_EQ(held, 3 * sizeof(std::string_view));
  ASSERT_EQ(parser.parse(set), ParseResult::kCommand);
  EXPECT_EQ(parser.heap_bytes(), held);
  EXPECT_EQ(parser.arguments().data(), slots);
}

TEST(Memory, AnAnnouncedCountReservesLittle) {
  RequestParser parser;
  ASSERT_EQ(parser.parse("*1048576\r\n"), ParseResult::kNeedMore);
  EXPECT_LE(parser.heap_bytes(), 1024 * sizeof(std::string_view));
}

TEST(Memory, IsGivenBackAfterAGiantCommand) {
  constexpr int kArguments = 1 << 20;
  std::string stream = "*" + std::to_string(kArguments) + "\r\n";
  for (int i = 0; i < kArguments; ++i) stream += "$1\r\nx\r\n";
  RequestParser parser;
  for (size_t size = 1 << 20; size < stream.size(); size += 1 << 20) {
    ASSERT_EQ(parser.parse(std::string_view(stream).substr(0, size)), ParseResult::kNeedMore);
  }
  ASSERT_EQ(parser.parse(stream), ParseResult::kCommand);
  EXPECT_EQ(parser.arguments().size(), kArguments);
  EXPECT_TRUE(
      std::ranges::all_of(parser.arguments(), [](auto argument) { return argument == "x"; }));
  EXPECT_GE(parser.heap_bytes(), kArguments * sizeof(std::string_view));
  EXPECT_EQ(parser.parse(""), ParseResult::kNeedMore);
  EXPECT_EQ(parser.heap_bytes(), 0);
}

TEST(Memory, IsGivenBackAfterALongQuotedLine) {
  RequestParser parser;
  ASSERT_EQ(parser.parse("ECHO '" + std::string(50000, 'x') + "'\n"), ParseResult::kCommand);
  EXPECT_GE(parser.heap_bytes(), 50000);
  EXPECT_EQ(parser.parse(""), ParseResult::kNeedMore);
  EXPECT_LE(parser.heap_bytes(), 1000);
}

TEST(Memory, IsReleasedBetweenCommandsOnly) {
  const std::string stream = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
  RequestParser parser;
  ASSERT_EQ(parser.parse(stream.substr(0, 15)), ParseResult::kNeedMore);
  parser.release_memory();
  ASSERT_EQ(parser.parse(stream), ParseResult::kCommand);
  EXPECT_THAT(parser.arguments(), ElementsAre("GET", "a"));
  parser.release_memory();
  EXPECT_EQ(parser.heap_bytes(), 0);
  EXPECT_EQ(parser.parse(stream), ParseResult::kCommand);
}

}  // namespace
}  // namespace resp
