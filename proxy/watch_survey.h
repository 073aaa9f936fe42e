// Which clients' EXEC will be refused because a key that they watch has changed: what CLIENT LIST
// and CLIENT INFO show as flag d. Nobody tells us of changes, so the servers are asked what the
// keys' versions are, once for each key, all at the same time, and judged by the rule of EXEC.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/request.h"
#include "proxy/transaction.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

class Connection;

class WatchSurvey final : public Request::State {
 public:
  using Wanted = std::function<bool(const Connection& connection)>;
  using Then = std::function<void(Request& request)>;

  // Marks the transactions of all clients that are `wanted`, or of the one that asks, which are
  // spoiled by a change; then `then` goes on with the request. Keys whose server does not answer
  // within half a second, and those beyond 65,535, count as unchanged.
  static void start(Request& request, Wanted wanted, Then then);
  static void start_for_own(Request& request, Then then);

  // For the above.
  WatchSurvey(Request& request, Then then) : request_(request), then_(std::move(then)) {}

 private:
  struct Watch {
    std::string key;
    WatchedKey watched;
    std::shared_ptr<ChangedMark> mark;
  };
  struct Look {
    WatchSurvey* survey = nullptr;
    Operation operation;
    std::vector<Watch> watches;
  };

  static WatchSurvey& make(Request& request, Then then);
  static void add_watches(const Connection& connection, std::vector<Watch>& to);
  void look(std::vector<Watch> watches);
  static void looked(Operation& operation);
  void go_on();

  Request& request_;
  Then then_;
  std::map<std::string, Look, std::less<>> looks_;  // by key
  size_t missing_ = 0;
};

}  // namespace rdmakv::proxy
