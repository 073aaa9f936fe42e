#include "protocol/resp_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "tests/protocol/resp_test_connection.h"

namespace resp {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using Events = std::vector<std::string>;

constexpr LargeMode kLargeModes[] = {LargeMode::kCopyOut, LargeMode::kCutOut,
                                     LargeMode::kKeepInInput};
constexpr size_t kLongestLine = 65536;

std::string protocol_error(std::string_view text) {
  return "ERR Protocol error: " + std::string(text);
}

std::string bulk(std::string_view bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
}

Events parse_pieces(std::string_view stream, const std::vector<size_t>& cuts, const Limits& limits,
                    LargeMode mode) {
  TestConnection connection(limits, mode);
  size_t begin = 0;
  for (const size_t cut : cuts) {
    connection.receive(stream.substr(begin, cut - begin));
    begin = cut;
  }
  connection.receive(stream.substr(begin));
  return connection.events();
}

Events parse_evenly(std::string_view stream, size_t piece, const Limits& limits = {},
                    LargeMode mode = LargeMode::kCopyOut) {
  TestConnection connection(limits, mode);
  for (size_t at = 0; at < stream.size(); at += piece) connection.receive(stream.substr(at, piece));
  return connection.events();
}

// The stream gives these events whole, byte by byte, cut at each place, and when it is short, cut
// at each two places.
void expect_events(std::string_view stream, const Events& events, const Limits& limits = {}) {
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

struct StreamCase {
  const char* name;
  std::string stream;
  Events events;
};

std::string case_name(const testing::TestParamInfo<StreamCase>& info) {
  return info.param.name;
}

class RequestStream : public testing::TestWithParam<StreamCase> {};

TEST_P(RequestStream, GivesTheSameCommandsHoweverItIsCut) {
  expect_events(GetParam().stream, GetParam().events);
}

INSTANTIATE_TEST_SUITE_P(
    Multibulk, RequestStream,
    testing::Values(
        StreamCase{"Nothing", "", {}},
        StreamCase{"Get", "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", {"[3:GET][3:key]"}},
        StreamCase{"Set",
                   "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$5\r\nvalue\r\n",
                   {"[3:SET][16:key:000000000001][5:value]"}},
        StreamCase{"Pipeline",
                   "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nQUIT\r\n",
                   {"[4:PING]", "[3:GET][1:a]", "[4:QUIT]"}},
        StreamCase{"EmptyArguments", "*2\r\n$0\r\n\r\n$0\r\n\r\n", {"[0:][0:]"}},
        StreamCase{"BinaryArgument",
                   "*2\r\n$3\r\nGET\r\n$7\r\n\r\n*\0$1\xff\r\n"s,
                   {"[3:GET][7:\r\n*\0$1\xff]"s}},
        StreamCase{"TenArgumentsOrMore",
                   "*11\r\n" + bulk("DEL") + bulk("a") + bulk("b") + bulk("c") + bulk("d") +
                       bulk("e") + bulk("f") + bulk("g") + bulk("h") + bulk("i") + bulk("j"),
                   {"[3:DEL][1:a][1:b][1:c][1:d][1:e][1:f][1:g][1:h][1:i][1:j]"}},
        StreamCase{"ThreeDigitLength",
                   "*1\r\n" + bulk(std::string(100, 'x')),
                   {"[100:" + std::string(100, 'x') + "]"}},
        StreamCase{"FourDigitLength",
                   "*1\r\n" + bulk(std::string(1000, 'x')),
                   {"[1000:" + std::string(1000, 'x') + "]"}},
        StreamCase{"EmptyCommandsAreSkipped",
                   "*0\r\n*-1\r\n*-922337203685477580\r\n*1\r\n$1\r\na\r\n*0\r\n",
                   {"[1:a]"}},
        StreamCase{"LineFeedsAreNotLookedAt",
                   "*1\rX$4\rYPINGab*1\r\r$4\r\rPING\r\r",
                   {"[4:PING]", "[4:PING]"}},
        StreamCase{"CutOffInTheCount", "*1\r", {}}, StreamCase{"CutOffInALength", "*1\r\n$", {}},
        StreamCase{"CutOffInABulk", "*1\r\n$4\r\nPIN", {}},
        StreamCase{"CutOffBehindABulk", "*1\r\n$4\r\nPING\r", {}},
        StreamCase{"ANulHidesTheEndOfACount", "*1\0\r\n$4\r\nPING\r\n"s, {}},
        StreamCase{"ANulHidesTheEndOfALength", "*1\r\n$4\0\r\nPING\r\n"s, {}}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Inline, RequestStream,
    testing::Values(
        StreamCase{"Ping", "PING\r\n", {"[4:PING]"}},
        StreamCase{"LineFeedOnly", "PING\n", {"[4:PING]"}},
        StreamCase{"Arguments", "SET key value\r\n", {"[3:SET][3:key][5:value]"}},
        StreamCase{"Blanks", " \t SET \t key   \r\n", {"[3:SET][3:key]"}},
        StreamCase{"EmptyLinesAreSkipped", "\r\n\n \t\r\nPING\r\n\r\n", {"[4:PING]"}},
        StreamCase{"CarriageReturnSeparates", "GET a\rb\r\r\n", {"[3:GET][1:a][1:b]"}},
        StreamCase{"VerticalTabSeparatesOnlyInFront", "\v\fGET a\vb\n", {"[3:GET][3:a\vb]"}},
        StreamCase{"DoubleQuotes", "SET \"a b\" \"\"\r\n", {"[3:SET][3:a b][0:]"}},
        StreamCase{"Escapes",
                   R"(ECHO "\n\r\t\b\a\\\"\q\x41\xfF\x00\x4g\x")"
                   "\r\n",
                   {"[4:ECHO][15:\n\r\t\b\a\\\"qA\xff\0x4gx]"s}},
        StreamCase{"SingleQuotes",
                   "ECHO 'a \\'b\\' \"c\\n\\x41\"'\n",
                   {"[4:ECHO][15:a 'b' \"c\\n\\x41\"]"}},
        StreamCase{"BackslashOutsideQuotes", "ECHO a\\n\\x41\n", {"[4:ECHO][7:a\\n\\x41]"}},
        StreamCase{
            "QuotesInsideAWord", "ECHO a\"b c\" d'e f' g\n", {"[4:ECHO][4:ab c][4:de f][1:g]"}},
        StreamCase{"EveryWordQuoted", "'SET' \"k\" 'v'\n", {"[3:SET][1:k][1:v]"}},
        StreamCase{"LongQuotedWords",
                   "'0123456789' \"abcdefghij\" k '0123456789abcdef'\n",
                   {"[10:0123456789][10:abcdefghij][1:k][16:0123456789abcdef]"}},
        StreamCase{"ThenMultibulk",
                   "PING\r\n*1\r\n$4\r\nPING\r\nGET *1\r\n",
                   {"[4:PING]", "[4:PING]", "[3:GET][2:*1]"}},
        StreamCase{"CutOff", "PING", {}}, StreamCase{"CutOffBeforeLineFeed", "PING\r", {}},
        StreamCase{"ANulHidesTheEnd", "PING\0\r\nPING\r\n"s, {}}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Malformed, RequestStream,
    testing::Values(
        StreamCase{"CountEmpty", "*\r\n", {protocol_error("invalid multibulk length")}},
        StreamCase{"CountNoNumber", "*x\r\n", {protocol_error("invalid multibulk length")}},
        StreamCase{"CountSpace", "* 1\r\n", {protocol_error("invalid multibulk length")}},
        StreamCase{"CountPlus", "*+1\r\n", {protocol_error("invalid multibulk length")}},
        StreamCase{"CountLeadingZero", "*01\r\n", {protocol_error("invalid multibulk length")}},
        StreamCase{"CountMinusZero", "*-0\r\n", {protocol_error("invalid multibulk length")}},
        StreamCase{"CountMinus", "*-\r\n", {protocol_error("invalid multibulk length")}},
        StreamCase{
            "CountTrailingGarbage", "*12a\r\n", {protocol_error("invalid multibulk length")}},
        StreamCase{
            "CountAboveIntMax", "*2147483648\r\n", {protocol_error("invalid multibulk length")}},
        StreamCase{"CountAboveInt64",
                   "*9223372036854775808\r\n",
                   {protocol_error("invalid multibulk length")}},
        StreamCase{"NoDollar", "*1\r\nPING\r\n", {protocol_error("expected '$', got 'P'")}},
        StreamCase{"NoDollarEmptyLine", "*1\r\n\r\n", {protocol_error("expected '$', got '\r'")}},
        StreamCase{"NoDollarInSecondBulk",
                   "*2\r\n$3\r\nGET\r\n:3\r\nkey\r\n",
                   {protocol_error("expected '$', got ':'")}},
        StreamCase{
            "NoDollarHighByte", "*1\r\n\xff\r\n", {protocol_error("expected '$', got '\xff'")}},
        StreamCase{"LengthEmpty", "*1\r\n$\r\n", {protocol_error("invalid bulk length")}},
        StreamCase{"LengthNegative", "*1\r\n$-1\r\n", {protocol_error("invalid bulk length")}},
        StreamCase{
            "LengthLeadingZero", "*1\r\n$04\r\nPING\r\n", {protocol_error("invalid bulk length")}},
        StreamCase{"LengthTwoZeros", "*1\r\n$00\r\n\r\n", {protocol_error("invalid bulk length")}},
        StreamCase{"LengthPlus", "*1\r\n$+4\r\nPING\r\n", {protocol_error("invalid bulk length")}},
        StreamCase{"LengthTrailingSpace",
                   "*1\r\n$4 \r\nPING\r\n",
                   {protocol_error("invalid bulk length")}},
        StreamCase{
            "LengthThreeDigitsAndMore", "*1\r\n$123a\r\n", {protocol_error("invalid bulk length")}},
        StreamCase{
            "LengthFourDigitsAndMore", "*1\r\n$1234a\r\n", {protocol_error("invalid bulk length")}},
        StreamCase{
            "LengthAboveLimit", "*1\r\n$536870913\r\n", {protocol_error("invalid bulk length")}},
        StreamCase{"NoDigitWithEnoughBytes",
                   "*1\r\n$a\r\n" + std::string(70, 'x'),
                   {protocol_error("invalid bulk length")}},
        StreamCase{"OneDigitAndGarbageWithEnoughBytes",
                   "*1\r\n$1a\r\n" + std::string(70, 'x'),
                   {protocol_error("invalid bulk length")}},
        StreamCase{"TwoDigitsAndGarbageWithEnoughBytes",
                   "*1\r\n$12a\r\n" + std::string(180, 'x'),
                   {protocol_error("invalid bulk length")}},
        StreamCase{"ThreeDigitsAndGarbageWithEnoughBytes",
                   "*1\r\n$100a\r\n" + std::string(1100, 'x'),
                   {protocol_error("invalid bulk length")}},
        StreamCase{"LengthAboveInt64",
                   "*1\r\n$18446744073709551620\r\nPING\r\n",
                   {protocol_error("invalid bulk length")}},
        StreamCase{
            "DoubleQuoteOpen", "ECHO \"a b\r\n", {protocol_error("unbalanced quotes in request")}},
        StreamCase{
            "SingleQuoteOpen", "ECHO 'a\r\n", {protocol_error("unbalanced quotes in request")}},
        StreamCase{"EscapedQuoteOpen",
                   "ECHO \"a\\\"\r\n",
                   {protocol_error("unbalanced quotes in request")}},
        StreamCase{
            "BackslashAtEnd", "ECHO \"a\\\r\n", {protocol_error("unbalanced quotes in request")}},
        StreamCase{"TextBehindDoubleQuote",
                   "ECHO \"a\"b\r\n",
                   {protocol_error("unbalanced quotes in request")}},
        StreamCase{"TextBehindSingleQuote",
                   "ECHO 'a''b'\r\n",
                   {protocol_error("unbalanced quotes in request")}},
        StreamCase{"BehindGoodCommands",
                   "PING\r\n*1\r\n$4\r\nPING\r\n*x\r\nPING\r\n",
                   {"[4:PING]", "[4:PING]", protocol_error("invalid multibulk length")}}),
    case_name);

// Large arguments, with a threshold small enough to cut everywhere.
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

TEST(ParseInteger, TakesWhatRedisTakes) {
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("7"), 7);
  EXPECT_EQ(parse_integer("-1"), -1);
  EXPECT_EQ(parse_integer("100"), 100);
  EXPECT_EQ(parse_integer("9223372036854775807"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(parse_integer("-9223372036854775808"), std::numeric_limits<int64_t>::min());
}

TEST(ParseInteger, RefusesTheRest) {
  for (const std::string_view text :
       {"", "-", "+1", "01", "00", "-0", "-01", " 1", "1 ", "1a", "0x1", "1.0", "--1", "1-",
        "9223372036854775808", "-9223372036854775809", "99999999999999999999999"}) {
    EXPECT_EQ(parse_integer(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_integer("1\0"s), std::nullopt);
}

}  // namespace
}  // namespace resp
