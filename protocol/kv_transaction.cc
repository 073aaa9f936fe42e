#include "protocol/kv_transaction.h"

namespace rdmakv::wire {

void TransactionBuilder::clear() {
  bytes_.assign(sizeof(MessageHeader), std::byte{0});
  count_ = 0;
}

bool TransactionBuilder::require(std::string_view key, uint64_t version) {
  RequestHeader header;
  header.opcode = Opcode::kInspect;
  header.condition = Condition::kIfVersion;
  header.version = version;
  return add(header, key, {});
}

bool TransactionBuilder::require_absent_since(std::string_view key, uint64_t number) {
  RequestHeader header;
  header.opcode = Opcode::kInspect;
  header.condition = Condition::kIfStillAbsent;
  header.version = number;
  return add(header, key, {});
}

bool TransactionBuilder::add(RequestHeader header, std::string_view key,
                             std::span<const std::byte> value) {
  return add_parts(header, key, {{}, {}, value});
}

bool TransactionBuilder::add_parts(RequestHeader header, std::string_view key,
                                   const ValueParts& value) {
  if (count_ == kMaxRequestsPerTransaction) return false;
  header.id = count_;
  header.key_length = static_cast<uint32_t>(key.size());
  header.value_length = static_cast<uint32_t>(value.size());
  const size_t at = bytes_.size();
  bytes_.resize(at + request_bytes(key.size(), value.size()));
  std::byte* to = bytes_.data() + at;
  std::memcpy(to, &header, sizeof(header));
  to += sizeof(header);
  if (!key.empty()) std::memcpy(to, key.data(), key.size());
  to += key.size();
  const std::span<const std::byte> pieces[] = {
      value.operands, std::as_bytes(std::span(value.comparison)), value.rest};
  for (const std::span<const std::byte> piece : pieces) {
    if (!piece.empty()) std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }
  ++count_;
  return true;
}

std::span<const std::byte> TransactionBuilder::finish() {
  MessageHeader header;
  header.kind = MessageKind::kRequests;
  header.count = static_cast<uint16_t>(count_);
  std::memcpy(bytes_.data(), &header, sizeof(header));
  return bytes_;
}

}  // namespace rdmakv::wire
