// Several commands in one step of the worker that has their keys, if none of the watched keys has
// changed: what WATCH, MULTI and EXEC are to Redis's clients. For programs that may block.
//
//   Transaction transfer;
//   transfer.watch(client, "{accounts}a");          // from here on it must not change
//   const Answer a = async_get(client, "{accounts}a").wait();
//   transfer.put("{accounts}a", less(a.value));
//   transfer.put("{accounts}b", "1");
//   switch (transfer.exec(client)) {
//     case Code::kOk: break;                        // all of it, in one step
//     case Code::kVersionMismatch: break;           // nothing: `unmet()` says because of which key
//   }
//
// All keys, watched ones too, are of one hash slot (CRC16 of the key or its {tag}, as in Redis
// Cluster). Nobody sees some of the commands done and others not. A command that fails by itself
// (no room) does not undo the others; answers() tells.
//
// A server that was started anew since watch() counts as a change of every key, since its versions
// begin anew. require() takes a version from elsewhere, and can't know that.
//
// Threads: as the Client. Allocates per command; not for the datapath.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rdmakv/client/client.h"
#include "rdmakv/client/future.h"

namespace rdmakv {

namespace wire {
class TransactionBuilder;
}

class Transaction {
 public:
  // Asks for the key's present version, 0 if there is no such key, and makes it a condition. Not
  // kOk: the key could not be asked for and is not watched.
  Code watch(Client& client, std::string_view key, uint64_t* version = nullptr);
  // The key must have this version, as a GET or a CAS told it; 0: it must not exist.
  void require(std::string_view key, uint64_t version);

  // Commands, in the order in which they are to be done. `expiry_ms`: ms since 1970; 0: none.
  void get(std::string_view key);
  void put(std::string_view key, std::string_view value, int64_t expiry_ms = 0);
  void erase(std::string_view key);

  // Does it all or nothing, and blocks meanwhile.
  //   kOk                      answers() has one for each command
  //   kVersionMismatch         nothing was done: unmet()
  //   kWrongWorker             nothing was sent: the keys are not of one hash slot
  //   kInvalidArgument         nothing was sent: an expiry below 0
  //   kTooLarge                nothing was sent: more than 65,535 commands, a key beyond 64 KB or
  //                            more than 512 MB in all
  //   kUnknownOutcome, kTimeout   it may have been done, as a whole, or not
  // Afterwards neither commands nor conditions are left, whatever the outcome, as after EXEC.
  Code exec(Client& client);
  // Forgets commands and conditions.
  void discard();

  // Of the last exec(): by command (kNotFound of a get or an erase is an answer); which condition
  // was not met, counted from 0; the server that was asked.
  const std::vector<Answer>& answers() const { return answers_; }
  size_t unmet() const { return unmet_; }
  uint16_t server() const { return server_; }

 private:
  struct Requirement {
    std::string key;
    uint64_t version = 0;
    bool watched = false;
    uint64_t removals = 0, epoch = 0;  // watched: as the server told
  };
  struct Command {
    OperationKind kind;
    std::string key, value;
    int64_t expiry_ms = 0;
  };

  // kOk: `builder` has it all, and one epoch holds for every watched key.
  Code build(wire::TransactionBuilder& builder, uint64_t& epoch);
  Code run(Client& client);
  bool take_answers(std::span<const std::byte> replies);

  std::vector<Requirement> requirements_;
  std::vector<Command> commands_;
  std::vector<Answer> answers_;
  size_t unmet_ = 0;
  uint16_t server_ = 0;
};

}  // namespace rdmakv
