// What CONFIG SET may change while the proxy runs, and what all workers share: read by any thread
// at any time, written rarely. Sizes in bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace rdmakv::proxy {

struct Settings {
  std::atomic<uint64_t> max_clients{10000};
  // A client whose unread replies exceed this is not read until they are half of it.
  std::atomic<uint64_t> output_pause_bytes{1 << 20};
  // And beyond this it is closed; 0: never.
  std::atomic<uint64_t> output_limit_bytes{256ull << 20};
  // An incomplete command may hold so much. Values of SET and the like do not count: they are
  // streamed.
  std::atomic<uint64_t> query_buffer_limit{64ull << 20};
  std::atomic<uint64_t> max_bulk_bytes{512ull << 20};  // proto-max-bulk-len
  std::atomic<uint64_t> pipeline_limit{1024};          // commands in flight per client
  std::atomic<uint64_t> idle_timeout_s{0};             // 0: never
  std::atomic<uint64_t> keepalive_s{300};
  // A client that takes nothing of a large reply for so long while others wait for what it holds at
  // the server is closed; 0: never.
  std::atomic<uint64_t> slow_reader_timeout_s{10};
  // A client whose unread replies exceed this for so long without a pause is closed; 0: never.
  std::atomic<uint64_t> output_soft_limit_bytes{0};
  std::atomic<uint64_t> output_soft_limit_s{0};
  std::atomic<bool> protected_mode{true};
  std::atomic<bool> dump_compression{true};  // rdbcompression
  // Keys of a transaction: all of one worker, instead of all of one hash slot.
  std::atomic<bool> transactions_per_worker{false};
  std::atomic<uint64_t> acl_log_entries{128};
  std::atomic<uint64_t> slow_log_entries{128};
  std::atomic<int64_t> slow_log_us{10'000};       // negative: nothing is logged
  std::atomic<uint64_t> latency_threshold_ms{0};  // 0: no monitoring
  std::atomic<bool> latency_tracking{false};      // histograms per command
  std::atomic<uint64_t> spin_us{30};              // polling before sleeping while work is under way
};

}  // namespace rdmakv::proxy
