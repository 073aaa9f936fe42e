// A command on several keys: one operation per key, all under way at the same time, gathered into
// one reply. At most kWindow keys of a command are held at a time, however many it names; while it
// has keys left to issue, its connection issues nothing else, so per-key order is kept.
//
// The command is not atomic: other clients may see some of the keys done and others not.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/command_table.h"
#include "proxy/request.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

class Fanout {
 public:
  static constexpr size_t kWindow = 128;

  enum class Gather : uint8_t {
    kSum,    // integer: how many operations found their key
    kAllOk,  // "OK"
    kList,   // array of values, null where there is none
  };

  struct Part {
    Operation operation;
    RequestMemory memory;
    Fanout* fanout = nullptr;
    size_t index = 0;
    bool done = false;
    uint64_t held = 0;       // of Connection::held_
    std::string_view value;  // kList: the value, copied, if it is not in operation.buffer
    // kList: refused, or its pin was given back: to be carried out again when its turn comes, and
    // then not to bring another version than it was told first, unless `any_version` (repeat.h).
    bool repeat = false, repeated = false, any_version = false;
    uint64_t version = 0;
  };

  // Issues `kind` for each key; finishes `request` when all are done. `step` 2: a value behind each
  // key.
  static void start(Request& request, Arguments arguments, OperationKind kind, Gather gather,
                    size_t step);

  // The output drained, registered memory came free, or the connection closed: writes on (kList).
  void write_on();
  // Gives back the pins of values whose turn has not come, of one connection to a server
  // (Ticket::session); how many.
  size_t give_back_pins(uint32_t session);

 private:
  static void part_done(Operation& operation);
  void keep_arguments(Arguments arguments);
  void issue();
  void issue_part(std::string_view key, size_t argument);
  void collect(Part& part);
  void hold(Part& part, uint64_t bytes);
  void repeat(Part& part);
  void refused(Part& part);
  void give_up();
  Part* next_to_write() const { return parts_[written_ % window_]; }
  void all_issued();
  void finish_if_done();
  void write_values();
  bool write_value(Part& part);
  static void stream_done(Request& request);
  void free_part(Part& part);
  void fail_all();
  void end();

  Request* request_ = nullptr;
  OperationKind kind_ = OperationKind::kGet;
  Gather gather_ = Gather::kSum;
  size_t step_ = 1;
  size_t count_ = 0;  // keys
  size_t issued_ = 0, done_ = 0, written_ = 0;
  int64_t sum_ = 0;
  Code failure_ = Code::kOk;  // the first one
  uint16_t failed_server_ = 0;
  bool header_written_ = false;
  bool writing_ = false;
  bool waiting_ = false;      // the next part to be written, for a pin
  bool blocks_ = false;       // the connection, until all is issued
  size_t window_ = kWindow;   // keys held at a time; of a transaction, all
  std::vector<Part*> parts_;  // by index modulo window_; null: not in use

  // The arguments, when they cannot all be issued at once or some of them are large.
  Arguments arguments_;
  std::vector<std::string_view> kept_;
  std::unique_ptr<char[]> kept_bytes_;
  std::vector<std::unique_ptr<std::byte[]>> kept_heaps_;
};

}  // namespace rdmakv::proxy
