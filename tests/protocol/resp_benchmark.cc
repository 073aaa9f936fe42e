// What one command costs to parse and one reply to write, for small pipelined GETs and SETs. Times
// are per command; compare them within one run only.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"

namespace {

constexpr int kPipeline = 64;
constexpr size_t kKeyBytes = 16;
constexpr size_t kValueBytes = 64;

void append_bulk(std::string& out, std::string_view bytes) {
  out.append("$").append(std::to_string(bytes.size())).append("\r\n").append(bytes).append("\r\n");
}

std::string get_command(int i) {
  std::string key = "key:" + std::to_string(i);
  key.resize(kKeyBytes, '0');
  std::string out = "*2\r\n";
  append_bulk(out, "GET");
  append_bulk(out, key);
  return out;
}

std::string set_command(int i) {
  std::string key = "key:" + std::to_string(i);
  key.resize(kKeyBytes, '0');
  std::string out = "*3\r\n";
  append_bulk(out, "SET");
  append_bulk(out, key);
  append_bulk(out, std::string(kValueBytes, 'v'));
  return out;
}

std::string mixed_command(int i) {
  return i % 10 == 0 ? set_command(i) : get_command(i);
}

std::string inline_command(int) {
  return "PING\r\n";
}

template <typename Command>
std::string pipeline(Command command, int commands) {
  std::string stream;
  for (int i = 0; i < commands; ++i) stream += command(i);
  return stream;
}

void count_commands(benchmark::State& state, int64_t commands, size_t bytes) {
  state.SetItemsProcessed(commands);
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * static_cast<int64_t>(state.iterations()));
  state.counters["per_command"] = benchmark::Counter(
      static_cast<double>(commands), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void parse_stream(benchmark::State& state, const std::string& stream) {
  resp::RequestParser parser;
  int64_t commands = 0;
  size_t argument_bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    std::string_view input = stream;
    while (parser.parse(input) == resp::ParseResult::kCommand) {
      for (const std::string_view argument : parser.arguments()) argument_bytes += argument.size();
      input.remove_prefix(parser.consumed());
      ++commands;
    }
  }
  benchmark::DoNotOptimize(argument_bytes);
  count_commands(state, commands, stream.size());
}

void parse_get(benchmark::State& state) {
  parse_stream(state, pipeline(get_command, kPipeline));
}
void parse_set(benchmark::State& state) {
  parse_stream(state, pipeline(set_command, kPipeline));
}
void parse_mixed(benchmark::State& state) {
  parse_stream(state, pipeline(mixed_command, kPipeline));
}
void parse_one_get(benchmark::State& state) {
  parse_stream(state, get_command(1));
}
void parse_inline_ping(benchmark::State& state) {
  parse_stream(state, pipeline(inline_command, kPipeline));
}

// An MGET of 100 keys cut into reads of range(0) bytes.
void parse_cut_mget(benchmark::State& state) {
  std::string stream = "*101\r\n$4\r\nMGET\r\n";
  for (int i = 0; i < 100; ++i) append_bulk(stream, "key:0123456789ab");
  const auto cut = static_cast<size_t>(state.range(0));
  resp::RequestParser parser;
  int64_t commands = 0;
  for ([[maybe_unused]] auto _ : state) {
    for (size_t arrived = 0; arrived < stream.size();) {
      arrived = std::min(stream.size(), arrived + cut);
      const auto result = parser.parse(std::string_view(stream).substr(0, arrived));
      commands += result == resp::ParseResult::kCommand ? 1 : 0;
    }
  }
  count_commands(state, commands, stream.size());
}

// Chunks of 16 KB, one at a time.
class RecycledChunk : public resp::OutputBuffer {
 public:
  RecycledChunk() : chunk_(size_t{16} * 1024) { start_again(); }
  void start_again() { set_window(chunk_.data(), chunk_.data() + chunk_.size()); }

 private:
  void grow(size_t) override { start_again(); }
  std::vector<char> chunk_;
};

template <typename Write>
void write_replies(benchmark::State& state, Write write) {
  RecycledChunk output;
  resp::ReplyWriter writer(output, resp::Protocol::kResp2);
  for ([[maybe_unused]] auto _ : state) {
    output.start_again();
    for (int i = 0; i < kPipeline; ++i) write(writer, i);
    benchmark::ClobberMemory();
  }
  count_commands(state, static_cast<int64_t>(state.iterations()) * kPipeline, 0);
}

void write_ok(benchmark::State& state) {
  write_replies(state, [](resp::ReplyWriter& writer, int) { writer.ok(); });
}
void write_null(benchmark::State& state) {
  write_replies(state, [](resp::ReplyWriter& writer, int) { writer.null(); });
}
void write_integer(benchmark::State& state) {
  write_replies(state, [](resp::ReplyWriter& writer, int i) { writer.integer(i & 1); });
}
void write_bulk(benchmark::State& state) {
  const std::string value(kValueBytes, 'v');
  write_replies(state, [&value](resp::ReplyWriter& writer, int) { writer.bulk(value); });
}
void write_bulk_header(benchmark::State& state) {
  write_replies(state, [](resp::ReplyWriter& writer, int) {
    writer.bulk_header(4096);
    writer.bulk_end();
  });
}

BENCHMARK(parse_get);
BENCHMARK(parse_set);
BENCHMARK(parse_mixed);
BENCHMARK(parse_one_get);
BENCHMARK(parse_inline_ping);
BENCHMARK(parse_cut_mget)->Arg(16384)->Arg(100)->Arg(1);
BENCHMARK(write_ok);
BENCHMARK(write_null);
BENCHMARK(write_integer);
BENCHMARK(write_bulk);
BENCHMARK(write_bulk_header);

}  // namespace

int main(int argc, char** argv) {
  benchmark::AddCustomContext("pipeline", std::to_string(kPipeline));
  benchmark::AddCustomContext("key_bytes", std::to_string(kKeyBytes));
  benchmark::AddCustomContext("value_bytes", std::to_string(kValueBytes));
  benchmark::AddCustomContext("sizeof_parser", std::to_string(sizeof(resp::RequestParser)));
#ifdef NDEBUG
  benchmark::AddCustomContext("assertions", "off");
#else
  benchmark::AddCustomContext("assertions", "on");
#endif
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
