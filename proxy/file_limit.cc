#include "proxy/file_limit.h"

#include <sys/resource.h>

#include <algorithm>

namespace rdmakv::proxy {
namespace {

// For listeners, event loops, the client library and the log.
constexpr uint64_t kReserved = 128;

}  // namespace

uint64_t raise_file_limit(uint64_t clients) {
  const rlim_t wanted = clients + kReserved;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return clients;
  if (limit.rlim_cur >= wanted) return clients;
  // The hard limit goes up only for root; else take what there is.
  const rlimit higher = {wanted, std::max(wanted, limit.rlim_max)};
  if (setrlimit(RLIMIT_NOFILE, &higher) == 0) return clients;
  const rlimit possible = {std::min(wanted, limit.rlim_max), limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &possible) != 0)
    return std::max<rlim_t>(limit.rlim_cur, kReserved + 1) - kReserved;
  return std::max<rlim_t>(possible.rlim_cur, kReserved + 1) - kReserved;
}

}  // namespace rdmakv::proxy
