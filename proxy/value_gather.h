// Fetches whole values into memory of the proxy, for the rare commands that compute with them:
// BITOP, LCS, DUMP. kWindow GETs are under way at the same time; a value that the server keeps
// pinned is READ in pieces. Where there are no pins or no registered memory for
// that the command waits for some (pin_waiters.h). Not atomic: each value is one that its key had
// at some time while the command ran.
//
// Between start() and release() nothing else of the connection is issued, so the order of its
// commands is kept.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/request.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

class ValueGather {
 public:
  static constexpr size_t kWindow = 128;
  // What all values of one command may take.
  static constexpr uint64_t kMostBytes = uint64_t{1} << 30;
  // An empty string where there is no such key.
  using Values = std::vector<std::string>;
  // Called once all are there; goes on with the request: calls release() when it has submitted its
  // last operation, or before it finishes. (When a value could not be had the request is finished
  // with an error, and this is not called.)
  using Then = std::function<void(Request& request, Values values)>;

  static void start(Request& request, Arguments keys, Then then);
  static void release(Request& request);
  // The same of the one value that the server keeps pinned for the operation of `request`, the head
  // of its queue. `then` has the pin still; if it is not called the pin has been given back. The
  // connection goes on issuing.
  static void start_pinned(Request& request, Then then);

  // For the above.
  ValueGather(Request& request, Then then) : request_(request), then_(std::move(then)) {}

 private:
  struct Part {
    ValueGather* gather = nullptr;
    size_t index = 0;  // of key and value
    Operation operation;
    Ticket pin;
    std::string value;
    uint64_t read = 0;
    PinWaiter waiter;
  };

  void ask_next(Part& part);
  static void got(Operation& operation);
  static void piece_read(Operation& operation);
  void take(Part& part);
  void read_on(Part& part);
  // For a pin, or for registered memory.
  void wait(Part& part, uint32_t session, PinWaiter::Call again);
  bool may_wait() const;
  void fail(Code code);
  void part_over(Part& part);
  void finish();

  std::unique_ptr<ValueGather> self_;  // until the last value is there
  Request& request_;
  Then then_;
  std::vector<std::string> keys_;
  Values values_;
  size_t next_ = 0;                           // of the keys, to be asked for
  std::vector<std::unique_ptr<Part>> parts_;  // each of one key after the other
  size_t under_way_ = 0;
  uint64_t bytes_ = 0;
  Code failure_ = Code::kOk;
  bool too_large_ = false;
  bool keeps_pin_ = false;  // start_pinned()
};

}  // namespace rdmakv::proxy
