#include "rdmakv/client/update.h"

#include <time.h>

#include <algorithm>
#include <random>

namespace rdmakv {
namespace {

constexpr size_t kFirstGuess = 1024;  // bytes of the old value

// Up to `most`, so that writers who met once do not meet again.
void pause(uint64_t most, std::minstd_rand& random) {
  const uint64_t ns = std::uniform_int_distribution<uint64_t>(0, most)(random);
  const timespec span{static_cast<time_t>(ns / 1'000'000'000),
                      static_cast<long>(ns % 1'000'000'000)};
  nanosleep(&span, nullptr);
}

void run(Client& client, Operation& operation) {
  client.submit(operation);
  client.wait(operation);
}

// The value as it is, into `buffer`, which grows as needed. True: kOk or kNotFound.
bool read_value(Client& client, Operation& get, std::string& buffer) {
  for (;;) {
    get.destination = std::as_writable_bytes(std::span<char>(buffer));
    run(client, get);
    if (get.code != Code::kTooLarge || get.value_length <= buffer.size()) break;
    buffer.resize(get.value_length);
  }
  return get.code == Code::kOk || get.code == Code::kNotFound;
}

}  // namespace

Updated update(Client& client, std::string_view key, UpdateFunction function, void* context,
               const UpdateOptions& options) {
  std::minstd_rand random(std::random_device{}());
  std::string buffer(kFirstGuess, '\0');
  std::string fresh;
  Updated told;
  for (uint64_t most = options.first_pause_ns; told.attempts < options.attempts;) {
    ++told.attempts;
    Operation get;
    get.kind = OperationKind::kGet;
    get.key = key;
    if (!read_value(client, get, buffer)) {
      told.code = get.code;
      return told;
    }
    OldValue old;
    if (get.code == Code::kOk) old.emplace(buffer.data(), get.value.size());
    told.version = get.version;
    fresh.clear();
    if (!function(context, old, fresh)) {
      told.code = Code::kCancelled;
      return told;
    }
    Operation put;
    put.kind = OperationKind::kPut;
    put.key = key;
    put.condition = Condition::kIfVersion;
    put.expected_version = get.version;
    put.input = std::as_bytes(std::span<const char>(fresh));
    run(client, put);
    told.code = put.code;
    told.version = put.version;
    if (put.code != Code::kVersionMismatch) return told;
    if (told.attempts > 1) {
      pause(most, random);
      most = std::min(most * 2, options.longest_pause_ns);
    }
  }
  told.code = Code::kBusy;
  return told;
}

}  // namespace rdmakv
