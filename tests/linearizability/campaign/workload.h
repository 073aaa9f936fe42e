// What the clients of a campaign do, and to whom.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "rdmakv/client/client.h"
#include "rdmakv/fabric_factory.h"
#include "tests/fakes/chaos.h"

namespace rdmakv::linearizability {

// Percentages of the operations; the rest are GETs.
struct Mix {
  uint32_t puts = 14;
  uint32_t deletes = 4;
  uint32_t cas = 26;
  uint32_t expires = 6;           // EXPIRE of a version that was seen
  uint32_t expiring = 8;          // of PUTs and CAS
  uint32_t pairs = 10;            // go to the pair (below), a third of them to change it
  uint32_t hot = 60;              // of the other operations go to key 0
  uint32_t large_per_mille = 25;  // of the values take more than 4 KB ...
  uint32_t huge_per_mille = 1;    // ... and more than one READ
};

// The pair: two keys of one worker that are only changed together, by transactions, to the same
// value; so their versions are the same, too. A history knows it as one key, of which each GET sees
// one half or the other: if that key is linearizable then nobody saw a transaction half done.
struct Workload {
  Transport transport = Transport::kShm;
  std::string client_device, server_device;  // RDMA
  FabricAddress server;
  uint64_t seed = 1;
  uint32_t processes = 3;
  uint32_t threads = 2;  // of each process
  uint32_t window = 8;   // operations that a client has under way
  uint32_t keys = 12;
  Mix mix;
  fakes::ChaosOptions chaos;
  uint32_t killed_percent = 60;     // of the client processes, at a random point ...
  uint32_t longest_life_bits = 17;  // ... not beyond 2 to this; short lives are as likely as long
  bool swappers = false;            // all clients are readers and swappers
  uint64_t arena_bytes = 8 << 20;
  uint64_t round_operations = 400'000;
  uint64_t client_operations = 0;  // then a client leaves, and another one comes; 0: no limit
  std::string directory;           // of the histories
  uint64_t late_ns = 0;            // how long after its deadline an entry may be seen
};

// One client: a thread of a process.
struct ClientRun {
  const Workload* workload = nullptr;
  uint32_t number = 0;  // of the client, unique in the campaign
  uint64_t seed = 0;
  uint64_t first_key = 0;   // ids of this round's keys: first_key ... + keys, the last is the pair
  uint64_t operations = 0;  // begins no more than so many
  uint64_t kill_at = 0;     // as in ChaosOptions
  int kill_point = -1;
  std::string history;                    // file
  std::atomic<uint32_t>* stop = nullptr;  // not 0: begins no more
  std::atomic<uint32_t>* killed_at = nullptr;
  std::atomic<uint64_t>* begun = nullptr;  // operations, all clients of the round
};

// Runs to its end. 0: fine; else the reason is on stderr.
int run_client(const ClientRun& run);

std::string key_name(uint64_t id);

// The clients' fabric; waits for a device whose link is down just now. Null: stderr says why.
std::unique_ptr<Fabric> open_client_fabric(const Workload& workload);

}  // namespace rdmakv::linearizability
