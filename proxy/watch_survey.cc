#include "proxy/watch_survey.h"

#include <iterator>
#include <utility>

#include "proxy/connection.h"
#include "proxy/gather.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

constexpr uint64_t kPatienceNs = 500'000'000;
// Of all clients together: as many as one may watch.
constexpr size_t kMostKeys = Transaction::kMostWatched;

}  // namespace

WatchSurvey& WatchSurvey::make(Request& request, Then then) {
  auto owner = std::make_unique<WatchSurvey>(request, std::move(then));
  WatchSurvey& survey = *owner;
  request.state = std::move(owner);
  return survey;
}

void WatchSurvey::start(Request& request, Wanted wanted, Then then) {
  WatchSurvey& survey = make(request, std::move(then));
  // One list for each worker, each written by it alone.
  auto lists =
      std::make_shared<std::vector<std::vector<Watch>>>(request.worker().proxy().workers().size());
  ask_all(
      request,
      [lists, wanted = std::move(wanted)](Worker& worker) {
        worker.for_each_connection([&](const Connection& connection) {
          if (wanted(connection)) add_watches(connection, (*lists)[worker.index()]);
        });
        return GatherPart{};
      },
      [lists, &survey](Request&, const GatherPart&) {
        std::vector<Watch> all;
        for (std::vector<Watch>& list : *lists) {
          std::move(list.begin(), list.end(), std::back_inserter(all));
        }
        survey.look(std::move(all));
      });
}

void WatchSurvey::start_for_own(Request& request, Then then) {
  WatchSurvey& survey = make(request, std::move(then));
  std::vector<Watch> watches;
  add_watches(request.connection(), watches);
  survey.look(std::move(watches));
}

void WatchSurvey::add_watches(const Connection& connection, std::vector<Watch>& to) {
  Transaction* transaction = connection.transaction();
  if (transaction == nullptr || transaction->changed()) return;
  for (const auto& [key, watched] : transaction->watched()) {
    if (to.size() == kMostKeys) return;
    if (watched.known) to.push_back({key, watched, transaction->changed_mark()});
  }
}

void WatchSurvey::look(std::vector<Watch> watches) {
  for (Watch& watch : watches) {
    if (looks_.size() == kMostKeys && !looks_.contains(watch.key)) continue;
    Look& look = looks_[watch.key];
    look.watches.push_back(std::move(watch));
  }
  missing_ = looks_.size();
  if (missing_ == 0) return go_on();
  const uint64_t deadline_ns = request_.worker().now_us() * 1000 + kPatienceNs;
  for (auto& [key, look] : looks_) {
    look.survey = this;
    look.operation.kind = OperationKind::kInspect;
    look.operation.key = key;
    look.operation.deadline_ns = deadline_ns;
    look.operation.done = &WatchSurvey::looked;
    look.operation.context = &look;
    request_.worker().submit(look.operation);
  }
}

void WatchSurvey::looked(Operation& operation) {
  auto& look = *static_cast<Look*>(operation.context);
  WatchSurvey& self = *look.survey;
  for (const Watch& watch : look.watches) {
    if (watch.watched.changed(operation)) watch.mark->store(true, std::memory_order_relaxed);
  }
  if (--self.missing_ > 0) return;
  if (self.request_.worker().shutting_down()) return self.request_.finish();
  self.go_on();
}

// The request may end at once, and this with it.
void WatchSurvey::go_on() {
  const Then then = std::move(then_);
  then(request_);
}

}  // namespace rdmakv::proxy
