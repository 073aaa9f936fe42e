// Counts: several threads, each with a client of its own, add to one counter by update(), and
// nothing is lost.
//
//   kv_counter --server shm:7000 --threads 4 --times 10000
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <thread>
#include <vector>

#include "rdmakv/client/open_for_server.h"
#include "rdmakv/client/server_list.h"
#include "rdmakv/client/update.h"

namespace {

uint64_t to_number(std::string_view text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

struct Share {
  uint64_t added = 0, attempts = 0;
  rdmakv::ClientCounters counters;
  std::string error;
};

void count(rdmakv::Fabric& fabric, const rdmakv::ClientOptions& options, const std::string& key,
           uint64_t times, Share& share) {
  auto client = rdmakv::Client::create(fabric, options);
  if (!client) {
    share.error = client.status().to_string();
    return;
  }
  for (uint64_t i = 0; i < times; ++i) {
    const rdmakv::Updated told =
        rdmakv::update(**client, key, [](const rdmakv::OldValue& old, std::string& fresh) {
          fresh = std::to_string(old ? to_number(*old) + 1 : 1);
          return true;
        });
    share.attempts += told.attempts;
    if (told.code != rdmakv::Code::kOk) {
      share.error = rdmakv::Status(told.code, "update").to_string();
      break;
    }
    ++share.added;
  }
  share.counters = (*client)->counters();
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> servers = {"shm:7000"};
  std::string key = "counter";
  int threads = 2;
  uint64_t times = 10'000;
  CLI::App app{"Adds to one counter from several threads, by read-modify-write"};
  app.add_option(
         "--server", servers,
         "where the kv_server is: shm:PORT, rdma:HOST:PORT, ...; may be given more than once")
      ->allow_extra_args(false);
  app.add_option("--key", key, "the counter's key");
  app.add_option("--threads", threads, "threads, each with a client of its own")
      ->check(CLI::Range(1, 64));
  app.add_option("--times", times, "how often each adds 1");
  CLI11_PARSE(app, argc, argv);

  auto list = rdmakv::parse_servers(servers);
  if (!list) {
    std::fprintf(stderr, "kv_counter: %s\n", list.status().to_string().c_str());
    return 1;
  }
  rdmakv::FabricOptions fabric_options;
  fabric_options.transport = list->transport;
  auto fabric = rdmakv::open_fabric_for(list->addresses, fabric_options);
  if (!fabric) {
    std::fprintf(stderr, "kv_counter: %s\n", fabric.status().to_string().c_str());
    return 1;
  }
  rdmakv::ClientOptions options;
  options.servers = list->addresses;
  options.weights = list->weights;
  std::vector<Share> shares(threads);
  std::vector<std::thread> workers;
  for (Share& share : shares) {
    workers.emplace_back([&] { count(**fabric, options, key, times, share); });
  }
  for (std::thread& worker : workers) worker.join();
  uint64_t added = 0;
  bool failed = false;
  for (const Share& share : shares) {
    added += share.added;
    failed |= !share.error.empty();
    if (!share.error.empty()) std::fprintf(stderr, "kv_counter: %s\n", share.error.c_str());
    std::printf("added %llu in %llu attempts: CAS by ATOMIC %llu won, %llu lost; by request %llu\n",
                static_cast<unsigned long long>(share.added),
                static_cast<unsigned long long>(share.attempts),
                static_cast<unsigned long long>(share.counters.cas.swaps_won),
                static_cast<unsigned long long>(share.counters.cas.swaps_lost),
                static_cast<unsigned long long>(share.counters.cas.requests));
  }
  std::printf("%llu added in all\n", static_cast<unsigned long long>(added));
  return failed ? 1 : 0;
}
