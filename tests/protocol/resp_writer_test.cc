#include "protocol/resp_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/resp_parser.h"

namespace resp {
namespace {

using namespace std::string_literals;

// Windows of one size, each in memory of its own, so that a sanitizer sees a write past its end.
class ChunkChain : public OutputBuffer {
 public:
  explicit ChunkChain(size_t chunk_size) : chunk_size_(chunk_size) {}

  std::string bytes() {
    close_chunk();
    return closed_;
  }
  size_t chunks() const { return chunks_; }

 private:
  void grow(size_t bytes) override {
    EXPECT_LE(bytes, kLongestReserve);
    EXPECT_LT(room(), bytes);
    close_chunk();
    chunk_ = std::make_unique<char[]>(chunk_size_);
    set_window(chunk_.get(), chunk_.get() + chunk_size_);
    ++chunks_;
  }

  void close_chunk() {
    if (chunk_ == nullptr) return;
    closed_.append(chunk_.get(), next());
    chunk_.reset();
    set_window(nullptr, nullptr);
  }

  size_t chunk_size_;
  size_t chunks_ = 0;
  std::unique_ptr<char[]> chunk_;
  std::string closed_;
};

using Write = std::function<void(ReplyWriter&)>;

// What is written, at every fill of a chunk of the smallest size, and in one chunk.
std::string written(Protocol protocol, const Write& write) {
  ChunkChain whole(1 << 20);
  ReplyWriter whole_writer(whole, protocol);
  write(whole_writer);
  std::string expected = whole.bytes();
  for (size_t fill = 0; fill <= OutputBuffer::kLongestReserve; ++fill) {
    ChunkChain chain(OutputBuffer::kLongestReserve);
    const std::string before(fill, '.');
    chain.append(before);
    ReplyWriter writer(chain, protocol);
    write(writer);
    EXPECT_EQ(chain.bytes(), before + expected) << "behind " << fill << " bytes";
  }
  return expected;
}

struct ReplyCase {
  const char* name;
  Write write;
  std::string resp2;
  std::string resp3;
};

class Reply : public testing::TestWithParam<ReplyCase> {};

TEST_P(Reply, Resp2) {
  EXPECT_EQ(written(Protocol::kResp2, GetParam().write), GetParam().resp2);
}

TEST_P(Reply, Resp3) {
  EXPECT_EQ(written(Protocol::kResp3, GetParam().write), GetParam().resp3);
}

ReplyCase same(const char* name, Write write, const std::string& bytes) {
  return {name, std::move(write), bytes, bytes};
}

// A double, a bulk in RESP2.
ReplyCase double_case(const char* name, double value, const std::string& digits) {
  return {name, [value](ReplyWriter& w) { w.double_number(value); },
          "$" + std::to_string(digits.size()) + "\r\n" + digits + "\r\n", "," + digits + "\r\n"};
}

ReplyCase integer_case(const char* name, int64_t value) {
  return same(
      name, [value](ReplyWriter& w) { w.integer(value); }, ":" + std::to_string(value) + "\r\n");
}

std::string case_name(const testing::TestParamInfo<ReplyCase>& info) {
  return info.param.name;
}

constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();
constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

INSTANTIATE_TEST_SUITE_P(
    Constant, Reply,
    testing::Values(
        same(
            "Ok", [](ReplyWriter& w) { w.ok(); }, "+OK\r\n"),
        same(
            "Pong", [](ReplyWriter& w) { w.pong(); }, "+PONG\r\n"),
        same(
            "Queued", [](ReplyWriter& w) { w.queued(); }, "+QUEUED\r\n"),
        ReplyCase{"Null", [](ReplyWriter& w) { w.null(); }, "$-1\r\n", "_\r\n"},
        ReplyCase{"NullArray", [](ReplyWriter& w) { w.null_array(); }, "*-1\r\n", "_\r\n"},
        ReplyCase{"True", [](ReplyWriter& w) { w.boolean(true); }, ":1\r\n", "#t\r\n"},
        ReplyCase{"False", [](ReplyWriter& w) { w.boolean(false); }, ":0\r\n", "#f\r\n"}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Line, Reply,
    testing::Values(
        same(
            "SimpleString", [](ReplyWriter& w) { w.simple_string("string"); }, "+string\r\n"),
        same(
            "SimpleStringWithBreaks", [](ReplyWriter& w) { w.simple_string("a\r\nb\n"); },
            "+a  b \r\n"),
        same(
            "EmptySimpleString", [](ReplyWriter& w) { w.simple_string(""); }, "+\r\n"),
        same(
            "Error", [](ReplyWriter& w) { w.error("ERR syntax error"); }, "-ERR syntax error\r\n"),
        same(
            "ErrorWithBreaks", [](ReplyWriter& w) { w.error("ERR a\r\nb"); }, "-ERR a  b\r\n"),
        same(
            "ErrorWithBreaksAtItsEnds", [](ReplyWriter& w) { w.error("\nERR a\r\n\r\n"); },
            "-ERR a\r\n"),
        same(
            "ErrorOfBreaks", [](ReplyWriter& w) { w.error("\r\n"); }, "-\r\n"),
        same(
            "LongError", [](ReplyWriter& w) { w.error("ERR " + std::string(200, '\n') + "x"); },
            "-ERR " + std::string(200, ' ') + "x\r\n")),
    case_name);

INSTANTIATE_TEST_SUITE_P(Integer, Reply,
                         testing::Values(integer_case("Zero", 0), integer_case("One", 1),
                                         integer_case("Nine", 9), integer_case("Ten", 10),
                                         integer_case("MinusOne", -1),
                                         integer_case("Thousands", 12345),
                                         integer_case("Least", kInt64Min),
                                         integer_case("Greatest", kInt64Max)),
                         case_name);

INSTANTIATE_TEST_SUITE_P(
    Bulk, Reply,
    testing::Values(same(
                        "Empty", [](ReplyWriter& w) { w.bulk(""); }, "$0\r\n\r\n"),
                    same(
                        "EmptyWithoutAnAddress", [](ReplyWriter& w) { w.bulk({}); }, "$0\r\n\r\n"),
                    same(
                        "Binary", [](ReplyWriter& w) { w.bulk("a\r\n\0b"s); },
                        "$5\r\na\r\n\0b\r\n"s),
                    same(
                        "LongerThanAChunk", [](ReplyWriter& w) { w.bulk(std::string(1000, 'x')); },
                        "$1000\r\n" + std::string(1000, 'x') + "\r\n"),
                    same(
                        "BulkInteger", [](ReplyWriter& w) { w.bulk_integer(kInt64Min); },
                        "$20\r\n-9223372036854775808\r\n"),
                    same(
                        "ByParts",
                        [](ReplyWriter& w) {
                          w.bulk_header(6);
                          w.output().append("abc");
                          w.output().append("def");
                          w.bulk_end();
                        },
                        "$6\r\nabcdef\r\n"),
                    same(
                        "HeaderOfTheLongest",
                        [](ReplyWriter& w) { w.bulk_header(std::numeric_limits<uint64_t>::max()); },
                        "$18446744073709551615\r\n")),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Aggregate, Reply,
    testing::Values(same(
                        "EmptyArray", [](ReplyWriter& w) { w.array(0); }, "*0\r\n"),
                    same(
                        "Array",
                        [](ReplyWriter& w) {
                          w.array(3);
                          for (int i = 0; i < 3; ++i) w.integer(i);
                        },
                        "*3\r\n:0\r\n:1\r\n:2\r\n"),
                    ReplyCase{"Map",
                              [](ReplyWriter& w) {
                                w.map(3);
                                for (int i = 0; i < 3; ++i) {
                                  w.integer(i);
                                  w.boolean(i == 1);
                                }
                              },
                              "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n",
                              "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n"},
                    ReplyCase{"Set", [](ReplyWriter& w) { w.set(12); }, "*12\r\n", "~12\r\n"},
                    ReplyCase{"Push", [](ReplyWriter& w) { w.push(3); }, "*3\r\n", ">3\r\n"}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Number, Reply,
    testing::Values(
        double_case("Tenth", 0.1, "0.10000000000000001"), double_case("Short", 3.141, "3.141"),
        double_case("Whole", 3, "3"), double_case("Large", 1e22, "1e+22"),
        double_case("Small", 0.00001, "1.0000000000000001e-05"),
        double_case("Longest", -2.2250738585072014e-308, "-2.2250738585072014e-308"),
        double_case("Least", 4.9e-324, "4.9406564584124654e-324"),
        double_case("MinusZero", -0.0, "-0"), double_case("Infinity", kInfinity, "inf"),
        double_case("MinusInfinity", -kInfinity, "-inf"), double_case("Nan", kNan, "nan"),
        double_case("MinusNan", -kNan, "nan"),
        ReplyCase{"BigNumber",
                  [](ReplyWriter& w) { w.big_number("1234567999999999999999999999999999999"); },
                  "$37\r\n1234567999999999999999999999999999999\r\n",
                  "(1234567999999999999999999999999999999\r\n"},
        ReplyCase{
            "Verbatim", [](ReplyWriter& w) { w.verbatim("txt", "This is a verbatim\nstring"); },
            "$25\r\nThis is a verbatim\nstring\r\n", "=29\r\ntxt:This is a verbatim\nstring\r\n"}),
    case_name);

TEST(DoubleNumber, IsWhatPrintfWrites) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t bits = random();
    double value = 0;
    static_assert(sizeof(bits) == sizeof(value));
    std::memcpy(&value, &bits, sizeof(value));
    if (i % 2 == 0) value = static_cast<double>(static_cast<int64_t>(bits) >> (i % 60)) / 1000;
    if (!std::isfinite(value)) continue;
    char text[64];
    std::snprintf(text, sizeof(text), ",%.17g\r\n", value);
    ChunkChain chain(64);
    ReplyWriter(chain, Protocol::kResp3).double_number(value);
    ASSERT_EQ(chain.bytes(), text);
  }
}

TEST(BulkSize, EverySizeAroundAChunk) {
  constexpr size_t kChunk = 128;
  for (size_t size = 0; size < 3 * kChunk; ++size) {
    const std::string value(size, 'v');
    ChunkChain chain(kChunk);
    ReplyWriter(chain, Protocol::kResp2).bulk(value);
    ASSERT_EQ(chain.bytes(), "$" + std::to_string(size) + "\r\n" + value + "\r\n");
  }
}

TEST(ChunkUse, LongBytesFillEachChunk) {
  ChunkChain chain(100);
  chain.append("12345");
  chain.append(std::string(995, 'x'));
  EXPECT_EQ(chain.chunks(), 10);
  EXPECT_EQ(chain.bytes().size(), 1000);
}

TEST(ChunkUse, NothingWrittenTakesNoChunk) {
  ChunkChain chain(100);
  chain.append("");
  EXPECT_EQ(chain.chunks(), 0);
}

// A reply of bulks has a request's form, so the request parser reads back what was written.
TEST(RoundTrip, AnArrayOfBulksReadsBackAsACommand) {
  const std::vector<std::string> arguments = {"SET", "", "\r\n$3\r\n", std::string(3000, 'v'),
                                              "\0"s};
  ChunkChain chain(64);
  ReplyWriter writer(chain, Protocol::kResp3);
  writer.array(arguments.size());
  for (const std::string& argument : arguments) writer.bulk(argument);
  const std::string stream = chain.bytes();
  RequestParser parser;
  ASSERT_EQ(parser.parse(stream), ParseResult::kCommand);
  EXPECT_EQ(parser.consumed(), stream.size());
  EXPECT_EQ(std::vector<std::string>(parser.arguments().begin(), parser.arguments().end()),
            arguments);
}

}  // namespace
}  // namespace resp
