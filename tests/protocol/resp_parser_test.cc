// Streams of requests, well-formed and malformed, and what the parser makes of them however they
// are cut.
#include "protocol/resp_parser.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>

#include "tests/protocol/resp_streams.h"

namespace resp {
namespace {

using namespace std::string_literals;

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
