// Plain puts without an Operation each, many at a time: the puts of a run are written into outgoing
// messages as they are taken, share requests (protocol/kv_puts.h), and end together. Part of a
// Client, found by put_runner(); its thread's, as all of it.
//
//   put_run(puts, run) ... flush() ... poll() -> run.done(run)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "protocol/kv_puts.h"
#include "rdmakv/client/client.h"

namespace rdmakv {

// The caller's; stays where it is, and is left alone, until `done`.
struct PutRun {
  using Done = void (*)(PutRun& run);
  static constexpr size_t kMost = 64;  // puts

  Done done = nullptr;      // called from Client::poll() when all of them have ended
  void* context = nullptr;  // the caller's

  // ---- came of it (valid from done on) ----
  uint32_t taken = 0;       // puts
  uint32_t failed = 0;      // of them, those that did not end with kOk
  Code codes[kMost];        // if any failed: what each ended with,
  uint16_t servers[kMost];  // and, where it is not kOk, the server that it went to

  // ---- of put_run() ----
  bool full = false;  // it stopped because as many requests as may be are under way to a server

  // ---- the client's own, while the run is under way ----
  uint32_t open = 0;
  PutRun* next = nullptr;
};

class PutRunner {
 public:
  // Takes `puts` from the first on, PutRun::kMost at most, and returns how many; with those that
  // were taken `run` is under way, if there are any. What is left is to be submitted: the first of
  // it cannot be done like this, or not now. Keys and values have been copied.
  //
  // Puts keep their order among each other and with the Operations on their keys. Each ends with
  // kOk, or with a code as an Operation; kUnavailable: it has not been sent.
  virtual size_t put_run(std::span<const wire::PutView> puts, PutRun& run) = 0;
  // After PutRun::full: whether it is worth trying again. Nothing waits for any server that is
  // connected, and no more is under way to it than half of what may be.
  virtual bool has_room() const = 0;

 protected:
  ~PutRunner() = default;
};

// Null: this Client has none.
inline PutRunner* put_runner(Client& client) {
  return dynamic_cast<PutRunner*>(&client);
}

}  // namespace rdmakv
