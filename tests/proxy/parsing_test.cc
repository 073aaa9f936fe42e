// The pure parts: SET's and EXPIRE's options, times, patterns, command line and configuration.
#include <gtest/gtest.h>

#include <fstream>

#include "proxy/config.h"
#include "proxy/connection.h"
#include "proxy/glob.h"
#include "proxy/options.h"
#include "proxy/proxy.h"
#include "proxy/set_options.h"

namespace rdmakv::proxy {
namespace {

using Words = std::vector<std::string_view>;

// As SET takes them.
std::optional<SetOptions> parse(Words words) {
  return parse_set_options(words, SetOptions::kConditions | SetOptions::kGet |
                                      SetOptions::kKeepTtl | SetOptions::kComparisons);
}

TEST(SetOptions, OnlyWhatTheCommandTakes) {
  const Words nx = {"NX"}, get = {"GET"}, keep = {"KEEPTTL"}, persist = {"PERSIST"},
              equal = {"IFEQ", "a"}, expiry = {"EX", "1"};
  for (const Words& words : {nx, get, keep, persist, equal}) {
    EXPECT_FALSE(parse_set_options(words, 0)) << words[0];
  }
  EXPECT_TRUE(parse_set_options(expiry, 0));
  EXPECT_TRUE(parse_set_options(persist, SetOptions::kPersist));
  const Words both = {"PERSIST", "EX", "1"};
  EXPECT_FALSE(parse_set_options(both, SetOptions::kPersist));
}

TEST(SetOptions, Comparisons) {
  const auto options = parse({"GET", "ifdne", "0123456789abcdef", "EX", "9"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->comparison, wire::Comparison::kDigestNotEqual);
  EXPECT_EQ(options->compared, 2u);
  EXPECT_FALSE(parse({"IFEQ"}));
  EXPECT_FALSE(parse({"IFEQ", "a", "NX"}));
  EXPECT_FALSE(parse({"XX", "IFEQ", "a"}));
}

TEST(SetOptions, None) {
  const auto options = parse({});
  ASSERT_TRUE(options);
  EXPECT_FALSE(options->if_absent || options->if_present || options->get || options->keep_ttl);
  EXPECT_FALSE(options->expiry);
}

TEST(SetOptions, AnyCaseAndOrder) {
  const auto options = parse({"gEt", "Px", "10", "xX"});
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->get && options->if_present && options->relative);
  EXPECT_EQ(*options->expiry, "10");
  EXPECT_EQ(options->unit, TimeUnit::kMilliseconds);
}

TEST(SetOptions, EachExpiryOption) {
  EXPECT_TRUE(parse({"EX", "1"})->relative);
  EXPECT_TRUE(parse({"PX", "1"})->relative);
  EXPECT_FALSE(parse({"EXAT", "1"})->relative);
  EXPECT_FALSE(parse({"PXAT", "1"})->relative);
  EXPECT_EQ(parse({"EXAT", "1"})->unit, TimeUnit::kSeconds);
  EXPECT_EQ(parse({"PXAT", "1"})->unit, TimeUnit::kMilliseconds);
}

TEST(SetOptions, ContradictionsAreErrors) {
  EXPECT_FALSE(parse({"NX", "XX"}));
  EXPECT_FALSE(parse({"XX", "NX"}));
  EXPECT_FALSE(parse({"EX", "1", "PX", "1"}));
  EXPECT_FALSE(parse({"EX", "1", "EXAT", "1"}));
  EXPECT_FALSE(parse({"KEEPTTL", "EX", "1"}));
  EXPECT_FALSE(parse({"EX", "1", "KEEPTTL"}));
}

TEST(SetOptions, TheSameTwiceIsFineAndTheLastCounts) {
  EXPECT_TRUE(parse({"NX", "NX", "GET", "GET"}));
  EXPECT_EQ(*parse({"EX", "1", "EX", "2"})->expiry, "2");
}

TEST(SetOptions, MissingArgumentAndUnknownWord) {
  EXPECT_FALSE(parse({"EX"}));
  EXPECT_FALSE(parse({"NXX"}));
  EXPECT_FALSE(parse({""}));
}

ExpiryError expiry(std::string_view text, TimeUnit unit, bool relative, int64_t* time = nullptr) {
  int64_t unused = 0;
  return parse_expiry(text, unit, relative, 1000, time != nullptr ? *time : unused);
}

TEST(Expiry, RelativeAndAbsolute) {
  int64_t time = 0;
  EXPECT_EQ(expiry("5", TimeUnit::kSeconds, true, &time), ExpiryError::kNone);
  EXPECT_EQ(time, 6000);
  EXPECT_EQ(expiry("5", TimeUnit::kMilliseconds, false, &time), ExpiryError::kNone);
  EXPECT_EQ(time, 5);
}

TEST(Expiry, Refused) {
  EXPECT_EQ(expiry("0", TimeUnit::kSeconds, true), ExpiryError::kInvalid);
  EXPECT_EQ(expiry("-1", TimeUnit::kSeconds, true), ExpiryError::kInvalid);
  EXPECT_EQ(expiry("x", TimeUnit::kSeconds, true), ExpiryError::kNotAnInteger);
  EXPECT_EQ(expiry("1.5", TimeUnit::kSeconds, true), ExpiryError::kNotAnInteger);
  EXPECT_EQ(expiry("9223372036854775807", TimeUnit::kSeconds, true), ExpiryError::kInvalid);
  EXPECT_EQ(expiry("9223372036854775807", TimeUnit::kMilliseconds, true), ExpiryError::kInvalid);
  EXPECT_EQ(expiry("9223372036854775807", TimeUnit::kMilliseconds, false), ExpiryError::kNone);
  EXPECT_EQ(expiry("9223372036854775808", TimeUnit::kMilliseconds, false),
            ExpiryError::kNotAnInteger);
}

TEST(Expiry, ExpireAllowsThePast) {
  int64_t time = 0;
  EXPECT_EQ(parse_expire_time("-5", TimeUnit::kSeconds, true, 1000, time), ExpiryError::kNone);
  EXPECT_EQ(time, -4000);
  EXPECT_EQ(parse_expire_time("-9223372036854775808", TimeUnit::kSeconds, true, 1000, time),
            ExpiryError::kInvalid);
  EXPECT_EQ(parse_expire_time("-9223372036854775808", TimeUnit::kMilliseconds, true, 1000, time),
            ExpiryError::kNone);
  EXPECT_EQ(parse_expire_time("9223372036854775807", TimeUnit::kMilliseconds, true, 1000, time),
            ExpiryError::kInvalid);
}

TEST(ExpireOptions, Contradictions) {
  ExpireOptions options;
  EXPECT_TRUE(parse_expire_options(Words{"xx", "gt"}, options).empty());
  EXPECT_TRUE(options.xx && options.gt);
  for (const Words& words : {Words{"NX", "XX"}, Words{"NX", "GT"}, Words{"LT", "NX"}}) {
    ExpireOptions fresh;
    EXPECT_EQ(parse_expire_options(words, fresh),
              "ERR NX and XX, GT or LT options at the same time are not compatible");
  }
  ExpireOptions both, unknown;
  EXPECT_EQ(parse_expire_options(Words{"GT", "LT"}, both),
            "ERR GT and LT options at the same time are not compatible");
  EXPECT_EQ(parse_expire_options(Words{"FOO"}, unknown), "ERR Unsupported option ");
  EXPECT_EQ(unknown.unsupported, "FOO");
}

TEST(Glob, AsRedis) {
  EXPECT_TRUE(glob_matches("*", "", false));
  EXPECT_TRUE(glob_matches("a*b*c", "aXXbYYc", false));
  EXPECT_FALSE(glob_matches("a*b*c", "aXXbYY", false));
  EXPECT_TRUE(glob_matches("h?llo", "hello", false));
  EXPECT_TRUE(glob_matches("h[ae]llo", "hallo", false));
  EXPECT_FALSE(glob_matches("h[^e]llo", "hello", false));
  EXPECT_TRUE(glob_matches("h[a-c]llo", "hbllo", false));
  EXPECT_TRUE(glob_matches("h[c-a]llo", "hbllo", false));
  EXPECT_TRUE(glob_matches("\\*", "*", false));
  EXPECT_FALSE(glob_matches("\\*", "x", false));
  EXPECT_TRUE(glob_matches("MAX*", "maxclients", true));
  EXPECT_FALSE(glob_matches("MAX*", "maxclients", false));
  EXPECT_FALSE(glob_matches("", "x", false));
  EXPECT_FALSE(glob_matches("[", "x", false));
}

TEST(Glob, ManyStarsAreNotExponential) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "a*";
  EXPECT_FALSE(glob_matches(pattern + "b", std::string(5000, 'a'), false));
}

TEST(Escaped, CutsAndEscapes) {
  EXPECT_EQ(escaped("a\"\\\n\xff"), "a\\\"\\\\\\x0a\\xff");
  EXPECT_EQ(escaped(std::string(100, 'x'), 10), "xxxxxxxxxx... (100 bytes)");
}

ParsedOptions parse_line(std::vector<const char*> words) {
  words.insert(words.begin(), "kv_proxy");
  return parse_options(static_cast<int>(words.size()), words.data());
}

TEST(Options, Defaults) {
  const ParsedOptions parsed = parse_line({"--server", "shm:7"});
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.options.address, "127.0.0.1");
  EXPECT_EQ(parsed.options.port, 6379);
  EXPECT_GE(parsed.options.threads, 1u);
  EXPECT_LE(parsed.options.threads, 4u);
}

TEST(Options, AllOfThem) {
  const ParsedOptions parsed = parse_line({"-a",
                                           "0.0.0.0",
                                           "-p",
                                           "7000",
                                           "--unix-socket",
                                           "/tmp/x",
                                           "--unix-socket-mode",
                                           "770",
                                           "--threads",
                                           "3",
                                           "--server",
                                           "a:1",
                                           "--server",
                                           "b:2",
                                           "-d",
                                           "mlx5_0",
                                           "--timeout",
                                           "100",
                                           "--maxclients",
                                           "5",
                                           "--log-level",
                                           "debug"});
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.options.servers, (std::vector<std::string>{"a:1", "b:2"}));
  EXPECT_EQ(parsed.options.unix_socket_mode, 0770u);
  EXPECT_EQ(parsed.options.max_clients, 5u);
}

TEST(Options, ErrorsAreClear) {
  EXPECT_NE(parse_line({}).text.find("--server is required"), std::string::npos);
  EXPECT_EQ(parse_line({}).exit_status, 1);
  EXPECT_EQ(parse_line({"--server", "a:1", "-p", "70000"}).exit_status, 1);
  EXPECT_EQ(parse_line({"--server", "a:1", "--threads", "0"}).exit_status, 1);
  EXPECT_NE(parse_line({"--server", "a:1", "--unix-socket-mode", "9"}).text.find("file mode"),
            std::string::npos);
  EXPECT_EQ(parse_line({"--nonsense"}).exit_status, 1);
}

TEST(Options, HelpAndVersionAreNoErrors) {
  EXPECT_EQ(parse_line({"--help"}).exit_status, 0);
  EXPECT_NE(parse_line({"--help"}).text.find("--unix-socket-mode"), std::string::npos);
  EXPECT_EQ(parse_line({"--version"}).exit_status, 0);
  EXPECT_NE(parse_line({"--version"}).text.find("kv_proxy 0."), std::string::npos);
}

TEST(Options, FromAFile) {
  const std::string path = ::testing::TempDir() + "/kv_proxy_options_test.conf";
  std::ofstream(path) << "port = 7001\nserver = [\"shm:5\", \"shm:6\"]\nlog-level = \"warn\"\n";
  const ParsedOptions parsed = parse_line({"--config", path.c_str(), "--threads", "2"});
  std::remove(path.c_str());
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.options.port, 7001);
  EXPECT_EQ(parsed.options.servers, (std::vector<std::string>{"shm:5", "shm:6"}));
}

TEST(Options, FromAFileALineEach) {
  const std::string path = ::testing::TempDir() + "/kv_proxy_lines_test.conf";
  std::ofstream(path) << "# a comment\nserver = shm:5\nserver = 'shm:6'\n"
                         "user = 'a, [b] >#c on'\nuser = [\"d, >e\", 'f']\n";
  const ParsedOptions parsed = parse_line({"--config", path.c_str()});
  std::remove(path.c_str());
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.options.servers, (std::vector<std::string>{"shm:5", "shm:6"}));
  EXPECT_EQ(parsed.options.users, (std::vector<std::string>{"a, [b] >#c on", "d, >e", "f"}));
}

std::string set_one(Proxy& proxy, std::string_view name, std::string_view value) {
  return set_config(proxy, {{name, value}});
}

TEST(Config, NumbersAndMemory) {
  Proxy proxy{Options{}};
  EXPECT_EQ(set_one(proxy, "client-query-buffer-limit", "2mb"), "");
  EXPECT_EQ(proxy.settings().query_buffer_limit, 2u << 20);
  EXPECT_NE(set_one(proxy, "client-query-buffer-limit", "2xb"), "");
  EXPECT_NE(set_one(proxy, "client-query-buffer-limit", "99999999999gb"), "");
  EXPECT_NE(set_one(proxy, "timeout", "-1").find("between 0 and 2147483647"), std::string::npos);
}

TEST(Config, AllOrNothing) {
  Proxy proxy{Options{}};
  EXPECT_NE(set_config(proxy, {{"timeout", "7"}, {"tcp-keepalive", "x"}}), "");
  EXPECT_EQ(proxy.settings().idle_timeout_s, 0u);
  EXPECT_NE(set_config(proxy, {{"timeout", "7"}, {"TIMEOUT", "8"}}).find("duplicate"),
            std::string::npos);
  EXPECT_NE(set_one(proxy, "nosuch", "1").find("Unknown option"), std::string::npos);
}

TEST(Config, WhatCannotChangeMayBeSetToWhatItIs) {
  Proxy proxy{Options{}};
  EXPECT_EQ(set_one(proxy, "appendonly", "no"), "");
  EXPECT_EQ(set_one(proxy, "save", ""), "");
  EXPECT_NE(set_one(proxy, "appendonly", "yes"), "");
}

TEST(Config, OutputLimit) {
  Proxy proxy{Options{}};
  EXPECT_EQ(set_one(proxy, "client-output-buffer-limit", "normal 1mb 0 0"), "");
  EXPECT_EQ(proxy.settings().output_limit_bytes, 1u << 20);
  EXPECT_NE(set_one(proxy, "client-output-buffer-limit", "normal 1mb 0"), "");
  EXPECT_NE(set_one(proxy, "client-output-buffer-limit", "strange 1mb 0 0"), "");
}

TEST(Config, PatternsAreAnsweredOnce) {
  Proxy proxy{Options{}};
  EXPECT_EQ(get_config(proxy, {"save", "s*ve", "SAVE"}).size(), 1u);
  EXPECT_EQ(get_config(proxy, {"nosuch"}).size(), 0u);
  EXPECT_GT(get_config(proxy, {"*"}).size(), 15u);
}

}  // namespace
}  // namespace rdmakv::proxy
