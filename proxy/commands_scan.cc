// SCAN, KEYS, RANDOMKEY: what keys there are, on all workers of all servers.
//
// SCAN keeps Redis's guarantee because each worker's index does (partition_scan.cc), and because
// the workers are gone through in a fixed order: a key stays on its worker. Nothing is kept between
// two calls. Patterns are matched here and not by the servers: proxies are easily made more.
#include <cerrno>
#include <cstdlib>
#include <random>

#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/glob.h"
#include "proxy/key_walk.h"
#include "proxy/scan_cursor.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

// What one call of SCAN collects, whatever COUNT it names, and how often it asks the servers for
// it.
constexpr size_t kMostScanBytes = 1 << 20;
constexpr int kMostScanSteps = 256;
// Workers asked at a time.
constexpr size_t kLanes = 8;
constexpr uint32_t kAll = UINT32_MAX;

// Keys that match, as elements of an array whose length is not known yet.
class KeyList {
 public:
  KeyList(Request& request, std::string_view pattern)
      : chain_(request.worker().output_pools()),
        writer_(chain_, request.protocol()),
        pattern_(pattern),
        matches_all_(pattern == "*") {}

  void add(std::string_view key) {
    if (!matches_all_ && !glob_matches(pattern_, key, false)) return;
    writer_.bulk(key);
    ++count_;
  }
  size_t bytes() const { return chain_.pending(); }
  void write_to(Request& request) {
    request.reply().array(count_);
    request.output().splice(chain_);
  }

 private:
  OutputChain chain_;
  resp::ReplyWriter writer_;
  std::string pattern_;
  bool matches_all_;
  uint64_t count_ = 0;
};

// A worker that is not there any more (its server came back with fewer) has no keys.
bool no_such_worker(Code code) {
  return code == Code::kInvalidArgument;
}

// ---- SCAN --------------------------------------------------------------------------------------

struct ScanOptions {
  uint64_t cursor = 0;
  int64_t count = 10;
  std::string_view pattern = "*";
  bool strings = true;  // TYPE asks for them, or does not ask
};

class ScanWalk final : public KeyWalk {
 public:
  ScanWalk(Request& request, const ScanOptions& options)
      : KeyWalk(request, 1),
        from_(ScanCursor::decode(options.cursor)),
        left_(static_cast<uint64_t>(options.count)),
        strings_(options.strings),
        keys_(request, options.pattern) {}

 private:
  void begin() override {
    while (at_ < places_.size() && before(places_[at_], from_)) ++at_;
    if (at_ == places_.size()) return;
    const bool same = places_[at_].rank == from_.rank && places_[at_].worker == from_.worker;
    place_ = same ? from_.place : 0;
    ask_next();
  }

  void arrived(Lane& lane) override {
    const Operation& operation = lane.operation;
    if (operation.code != Code::kOk && !no_such_worker(operation.code)) {
      failure_ = operation.code;
      return;
    }
    uint64_t visited = 0;
    if (operation.code == Code::kOk) {
      const bool sound = for_each_scanned_key(operation, [&](std::string_view key) {
        ++visited;
        if (strings_) keys_.add(key);
      });
      if (!sound) failure_ = Code::kProtocolError;
    }
    left_ -= std::min(left_, visited);
    place_ = operation.code == Code::kOk ? operation.number : 0;
    if (place_ == 0) ++at_;
    ask_next();
  }

  void ask_next() {
    if (at_ == places_.size() || left_ == 0 || steps_ == kMostScanSteps ||
        keys_.bytes() >= kMostScanBytes || failure_ != Code::kOk) {
      return;
    }
    ++steps_;
    ask(lanes_.front(), at_, OperationKind::kScan, place_,
        static_cast<uint32_t>(std::min<uint64_t>(left_, kAll)));
  }

  void complete() override {
    Request& request = request_;
    if (failure_ != Code::kOk) {
      request.fail(failure_);
      return request.finish();
    }
    uint64_t cursor = 0;
    if (at_ < places_.size()) {
      cursor = ScanCursor{places_[at_].rank, places_[at_].worker, place_}.encode();
    }
    resp::ReplyWriter reply = request.reply();
    reply.array(2);
    reply.bulk_integer(static_cast<int64_t>(cursor));
    keys_.write_to(request);
    request.finish();
  }

  static bool before(const Place& place, const ScanCursor& cursor) {
    return place.rank < cursor.rank || (place.rank == cursor.rank && place.worker < cursor.worker);
  }

  const ScanCursor from_;
  uint64_t left_;
  const bool strings_;
  KeyList keys_;
  size_t at_ = 0;
  uint64_t place_ = 0;
  int steps_ = 0;
};

// As Redis's parseScanCursorOrReply, which has strtoul().
bool parse_cursor(std::string_view text, uint64_t& cursor) {
  const std::string c_string(text);
  char* end = nullptr;
  errno = 0;
  cursor = std::strtoull(c_string.c_str(), &end, 10);
  return std::isspace(static_cast<unsigned char>(c_string[0])) == 0 && *end == '\0' &&
         errno != ERANGE;
}

// What is wrong, or empty.
std::string_view parse_scan_options(Arguments arguments, ScanOptions& options) {
  if (!parse_cursor(arguments[1], options.cursor)) return "ERR invalid cursor";
  for (size_t i = 2; i < arguments.size(); i += 2) {
    if (i + 1 == arguments.size()) return kSyntaxError;
    const std::string_view value = arguments[i + 1];
    if (equals_ignoring_case(arguments[i], "count")) {
      const std::optional<int64_t> count = resp::parse_integer(value);
      if (!count) return kNotAnInteger;
      if (*count < 1) return kSyntaxError;
      options.count = *count;
    } else if (equals_ignoring_case(arguments[i], "match")) {
      options.pattern = value;
    } else if (equals_ignoring_case(arguments[i], "type")) {
      options.strings = equals_ignoring_case(value, "string");
    } else {
      return kSyntaxError;
    }
  }
  return {};
}

// ---- KEYS --------------------------------------------------------------------------------------

class KeysWalk final : public KeyWalk {
 public:
  KeysWalk(Request& request, std::string_view pattern)
      : KeyWalk(request, kLanes), keys_(request, pattern) {}

 private:
  void begin() override {
    step_first();
    ask_on(OperationKind::kScan, kAll);
  }

  void arrived(Lane& lane) override {
    const Operation& operation = lane.operation;
    if (operation.code == Code::kOk) {
      const bool sound =
          for_each_scanned_key(operation, [&](std::string_view key) { keys_.add(key); });
      if (!sound && failure_ == Code::kOk) failure_ = Code::kProtocolError;
    } else if (!no_such_worker(operation.code) && failure_ == Code::kOk) {
      failure_ = operation.code;
    }
    if (!wanted()) return;
    if (operation.code == Code::kOk && operation.number != 0) {
      return ask(lane, lane.place, OperationKind::kScan, operation.number, kAll);
    }
    ask_on(OperationKind::kScan, kAll);
  }

  // A reply beyond the limit of the output closes the connection: no use in collecting more.
  bool wanted() const {
    const uint64_t most = request_.worker().settings().output_limit_bytes;
    return failure_ == Code::kOk && !request_.connection().closed() &&
           (most == 0 || keys_.bytes() <= most);
  }

  void complete() override {
    Request& request = request_;
    if (failure_ != Code::kOk) {
      request.fail(failure_);
    } else {
      keys_.write_to(request);
    }
    request.finish();
  }

  KeyList keys_;
};

// ---- RANDOMKEY ---------------------------------------------------------------------------------

// Each worker names one of its keys and says how many it has; one of these is taken, with that
// weight. (Vitter's reservoir of one: the n-th to come replaces what is held with its share of all
// so far.) Workers that do not answer are left out, unless none answers.
class RandomWalk final : public KeyWalk {
 public:
  explicit RandomWalk(Request& request) : KeyWalk(request, kLanes) {}

 private:
  void begin() override {
    step_first();
    ask_on(OperationKind::kRandomKey, 0);
  }

  void arrived(Lane& lane) override {
    const Operation& operation = lane.operation;
    const uint64_t keys = operation.number;
    if (operation.code == Code::kOk && keys > 0) {
      all_ += keys;
      if (std::uniform_int_distribution<uint64_t>(1, all_)(generator()) <= keys) {
        key_.assign(reinterpret_cast<const char*>(operation.value.data()), operation.value.size());
      }
    }
    const bool answered = operation.code == Code::kOk || operation.code == Code::kNotFound ||
                          no_such_worker(operation.code);
    answered_ |= answered;
    if (!answered && failure_ == Code::kOk) failure_ = operation.code;
    ask_on(OperationKind::kRandomKey, 0);
  }

  void complete() override {
    Request& request = request_;
    if (all_ > 0) {
      request.reply().bulk(key_);
    } else if (answered_) {
      request.reply().null();
    } else {
      request.fail(failure_);
    }
    request.finish();
  }

  static std::mt19937_64& generator() {
    thread_local std::mt19937_64 one{std::random_device{}()};
    return one;
  }

  uint64_t all_ = 0;
  bool answered_ = false;
  std::string key_;
};

}  // namespace

void scan(Request& request, Arguments arguments) {
  ScanOptions options;
  const std::string_view problem = parse_scan_options(arguments, options);
  if (!problem.empty()) return request.finish_error(problem);
  auto walk = std::make_unique<ScanWalk>(request, options);
  ScanWalk& started = *walk;
  request.state = std::move(walk);
  started.start();
}

void keys(Request& request, Arguments arguments) {
  auto walk = std::make_unique<KeysWalk>(request, arguments[1]);
  KeysWalk& started = *walk;
  request.state = std::move(walk);
  started.start();
}

void randomkey(Request& request, Arguments) {
  auto walk = std::make_unique<RandomWalk>(request);
  RandomWalk& started = *walk;
  request.state = std::move(walk);
  started.start();
}

}  // namespace rdmakv::proxy::commands
