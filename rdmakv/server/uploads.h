// The uploads under way on one connection: a large value that arrives in chunks, in order, straight
// into the extent that will hold its entry, and is hashed while it arrives. Bounded; what is not
// committed goes back to the slab when the connection goes.
//
// One thread, that of the partition whose Slab it uses, and which outlives it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "rdmakv/server/slab.h"

namespace rdmakv::server {

class Uploads {
 public:
  static constexpr uint32_t kMost = 16;

  explicit Uploads(Slab& slab);
  ~Uploads();
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;

  struct Upload {
    uint64_t ticket = 0;  // 0: unused
    Extent extent;
    uint32_t key_length = 0;
    uint32_t total = 0;  // bytes of the value
    uint32_t received = 0;
    std::string_view key;  // lies in the extent
  };

  bool full() const { return open_ == kMost; }
  uint32_t open() const { return open_; }
  // Takes over the extent, which has room for key, value and an expiry field, and copies the key
  // into it. Must not be full. Returns the ticket.
  uint64_t begin(Extent extent, std::string_view key, uint32_t total);
  // Null: no such ticket.
  Upload* find(uint64_t ticket);
  // The next bytes of the value; they fit (the caller checked). `chunk` may be changed by a peer
  // meanwhile: what counts is what was copied.
  void append(Upload& upload, std::span<const std::byte> chunk);
  // The bytes that arrived.
  std::span<const std::byte> value(const Upload& upload) const;
  // XXH3-64 of all that arrived; only kept for entries of wire::kTwoStepChecksumBytes or more.
  uint64_t value_hash(const Upload& upload) const;
  // Forgets the upload. The extent is the caller's from now on.
  Extent take(Upload& upload);
  // Forgets the upload and frees its extent.
  void abort(Upload& upload);
  void abort_all();

 private:
  struct Hashes;  // one streaming hash per upload
  uint32_t number(const Upload& upload) const { return static_cast<uint32_t>(&upload - uploads_); }

  Slab& slab_;
  uint64_t last_ticket_ = 0;
  uint32_t open_ = 0;
  Upload uploads_[kMost];
  std::unique_ptr<Hashes> hashes_;
};

}  // namespace rdmakv::server
