// Read, modify, write: change a key's value by a function of its value, atomically.
//
//   const Updated counted = update(client, "hits", [](const OldValue& old, std::string& fresh) {
//     fresh = std::to_string(old ? to_number(*old) + 1 : 1);
//     return true;
//   });
//
// GET, apply the function, CAS by the version that was read; when another writer was faster, again,
// after a random pause out of a span that doubles (capped), at most `attempts` times. Where the
// entry allows it both are done without the server's CPU (one READ, one ATOMIC).
//
// Blocks, and uses the Client as Client::wait() does: the Client's thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "rdmakv/client/client.h"

namespace rdmakv {

struct UpdateOptions {
  uint32_t attempts = 100;
  uint64_t first_pause_ns = 20'000;  // the most that is waited before the third attempt
  uint64_t longest_pause_ns = 5'000'000;
};

struct Updated {
  // kOk: changed. kCancelled: the function did not want a change. kBusy: other writers were faster
  // in every attempt. Otherwise what ended a GET or the CAS; kUnknownOutcome and kTimeout: it may
  // or may not have been changed, once.
  Code code = Code::kOk;
  uint64_t version = 0;  // kOk: the new one; kCancelled: the present one, 0: no such key
  uint32_t attempts = 0;
};

using OldValue = std::optional<std::string_view>;  // empty: there is no such key
// Puts the new value into `fresh`, or returns false: no change is wanted. May be called several
// times.
using UpdateFunction = bool (*)(void* context, const OldValue& old, std::string& fresh);

Updated update(Client& client, std::string_view key, UpdateFunction function, void* context,
               const UpdateOptions& options = {});

template <typename Function>
Updated update(Client& client, std::string_view key, Function&& function,
               const UpdateOptions& options = {}) {
  using Plain = std::remove_reference_t<Function>;
  return update(
      client, key,
      [](void* context, const OldValue& old, std::string& fresh) {
        return static_cast<bool>((*static_cast<Plain*>(context))(old, fresh));
      },
      const_cast<void*>(static_cast<const void*>(&function)), options);
}

}  // namespace rdmakv
