// One command on its way: from the moment it was parsed until its reply stands in the connection's
// output. Pooled by the worker; nothing here is allocated per command.
//
//   execute() -> handler: reads the arguments, copies key and value into `memory`, fills
//   `operation`, submit(then) ... -> then(): reads the result, writes the reply, finish().
//
// Requests of one connection may finish in any order; their replies leave in the order of the
// commands.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/resp_writer.h"
#include "proxy/command_table.h"
#include "proxy/large_argument.h"
#include "proxy/output_buffer.h"
#include "proxy/pin_waiters.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

class Connection;
class Fanout;
class QuickGetRun;
class SetRun;
class TransactionRun;
class ValueStream;
class Worker;

struct MemoryBlock {
  static constexpr size_t kBytes = 8192;
  char bytes[kBytes];
};

// Where the bytes that an operation refers to stay until it is done: inside the object when they
// are few, in a pooled block, or on the heap when they are many.
// What a reply has around a value (value_reply.h).
enum class ValueFrame : uint8_t {
  kNone,
  kVersion,          // [value, version]
  kVersionAndFlags,  // [value, version, flags]
  kCasFailed,        // [CAS_FAILED, value, version]
};

class RequestMemory {
 public:
  static constexpr size_t kInlineBytes = 256;

  // Room for `bytes`, once per use.
  char* reserve(size_t bytes, Pool<MemoryBlock>& blocks);
  void reset(Pool<MemoryBlock>& blocks) {
    if (block_ != nullptr) blocks.give(std::exchange(block_, nullptr));
    if (heap_ != nullptr) heap_.reset();
  }

 private:
  MemoryBlock* block_ = nullptr;
  std::unique_ptr<char[]> heap_;
  char inline_[kInlineBytes];
};

class Request {
 public:
  using Continuation = void (*)(Request& request);
  Request();
  ~Request();

  // ---- for handlers ----
  Operation operation;

  Connection& connection() const { return *connection_; }
  Worker& worker() const;
  const Command& command() const { return *command_; }

  // Copies key (and value, and what it is compared with) to where the operation may refer to them:
  // sets operation.key (and input, and comparison).
  void set_key(std::string_view key);
  void set_key_and_value(std::string_view key, std::string_view value,
                         std::string_view comparison = {});
  // The large argument at `index`, to be taken over by the handler; null if that one was small.
  LargeArgument* large_argument(size_t index) const;

  // Keeps memory that the operation refers to until the request ends.
  void keep(std::unique_ptr<std::byte[]> memory) { kept_ = std::move(memory); }

  // Submits `operation`; `then` runs when it is done.
  void submit(Continuation then);
  // The same, but that it is for the caller to submit it.
  void prepare(Continuation then);
  // Sends an operation, which comes back through its `done`; `operation` or another one. Within a
  // transaction it becomes a part of that. Returns the bytes reserved for the value that it may
  // bring (Connection::reserve_room()).
  uint64_t issue(Operation& another);
  bool in_transaction() const { return part_of_ != nullptr; }
  const TransactionRun* part_of() const { return part_of_; }
  size_t part_number() const { return part_number_; }  // of the transaction's commands
  bool is_finished() const { return done_; }

  // Writes the reply, in the protocol that the connection spoke when the command came.
  resp::ReplyWriter reply();
  OutputChain& output();
  // An error reply. `text` as Redis writes it, with its code.
  void error(std::string_view text);
  // The reply to an operation that ended with `code`, which is no answer to the command.
  void fail(Code code) { fail(code, operation.server); }
  void fail(Code code, uint16_t server);
  // The reply is complete.
  void finish();
  void finish_ok() {
    reply().ok();
    finish();
  }
  void finish_integer(int64_t value) {
    reply().integer(value);
    finish();
  }
  void finish_null() {
    reply().null();
    finish();
  }
  void finish_error(std::string_view text) {
    error(text);
    finish();
  }

  // Whether the client does not keep up with its replies.
  bool output_full() const;

  // Calls `then` when every earlier reply is in the output: at once, or later.
  void when_head(Continuation then);
  bool is_head() const;

  resp::Protocol protocol() const { return protocol_; }
  size_t argument_count() const { return argument_count_; }
  // The arguments as the slow log shows them, while it wants them all; else null.
  const std::vector<std::string>* kept_arguments() const { return kept_arguments_.get(); }
  bool silent() const { return silent_; }
  void set_silent(bool silent) { silent_ = silent; }
  // Of a command of a transaction.
  void move_reply_to(OutputChain& output) { output.splice(waiting_reply_); }

  // The command's own, while it runs.
  Fanout* fanout = nullptr;
  ValueStream* stream = nullptr;        // writes a pinned value; only of a head
  std::unique_ptr<TransactionRun> run;  // EXEC's
  Continuation continuation = nullptr;  // of the operation under way
  int64_t number = 0;
  bool flag = false;
  bool counted = false;  // as a look-up of a key
  // Of a read that is carried out again (repeat.h).
  struct Repeat {
    Continuation then = nullptr;
    uint64_t version = 0;  // that it was told first
    bool any_version = false;
    bool pending = false;
  };
  Repeat repeat;
  PinWaiter pin_waiter;
  bool parked_pin = false;  // its pinned value waits for its turn, and can be had again
  ValueFrame frame = ValueFrame::kNone;  // around the value that is the reply
  std::string text;                      // for rare commands
  // What a command of several steps keeps between them; ends with the request.
  struct State {
    virtual ~State() = default;
    // Of a head: its client has taken most of what it was sent, or is gone.
    virtual void write_on(Request& /*request*/) {}
  };
  std::unique_ptr<State> state;

 private:
  friend class Connection;
  friend class QuickGetRun;
  friend class ReplyQueue;
  friend class Worker;
  static void operation_done(Operation& operation);
  void await(Continuation then);

  Request* next_ = nullptr;
  Connection* connection_ = nullptr;
  TransactionRun* part_of_ = nullptr;  // a command of a transaction: replies to that
  size_t part_number_ = 0;
  const Command* command_ = nullptr;  // null: there is no such command
  RequestMemory memory_;
  std::unique_ptr<std::byte[]> kept_;
  OutputChain waiting_reply_;  // written before its turn came
  Continuation at_head_ = nullptr;
  uint64_t started_us_ = 0;
  uint64_t held_ = 0;       // of Connection::held_
  uint64_t put_bytes_ = 0;  // of PutWindow::begins(), while under way
  uint16_t put_server_ = 0;
  uint32_t argument_count_ = 0;
  std::unique_ptr<std::vector<std::string>> kept_arguments_;
  resp::Protocol protocol_ = resp::Protocol::kResp2;
  bool silent_ = false;  // CLIENT REPLY OFF or SKIP
  bool done_ = false;
  uint32_t failed_ = 0;    // error replies
  uint32_t commands_ = 1;  // that it stands for
  SetRun* sets_ = nullptr;
  QuickGetRun* gets_ = nullptr;
};

}  // namespace rdmakv::proxy
