#include "rdmakv/server/uploads.h"

#include <cassert>
#include <cstring>

#include "protocol/hashed_copy.h"

namespace rdmakv::server {

struct Uploads::Hashes {
  wire::HashedCopy copies[kMost];
};

Uploads::Uploads(Slab& slab) : slab_(slab), hashes_(std::make_unique<Hashes>()) {}

Uploads::~Uploads() {
  abort_all();
}

void Uploads::abort_all() {
  for (Upload& upload : uploads_) {
    if (upload.ticket != 0) abort(upload);
  }
}

uint64_t Uploads::begin(Extent extent, std::string_view key, uint32_t total) {
  assert(!full());
  for (Upload& upload : uploads_) {
    if (upload.ticket != 0) continue;
    ++open_;
    std::byte* at = slab_.at(extent.offset) + wire::entry_bytes(0, 0, true);
    if (!key.empty()) std::memcpy(at, key.data(), key.size());
    upload.ticket = ++last_ticket_ * kMost + number(upload);
    upload.extent = extent;
    upload.key_length = static_cast<uint32_t>(key.size());
    upload.total = total;
    upload.received = 0;
    upload.key = {reinterpret_cast<const char*>(at), key.size()};
    hashes_->copies[number(upload)].begin(0);
    return upload.ticket;
  }
  return 0;
}

Uploads::Upload* Uploads::find(uint64_t ticket) {
  Upload& upload = uploads_[ticket % kMost];
  return ticket != 0 && upload.ticket == ticket ? &upload : nullptr;
}

void Uploads::append(Upload& upload, std::span<const std::byte> chunk) {
  assert(chunk.size() <= upload.total - upload.received);
  if (chunk.empty()) return;
  std::byte* to = slab_.at(upload.extent.offset) +
                  wire::entry_value_offset(upload.key_length, true) + upload.received;
  upload.received += static_cast<uint32_t>(chunk.size());
  if (wire::entry_bytes(upload.key_length, upload.total, true) >= wire::kTwoStepChecksumBytes) {
    hashes_->copies[number(upload)].copy(to, chunk.data(), chunk.size());
  } else {
    std::memcpy(to, chunk.data(), chunk.size());
  }
}

std::span<const std::byte> Uploads::value(const Upload& upload) const {
  const uint64_t from = wire::entry_value_offset(upload.key_length, true);
  return {slab_.at(upload.extent.offset) + from, upload.received};
}

uint64_t Uploads::value_hash(const Upload& upload) const {
  return hashes_->copies[number(upload)].end();
}

Extent Uploads::take(Upload& upload) {
  const Extent extent = upload.extent;
  upload = {};
  --open_;
  return extent;
}

void Uploads::abort(Upload& upload) {
  slab_.free(take(upload).offset);
}

}  // namespace rdmakv::server
