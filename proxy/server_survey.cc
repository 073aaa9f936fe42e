#include "proxy/server_survey.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>
#include <utility>

#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

constexpr size_t kLanes = 8;

// Of the line "name number"; 0 where there is none.
uint64_t counter(std::string_view lines, std::string_view name) {
  for (size_t at = 0; at < lines.size();) {
    const size_t end = std::min(lines.find('\n', at), lines.size());
    const std::string_view line = lines.substr(at, end - at);
    at = end + 1;
    if (line.size() <= name.size() || !line.starts_with(name) || line[name.size()] != ' ') continue;
    uint64_t number = 0;
    std::from_chars(line.data() + name.size() + 1, line.data() + line.size(), number);
    return number;
  }
  return 0;
}

}  // namespace

void ServerSurvey::start(Request& request, uint64_t deadline_ns, Then then) {
  auto survey = std::make_unique<ServerSurvey>(request, deadline_ns, then);
  ServerSurvey& started = *survey;
  request.state = std::move(survey);
  static_cast<KeyWalk&>(started).start();
}

ServerSurvey::ServerSurvey(Request& request, uint64_t deadline_ns, Then then)
    : KeyWalk(request, kLanes), then_(then) {
  deadline_ns_ = deadline_ns;
}

std::optional<uint64_t> ServerSurvey::keys() const {
  uint64_t all = 0;
  for (const Share& share : shares_) {
    if (!share.complete) return std::nullopt;
    all += share.keys;
  }
  return all;
}

void ServerSurvey::begin() {
  shares_.resize(request_.worker().client().servers().size());
  ask_on(OperationKind::kStats, 0);
}

// A worker that is not there any more (its server came back with fewer) has nothing.
void ServerSurvey::arrived(Lane& lane) {
  const Operation& operation = lane.operation;
  Share& share = shares_[places_[lane.place].server];
  if (operation.code == Code::kOk) {
    const std::string_view lines(reinterpret_cast<const char*>(operation.value.data()),
                                 operation.value.size());
    share.keys += counter(lines, "keys");
    share.keys_with_expiry += counter(lines, "keys_with_expiry");
    share.expired += counter(lines, "expired");
    // Those of clients, by ATOMIC, are seen later.
    share.changes += counter(lines, "changes") + counter(lines, "cas_linked_seen");
    share.used_bytes += counter(lines, "granted_bytes");
    share.total_bytes += counter(lines, "pool_bytes");
  } else if (operation.code != Code::kInvalidArgument) {
    share.complete = false;
  }
  ask_on(OperationKind::kStats, 0);
}

}  // namespace rdmakv::proxy
