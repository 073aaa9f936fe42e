// EXEC: the queued commands as one transaction of the worker that has their keys.
//
//   collect  every command that has keys runs its handler, in a Request of its own; the operations
//            that it issues are not sent but gathered (capture())
//   step     one kTransaction: the watched versions as preconditions, then the operations
//   answer   each operation is given its reply and ended; so each command writes its own reply.
//            Commands without keys run now, if the transaction took place.
//
// Owned by the request of EXEC, and gone when that is released. One worker's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
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
  void capture(Operation& operation);
  void command_finished();
  // Nothing took place: what its commands say is not wanted.
  bool discarding() const { return discarding_; }

  // Registered memory may be free again.
  void go_on();

 private:
  enum class Phase : uint8_t { kCollect, kStep, kAnswer };

  void collect();
  void run_command(size_t number);
  bool permitted(Request& request, Arguments arguments);
  void note_key(std::string_view key);
  bool encode(Operation& operation);
  void submit();
  static void step_done(Operation& operation);
  void ended();
  void fetch();
  static void piece_done(Operation& operation);
  void answer(std::span<const std::byte> replies);
  void fail(std::string text);
  void show(const Command& command, const std::vector<std::string>& arguments);
  void end_refused();
  void finish_if_done();
  std::string error_of(Code code) const;

  Request& exec_;
  std::vector<QueuedCommand> commands_;
  std::vector<Request*> requests_;  // one per command; null: has not run yet
  std::deque<WatchedKey> watched_;
  std::vector<Operation*> captured_;
  std::vector<Operation*> refused_;  // to be ended without having been done
  wire::TransactionBuilder builder_;
  std::string first_key_;
  bool first_key_known_ = false;
  bool apart_ = false;  // there are keys that do not go together
  Phase phase_ = Phase::kCollect;
  bool discarding_ = false;
  bool answered_ = false;  // all commands that were to run have begun
  size_t finished_ = 0;    // commands
  std::string failure_;    // the reply, if not that of the commands; "-": a null array
  Operation operation_;
  // A long reply, which the server keeps in place for us.
  Operation piece_;
  std::unique_ptr<std::byte[]> long_reply_;
  uint64_t long_reply_bytes_ = 0, fetched_ = 0;
  bool fetching_ = false;
};

}  // namespace rdmakv::proxy
