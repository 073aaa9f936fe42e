// The client library's operations as tools/compare-wire measures them against the wire:
//
//   client_latency SERVER DEVICE KIND BYTES COUNT [DEPTH]
//
//   get       GET of a value of BYTES by one READ at a cached location; lent, not copied
//   get-rpc   the same by request
//   put       PUT; of 4 KB and more from a registered buffer, filled before the clock starts
//   cas       one-sided CAS
//   sizes     prints what goes over the wire for such a value, in bytes: READ, request and reply of
//             a GET, request and reply of a PUT, WRITE of a CAS; connects to nobody
//
// One key of 16 bytes. Polls without sleeping. Prints the median latency in microseconds, and
// operations per second with DEPTH under way at a time (default 1). Ends after kMostSeconds, with
// fewer operations then. An operation that went another
// way than asked for is an error, but for CAS, which goes by request while the client waits for
// grants: those are left out, and more than one in ten is an error.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "protocol/kv_layout.h"
#include "protocol/kv_message.h"
#include "rdmakv/client/client.h"
#include "rdmakv/client/clock.h"
#include "rdmakv/fabric_factory.h"

namespace rdmakv {
namespace {

constexpr std::string_view kKey = "compare-wire key";
static_assert(kKey.size() == 16);
constexpr uint64_t kMostSeconds = 3;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "client_latency: %s\n", what.c_str());
  std::exit(1);
}

struct Wanted {
  std::string kind;
  uint32_t bytes = 0, count = 0, depth = 1;
};

void print_sizes(uint32_t bytes) {
  constexpr uint64_t kHead = sizeof(wire::MessageHeader);
  const uint64_t entry = wire::entry_bytes(kKey.size(), bytes, false);
  std::printf("%llu %llu %llu %llu %llu %llu\n", static_cast<unsigned long long>(entry),
              static_cast<unsigned long long>(kHead + wire::request_bytes(kKey.size(), 0)),
              static_cast<unsigned long long>(kHead + wire::reply_bytes(bytes)),
              static_cast<unsigned long long>(kHead + wire::request_bytes(kKey.size(), bytes)),
              static_cast<unsigned long long>(kHead + wire::reply_bytes(0)),
              static_cast<unsigned long long>(entry));
}

// One operation after the other in each of `depth` places.
class Measurement {
 public:
  Measurement(Client& client, const Wanted& wanted)
      : client_(client), wanted_(wanted), value_(wanted.bytes) {
    for (size_t i = 0; i < value_.size(); ++i)
      value_[i] = static_cast<std::byte>(i * 131 + i / 256);
    latencies_.reserve(wanted.count);
  }

  void run() {
    warm_up();
    std::vector<Timed> places(wanted_.depth);
    left_ = wanted_.count;
    const uint64_t began = steady_ns();
    until_ns_ = began + kMostSeconds * 1'000'000'000;
    for (Timed& place : places) {
      place.measurement = this;
      submit(place);
    }
    client_.flush();
    while (under_way_ > 0) {
      client_.poll();
    }
    const double seconds = static_cast<double>(steady_ns() - began) / 1e9;
    const size_t all = latencies_.size() + other_ways_;
    if (latencies_.empty() || other_ways_ * 10 > all) {
      die(std::to_string(other_ways_) + " of " + std::to_string(all) + " went another way");
    }
    std::nth_element(latencies_.begin(), latencies_.begin() + latencies_.size() / 2,
                     latencies_.end());
    std::printf("%.3f %.0f\n", static_cast<double>(latencies_[latencies_.size() / 2]) / 1e3,
                static_cast<double>(all) / seconds);
  }

 private:
  struct Timed : Operation {
    Measurement* measurement = nullptr;
    uint64_t began_ns = 0;
  };

  void prepare(Operation& operation) {
    operation.key = kKey;
    operation.done = nullptr;
    const bool get = wanted_.kind == "get" || wanted_.kind == "get-rpc";
    operation.kind = get ? OperationKind::kGet : OperationKind::kPut;
    if (!get) operation.input = value_;
    if (wanted_.kind == "cas") {
      operation.condition = Condition::kIfVersion;
      operation.expected_version = version_;
    }
  }
  Operation wait_for_one(bool put) {
    Operation operation;
    prepare(operation);
    if (put) {
      operation.kind = OperationKind::kPut;
      operation.condition = Condition::kAlways;
      operation.input = value_;
    }
    client_.submit(operation);
    client_.wait(operation);
    if (operation.code != Code::kOk) die(std::string(code_name(operation.code)));
    version_ = operation.version;
    return operation;
  }
  // The value is there, its location known, and what a CAS needs at hand.
  void warm_up() {
    wait_for_one(true);
    for (int i = 0; i < 100; ++i) {
      const Operation operation = wait_for_one(false);
      if (i >= 10 && went_as_wanted(operation)) break;
    }
  }
  bool went_as_wanted(const Operation& operation) const {
    if (wanted_.kind == "get") return operation.path == ReadPath::kCached;
    if (wanted_.kind == "cas") return operation.path == ReadPath::kSwapped;
    return operation.path == ReadPath::kRequest;
  }
  void submit(Timed& place) {
    prepare(place);
    place.done = &Measurement::done;
    if (wanted_.kind == "put" && wanted_.bytes >= wire::kLargeValue) fill_buffer(place);
    --left_;
    ++under_way_;
    place.began_ns = steady_ns();
    client_.submit(place);
  }
  void fill_buffer(Operation& operation) {
    operation.input = {};
    operation.input_buffer = client_.allocate(wanted_.bytes);
    if (!operation.input_buffer) die("no registered buffer");
    std::memcpy(operation.input_buffer.data(), value_.data(), value_.size());
    operation.input_buffer.set_length(wanted_.bytes);
  }
  static void done(Operation& operation) {
    auto& place = static_cast<Timed&>(operation);
    Measurement& self = *place.measurement;
    const uint64_t now = steady_ns();
    const uint64_t took = now - place.began_ns;
    if (operation.code != Code::kOk) die(std::string(code_name(operation.code)));
    self.version_ = operation.version;
    if (self.went_as_wanted(operation)) {
      self.latencies_.push_back(took);
    } else {
      ++self.other_ways_;
    }
    operation.buffer.reset();
    --self.under_way_;
    if (self.left_ > 0 && now < self.until_ns_) self.submit(place);
  }

  Client& client_;
  const Wanted& wanted_;
  std::vector<std::byte> value_;
  std::vector<uint64_t> latencies_;
  uint64_t version_ = 0;
  uint64_t until_ns_ = 0;
  uint32_t left_ = 0;
  uint32_t under_way_ = 0;
  size_t other_ways_ = 0;
};

uint32_t number(const char* text) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text, &end, 10);
  if (*text == '\0' || *end != '\0' || value > 1u << 30)
    die(std::string("'") + text + "' is no number");
  return static_cast<uint32_t>(value);
}

int run(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "sizes") {
    print_sizes(number(argv[2]));
    return 0;
  }
  if (argc < 6) die("usage: client_latency SERVER DEVICE KIND BYTES COUNT [DEPTH] | sizes BYTES");
  const Wanted wanted = {argv[3], number(argv[4]), number(argv[5]), argc > 6 ? number(argv[6]) : 1};
  if (wanted.count == 0 || wanted.depth == 0) die("nothing to measure");
  if (wanted.kind == "cas" && wanted.depth != 1)
    die("a CAS needs the version that the one before it made");
  FabricOptions fabric_options;
  const auto server = parse_server_address(argv[1], &fabric_options.transport);
  if (!server) die(server.status().to_string());
  fabric_options.device = argv[2];
  const auto fabric = open_fabric(fabric_options);
  if (!fabric) die(fabric.status().to_string());
  ClientOptions options;
  options.servers = {server.value()};
  options.connect_timeout_ns = options.timeout_ns = 60'000'000'000;
  if (wanted.kind == "get") options.get_path = GetPath::kOneSided;  // also several at a time
  if (wanted.kind == "get-rpc") options.get_path = GetPath::kRequest;
  const auto client = Client::create(*fabric.value(), options);
  if (!client) die(client.status().to_string());
  Measurement(*client.value(), wanted).run();
  return 0;
}

}  // namespace
}  // namespace rdmakv

int main(int argc, char** argv) {
  return rdmakv::run(argc, argv);
}
