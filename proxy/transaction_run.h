// EXEC: the queued commands as one transaction of the worker that has their keys.
//
//   collect  every command that is about keys runs its handler, in a Request of its own; the
//            operations that it issues are not sent but gathered (capture())
//   step     one kTransaction: the watched versions as preconditions, then the operations
//   answer   each operation is given its reply and ended; so each command writes its own reply.
//   Then,
//            if the transaction took place, one command after the other is completed: those that
//            are not about keys run now.
//
// The step is executed by the worker that has the keys. What is about all keys (DBSIZE, KEYS, SCAN,
// RANDOMKEY, FLUSHALL) has its place in the step for the keys of that worker; the others are asked,
// or cleared, after it, when the commands before have been completed.
//
// Owned by the request of EXEC, and gone when that is released. One worker's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/kv_transaction.h"
#include "proxy/transaction.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

class Request;

class TransactionRun {
 public:
  // Answers `exec`, now or later. Takes over what is in `transaction`.
  static void start(Request& exec, Transaction& transaction);
  TransactionRun(Request& exec, Transaction& transaction);
  ~TransactionRun();
  TransactionRun(const TransactionRun&) = delete;
  TransactionRun& operator=(const TransactionRun&) = delete;

  // For the requests of its commands: takes an operation that one of them issues.
  void capture(const Request& part, Operation& operation);
  // Whether this worker's keys are asked for in the step.
  bool takes_place_at(uint16_t server, uint16_t worker) const;
  void command_finished();
  size_t command_count() const { return commands_.size(); }
  // Nothing took place: what its commands say is not wanted.
  bool discarding() const { return discarding_; }

  // Registered memory may be free again.
  void go_on();

 private:
  enum class Phase : uint8_t { kCollect, kStep, kAnswer };
  // The share that the other workers have in a kCount or a kClear.
  struct Rest {
    TransactionRun* run = nullptr;
    Operation* whole = nullptr;
    Operation operation;
  };
  // Sent when it is the turn of its command.
  struct Deferred {
    size_t command = 0;
    Operation* operation = nullptr;
  };

  bool must_learn_workers() const;
  static void workers_learnt(Operation& operation);
  void find_first_key();
  void collect();
  void run_command(size_t number);
  bool permitted(Request& request, Arguments arguments);
  void note_key(std::string_view key);
  void note_keys(Operation& operation);
  bool belongs_to_step(const Operation& operation) const;
  bool encode(Operation& operation);
  void submit();
  static void step_done(Operation& operation);
  void ended();
  bool wait_for_pin();
  void fetch();
  static void piece_done(Operation& operation);
  void answer(std::span<const std::byte> replies);
  void end_captured(const Deferred& captured);
  static void rest_done(Operation& operation);
  void advance();
  void begin_turn();
  void end(Operation& operation, Code code);
  void finish();
  void fail(std::string reply);
  void discard();
  void show(const Command& command, const std::vector<std::string>& arguments);
  void end_refused();
  void finish_if_discarded();
  std::string error_of(Code code) const;

  Request& exec_;
  std::vector<QueuedCommand> commands_;
  std::vector<Request*> requests_;  // one per command; null: has not run yet
  Transaction::Watched watched_;
  std::vector<Deferred> captured_;
  std::vector<Deferred> deferred_;  // in the order of the commands, once the step is done
  size_t next_deferred_ = 0;
  std::deque<Rest> rests_;  // in the order of what they are the rest of
  size_t next_rest_ = 0;
  std::vector<Operation*> refused_;  // to be ended, with their codes, without having been done
  wire::TransactionBuilder builder_;
  std::string first_key_;
  bool first_key_known_ = false;
  bool apart_ = false;     // there are keys that do not go together
  bool too_long_ = false;  // there are more operations than one step takes
  Phase phase_ = Phase::kCollect;
  bool discarding_ = false;
  size_t finished_ = 0;  // commands
  size_t turn_ = 0;      // the command that is being completed
  bool turn_begun_ = false, advancing_ = false;
  std::string failure_;  // the reply, if not that of the commands; "-": a null array
  Operation operation_;
  // A long reply, which the server keeps in place for us.
  Operation piece_;
  std::unique_ptr<std::byte[]> long_reply_;
  uint64_t long_reply_bytes_ = 0, fetched_ = 0;
  bool fetching_ = false;
};

}  // namespace rdmakv::proxy
