// GETs without an Operation, where READs are loads of this CPU (shm). Part of a Client, found by
// at_once_reader(); its thread's, as all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "rdmakv/client/client.h"

namespace rdmakv {

// A value found by get_at_once().
struct ValueAtOnce {
  bool found = false;
  uint64_t version = 0;  // of the key; 0: not found
  int64_t expiry_ms = 0;
  std::span<const std::byte> value;  // lent: valid in take() only, or
  bool in_place = false;             // in the server's memory, until read_in_place()
};

class AtOnce {
 public:
  // The answer for keys[index]; called in the order of the keys. Must not call the Client.
  virtual void take(size_t index, const ValueAtOnce& answer) = 0;
  // Where an entry of `bytes`, with a value of wire::kLargeValue or more, is to be copied to, at
  // least so many bytes. The next take() tells where in it the value lies, if it is its value; it
  // is not valid for longer. Null: nowhere, and so it is not answered at once. May allocate from
  // the Client.
  virtual std::byte* room(uint64_t /*bytes*/) { return nullptr; }
  // Whether a value of so many bytes, wire::kLargeValue or more, is wanted where it lies. Not every
  // one can be had like that: then room() is asked.
  virtual bool wants_in_place(uint64_t /*bytes*/) { return false; }

 protected:
  ~AtOnce() = default;
};

class AtOnceReader {
 public:
  // get_at_once() takes so many keys at a time.
  static constexpr size_t kMost = 32;

  // Answers `keys` from the first on, and returns how many; what is left is to be submitted, the
  // first of it because it cannot be answered like this, for whatever reason. Nothing is sent and
  // nobody is woken. An answer is what the key was at some moment during the call: operations of
  // this Client on the key that are under way are not waited for, and may or may not have taken
  // place.
  virtual size_t get_at_once(std::span<const std::string_view> keys, AtOnce& answers) = 0;
  // To be called when wants_in_place() has said yes: the values that were given in place have been
  // read, or copied, and are given up. The server cannot use their memory again before, so it is to
  // be called soon: before anything else of this Client is.
  virtual void read_in_place() {}

 protected:
  ~AtOnceReader() = default;
};

// Null: this Client has none.
inline AtOnceReader* at_once_reader(Client& client) {
  return dynamic_cast<AtOnceReader*>(&client);
}

}  // namespace rdmakv
