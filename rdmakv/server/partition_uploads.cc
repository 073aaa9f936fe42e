// Values that come in pieces (uploads.h): begun, continued, and stored as any other when they are
// whole.
#include <cstring>

#include "rdmakv/server/partition.h"

namespace rdmakv::server {

void Partition::begin_upload(const Request& request, std::string_view key, Session& session,
                             Outcome& out) {
  if (session.uploads.full()) {
    out.reply.status = ReplyStatus::kTooMany;
    return;
  }
  if (request.total > wire::kMaxValueBytes) {
    out.reply.status = ReplyStatus::kTooLarge;
    return;
  }
  const Extent extent = allocate(wire::entry_bytes(key.size(), request.total, true), out);
  if (!extent) return;
  out.reply.ticket = session.uploads.begin(extent, key, static_cast<uint32_t>(request.total));
}

void Partition::append_upload(const Request& request, Value chunk, Session& session, Outcome& out) {
  Uploads::Upload* upload = session.uploads.find(request.ticket);
  if (upload == nullptr) {
    out.reply.status = ReplyStatus::kNoSuchTicket;
    return;
  }
  if (chunk.size() > wire::kMaxChunk || request.offset != upload->received ||
      chunk.size() > upload->total - upload->received) {
    out.reply.status = ReplyStatus::kBadRequest;
    return;
  }
  session.uploads.append(*upload, chunk);
}

// Ends the upload whatever comes of it.
void Partition::commit_upload(const Request& request, std::string_view key, Session& session,
                              Outcome& out) {
  Uploads::Upload* upload = session.uploads.find(request.ticket);
  if (upload == nullptr) {
    out.reply.status = ReplyStatus::kNoSuchTicket;
    return;
  }
  if (upload->received != upload->total || (!key.empty() && key != upload->key)) {
    out.reply.status = ReplyStatus::kBadRequest;
    session.uploads.abort(*upload);
    return;
  }
  const uint32_t key_length = upload->key_length;
  if (key_length > 0) std::memcpy(key_.get(), upload->key.data(), key_length);
  Uploaded uploaded;
  uploaded.bytes = upload->total;
  uploaded.hash = session.uploads.value_hash(*upload);
  uploaded.extent = session.uploads.take(*upload);
  put_any(request, {key_.get(), key_length}, {}, &uploaded, session, out);
}

void Partition::abort_upload(const Request& request, Session& session, Outcome& out) {
  Uploads::Upload* upload = session.uploads.find(request.ticket);
  if (upload == nullptr) {
    out.reply.status = ReplyStatus::kNoSuchTicket;
    return;
  }
  session.uploads.abort(*upload);
}

}  // namespace rdmakv::server
