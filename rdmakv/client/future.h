// A convenience over Client for programs that need no more: one call per operation, which copies
// key and value, and either runs a callable with the answer or gives a Future to wait for it.
// Allocates per operation; the datapath's callers use Client and Operation themselves.
//
//   Future found = async_get(client, "k");           // any size
//   Answer answer = found.wait();                     // polls the client
//   async_put(client, "k", "v", [](Answer&& answer) { ... });   // called from client.poll()
//
// Threads: as the Client, all of it in one thread. A callable must not throw, nor destroy the
// Client.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "rdmakv/client/client.h"

namespace rdmakv {

struct Answer {
  Code code = Code::kOk;
  uint64_t version = 0;   // of the key now; 0: no such key
  int64_t expiry_ms = 0;  // 0: none
  uint64_t number = 0;    // kCount, kClear
  uint16_t server = 0;    // that the operation went to, or could not
  std::string value;      // kGet, kStats
};

using AnswerCallback = std::function<void(Answer&&)>;

// An operation on its way, with everything it refers to. Shared between the Future and the client;
// the client's share ends when the operation does.
class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(Client& client, std::string key, std::string value, AnswerCallback callback)
      : client_(client),
        key_(std::move(key)),
        value_(std::move(value)),
        callback_(std::move(callback)) {
    operation.context = this;
    operation.done = [](Operation& done) { static_cast<Call*>(done.context)->step(); };
  }

  void start() {
    self_ = shared_from_this();
    operation.key = key_;
    operation.input = std::as_bytes(std::span<const char>(value_));
    client_.submit(operation);
  }
  bool done() const { return done_; }
  Answer& answer() { return answer_; }
  // Blocks until the answer is there.
  void wait() {
    while (!done_) client_.wait(operation);
  }

  Operation operation;

 private:
  // A value that the server keeps in place for us is too large for one landing buffer: its pin is
  // given up, and it is fetched again to where there is room now.
  void step() {
    if (operation.code == Code::kCancelled) return finish();
    if (releasing_) {
      releasing_ = false;
      return fetch();
    }
    if (operation.ticket) {
      releasing_ = true;
      answer_.value.resize(operation.value_length);
      operation.kind = OperationKind::kRelease;
      return go_on();
    }
    const bool grown = operation.kind == OperationKind::kGet && operation.code == Code::kTooLarge &&
                       operation.destination.data() != nullptr;
    if (grown) {
      answer_.value.resize(operation.value_length);
      return fetch();
    }
    finish();
  }
  void fetch() {
    operation.kind = OperationKind::kGet;
    operation.ticket = {};
    operation.destination = std::as_writable_bytes(std::span<char>(answer_.value));
    go_on();
  }
  // A client that is being destroyed takes nothing any more.
  void go_on() {
    client_.submit(operation);
    if (operation.code == Code::kCancelled) finish();
  }
  void finish() {
    answer_.code = operation.code;
    answer_.version = operation.version;
    answer_.expiry_ms = operation.expiry;
    answer_.number = operation.number;
    answer_.server = operation.server;
    if (operation.value.data() == reinterpret_cast<const std::byte*>(answer_.value.data())) {
      answer_.value.resize(operation.value.size());
    } else {
      answer_.value.assign(reinterpret_cast<const char*>(operation.value.data()),
                           operation.value.size());
    }
    operation.buffer.reset();
    done_ = true;
    const std::shared_ptr<Call> keep = std::move(self_);
    if (callback_) callback_(std::move(answer_));
  }

  Client& client_;
  std::string key_, value_;
  AnswerCallback callback_;
  Answer answer_;
  std::shared_ptr<Call> self_;
  bool releasing_ = false;
  bool done_ = false;
};

class [[nodiscard]] Future {
 public:
  explicit Future(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  bool ready() const { return call_->done(); }
  // Blocks until the answer is there, and takes it; once.
  Answer wait() {
    call_->wait();
    return std::move(call_->answer());
  }

 private:
  std::shared_ptr<Call> call_;
};

namespace detail {
template <typename Change>
std::shared_ptr<Call> begin_call(Client& client, std::string key, std::string value,
                                 AnswerCallback callback, Change&& change) {
  auto call = std::make_shared<Call>(client, std::move(key), std::move(value), std::move(callback));
  change(call->operation);
  call->start();
  return call;
}
}  // namespace detail

// `change` may set any field of the Operation that is asked but for key, input, done and context:
//   async(client, "k", {}, [](Operation& op) { op.kind = OperationKind::kInspect; })
template <typename Change>
Future async(Client& client, std::string key, std::string value, Change&& change) {
  return Future(detail::begin_call(client, std::move(key), std::move(value), {},
                                   std::forward<Change>(change)));
}

inline Future async_get(Client& client, std::string key) {
  return async(client, std::move(key), {}, [](Operation& op) { op.kind = OperationKind::kGet; });
}
inline Future async_put(Client& client, std::string key, std::string value) {
  return async(client, std::move(key), std::move(value),
               [](Operation& op) { op.kind = OperationKind::kPut; });
}
inline Future async_cas(Client& client, std::string key, uint64_t version, std::string value) {
  return async(client, std::move(key), std::move(value), [version](Operation& op) {
    op.kind = OperationKind::kPut;
    op.condition = Condition::kIfVersion;
    op.expected_version = version;
  });
}
inline Future async_delete(Client& client, std::string key) {
  return async(client, std::move(key), {}, [](Operation& op) { op.kind = OperationKind::kDelete; });
}

inline void async_get(Client& client, std::string key, AnswerCallback callback) {
  detail::begin_call(client, std::move(key), {}, std::move(callback),
                     [](Operation& op) { op.kind = OperationKind::kGet; });
}
inline void async_put(Client& client, std::string key, std::string value, AnswerCallback callback) {
  detail::begin_call(client, std::move(key), std::move(value), std::move(callback),
                     [](Operation& op) { op.kind = OperationKind::kPut; });
}
inline void async_cas(Client& client, std::string key, uint64_t version, std::string value,
                      AnswerCallback callback) {
  detail::begin_call(client, std::move(key), std::move(value), std::move(callback),
                     [version](Operation& op) {
                       op.kind = OperationKind::kPut;
                       op.condition = Condition::kIfVersion;
                       op.expected_version = version;
                     });
}
inline void async_delete(Client& client, std::string key, AnswerCallback callback) {
  detail::begin_call(client, std::move(key), {}, std::move(callback),
                     [](Operation& op) { op.kind = OperationKind::kDelete; });
}

}  // namespace rdmakv
