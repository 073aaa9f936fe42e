#include "tests/linearizability/campaign/audit.h"

#include <time.h>

#include <cstdio>
#include <functional>
#include <map>
#include <vector>

#include "protocol/kv_layout.h"
#include "rdmakv/client/clock.h"

namespace rdmakv::linearizability {
namespace {

using Books = std::map<std::string, uint64_t>;

constexpr uint64_t kPatienceNs = 120'000'000'000;

Books parse(std::string_view text) {
  Books books;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) continue;
    books[std::string(line.substr(0, space))] =
        std::strtoull(std::string(line.substr(space + 1)).c_str(), nullptr, 10);
  }
  return books;
}

class Auditor {
 public:
  explicit Auditor(Client& client) : client_(client) {}

  bool read_books() {
    books_.clear();
    for (uint16_t worker = 0;; ++worker) {
      if (worker > 0 && worker >= client_.servers()[0].workers) return true;
      Operation operation;
      operation.kind = OperationKind::kStats;
      operation.worker = worker;
      std::string text;
      operation.context = &text;
      operation.done = [](Operation& op) {
        static_cast<std::string*>(op.context)
            ->assign(reinterpret_cast<const char*>(op.value.data()), op.value.size());
      };
      client_.submit(operation);
      client_.wait(operation);
      if (operation.code != Code::kOk) {
        std::fprintf(stderr, "audit: no statistics of worker %u: %s\n", worker,
                     std::string(code_name(operation.code)).c_str());
        return false;
      }
      books_.push_back(parse(text));
    }
  }

  // Until `settled` holds of every worker, or for ever.
  bool wait_until(const char* what, const std::function<bool(Books&)>& settled) {
    const uint64_t deadline = steady_ns() + kPatienceNs;
    for (;;) {
      if (!read_books()) return false;
      bool all = true;
      for (Books& books : books_) all &= settled(books);
      if (all) return true;
      if (steady_ns() > deadline) break;
      const timespec pause{0, 2'000'000};
      nanosleep(&pause, nullptr);
    }
    std::fprintf(stderr, "audit: %s\n", what);
    for (const Books& books : books_) {
      for (const auto& [name, number] : books) {
        std::fprintf(stderr, "  %s %lu\n", name.c_str(), static_cast<unsigned long>(number));
      }
    }
    return false;
  }

  bool clear() {
    Operation operation;
    operation.kind = OperationKind::kClear;
    operation.done = [](Operation&) {};
    client_.submit(operation);
    client_.wait(operation);
    if (operation.code == Code::kOk) return true;
    std::fprintf(stderr, "audit: the keys can't be removed: %s\n",
                 std::string(code_name(operation.code)).c_str());
    return false;
  }

  std::vector<Books>& books() { return books_; }

 private:
  Client& client_;
  std::vector<Books> books_;
};

bool nothing_is_lent(Books& b) {
  return b["cas_extents_granted"] == 0 && b["grants_out"] == 0 && b["pinned_extents"] == 0 &&
         b["doomed_extents"] == 0 && b["live_extents"] + b["cas_extents_linked"] == b["keys"];
}

bool all_is_free(Books& b) {
  const uint64_t extents = (b["cas_bytes"] + b["grants_bytes"]) / wire::kCasExtentBytes;
  return b["keys"] == 0 && b["live_extents"] == 0 && b["quarantined_extents"] == 0 &&
         b["cas_extents_free"] == extents && b["pool_free_bytes"] == b["pool_bytes"];
}

}  // namespace

int audit(const Workload& workload, AuditResult& result) {
  const std::unique_ptr<Fabric> fabric = open_client_fabric(workload);
  if (fabric == nullptr) return 2;
  ClientOptions options;
  options.servers = {workload.server};
  options.arena_bytes = 1 << 20;
  options.timeout_ns = kPatienceNs;
  options.connect_timeout_ns = kPatienceNs;
  Result<std::unique_ptr<Client>> client = Client::create(*fabric, options);
  if (!client) return 2;
  // The wire may be down just now.
  const uint64_t patience = steady_ns() + kPatienceNs;
  for (Status status = (*client)->connect_and_wait(); !status;
       status = (*client)->connect_and_wait()) {
    if (steady_ns() < patience) continue;
    std::fprintf(stderr, "audit: %s\n", status.to_string().c_str());
    return 2;
  }
  Auditor auditor(**client);
  if (!auditor.wait_until("extents are lost: the clients have gone, and these are the books",
                          nothing_is_lent)) {
    return 1;
  }
  bool sound = true;
  for (Books& books : auditor.books()) {
    result.keys += books["keys"];
    result.linked += books["cas_extents_linked"];
    result.seen += books["cas_linked_seen"];
    result.swept += books["grants_given"];
    result.full += books["no_space"];
    if (books["broken_chains"] == 0) continue;
    std::fprintf(stderr, "audit: %lu keys were lost with a broken chain of entries\n",
                 static_cast<unsigned long>(books["broken_chains"]));
    sound = false;
  }
  if (!auditor.clear()) return 1;
  if (!auditor.wait_until("extents are lost: every key was removed, and these are the books",
                          all_is_free)) {
    return 1;
  }
  return sound ? 0 : 1;
}

}  // namespace rdmakv::linearizability
