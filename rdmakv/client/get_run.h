// Plain GETs without an Operation each, many at a time, where GETs that wait together go by request
// (client.h, GetPath): they are written into outgoing messages as they are taken, share requests
// (protocol/kv_gets.h), and each is told as its answer comes. Part of a Client, found by
// get_runner(); its thread's, as all of it.
//
//   get_run(run) ... flush() ... poll() -> run.take() for each, in any order -> run.done()
//                                       '-> run.stand_in(): what is not as simple as that
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "rdmakv/client/client.h"

namespace rdmakv {

// The caller's; stays where it is, and is left alone, until done(). What it is called with it must
// not answer by calling the Client, but in done().
class GetRun {
 public:
  static constexpr size_t kMost = 64;  // gets

  std::span<const std::string_view> keys;  // asked for; all of it stays until done()
  uint32_t taken = 0;                      // of them, from the first on, by get_run()

  // The answer for keys[index]: there is such a key, and its value (lent: valid in take() only), or
  // there is none.
  virtual void take(size_t index, bool found, std::span<const std::byte> value) = 0;
  // keys[index] cannot be answered by take(): its value stays at the server, pinned, or its time is
  // up, or its connection is gone, or whatever else comes of a GET. Returns an Operation of kind
  // kGet for that key, with `done`, its other fields as the caller likes them, and no deadline; it
  // is under way from now on, as if it had been submitted in the get's place.
  virtual Operation& stand_in(size_t index) = 0;
  // Each get was answered, or has its Operation.
  virtual void done() = 0;

  // ---- the client's own, while the run is under way ----
  uint32_t open = 0;
  uint32_t stand_ins = 0;
  GetRun* next = nullptr;

 protected:
  GetRun() = default;
  GetRun(const GetRun&) = delete;
  GetRun& operator=(const GetRun&) = delete;
  ~GetRun() = default;
};

class GetRunner {
 public:
  // Whether get_run() ever takes anything.
  virtual bool takes_gets() const = 0;
  // Takes gets of run.keys from the first on, GetRun::kMost at most, and returns how many; with
  // those the run is under way, if there are any. What is left is to be submitted: the first of it
  // cannot be done like this, or not now. A single one is taken only if it can join others.
  //
  // Gets keep their order with the Operations on their keys, and with puts of runs.
  virtual size_t get_run(GetRun& run) = 0;

 protected:
  ~GetRunner() = default;
};

// Null: this Client has none.
inline GetRunner* get_runner(Client& client) {
  return dynamic_cast<GetRunner*>(&client);
}

}  // namespace rdmakv
