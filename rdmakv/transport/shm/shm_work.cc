// The datapath of an Endpoint: posting and executing work.
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>

#include "rdmakv/transport/shared_copy.h"
#include "rdmakv/transport/shm/shm_completion_queue.h"
#include "rdmakv/transport/shm/shm_endpoint.h"

namespace rdmakv::shm {
namespace {

// The first word of an entry decides whether the rest of it is believed, so it is read whole, and
// before the rest.
void copy_in(std::byte* to, const std::byte* from, uint32_t length) {
  if (length >= sizeof(uint64_t) && reinterpret_cast<uintptr_t>(from) % sizeof(uint64_t) == 0) {
    const uint64_t first =
        __atomic_load_n(reinterpret_cast<const uint64_t*>(from), __ATOMIC_ACQUIRE);
    std::memcpy(to, &first, sizeof(first));
    to += sizeof(first);
    from += sizeof(first);
    length -= sizeof(first);
  }
  if (length > 0) copy_from_shared(to, from, length);
}

uint64_t total_of(std::span<const LocalBuffer> body) {
  uint64_t total = 0;
  for (const LocalBuffer& piece : body) total += piece.length;
  return total;
}

}  // namespace

MessageBuffer ShmEndpoint::acquire_message() {
  if (state_ != State::kUp) return {};
  const uint32_t buffer = rings_.acquire();
  if (buffer == MessageRings::kNone) {
    check_rings();
    return {};
  }
  return {rings_.buffer(buffer), options_.message_bytes, buffer};
}

void ShmEndpoint::abandon_message(MessageBuffer message) {
  if (message) rings_.abandon(message.slot);
}

bool ShmEndpoint::may_publish() {
  if (rings_.may_publish()) return true;
  check_rings();
  return false;
}

void ShmEndpoint::check_rings() {
  if (rings_.violation() != nullptr) shut(Code::kProtocolError, rings_.violation());
}

void ShmEndpoint::complete(CompletionKind kind, Code code, uint64_t context, bool signalled) {
  posted_ = true;
  if (!signalled) return;
  ++counters_.completions;
  uint32_t place = local_first_ + local_count_++;
  if (place >= local_.size()) place -= static_cast<uint32_t>(local_.size());
  Completion& completion = local_[place];
  completion = Completion{};
  completion.endpoint = this;
  completion.kind = kind;
  completion.code = code;
  completion.context = context;
}

bool ShmEndpoint::send(MessageBuffer message, uint32_t length, uint64_t context, bool signalled) {
  assert(message && length <= options_.message_bytes);
  if (!may_post() || length > options_.message_bytes || !may_publish()) {
    rings_.abandon(message.slot);
    return false;
  }
  rings_.publish(RingMessage::kSend, message.slot, length, 0);
  published_ = true;
  ++counters_.sends;
  complete(CompletionKind::kSend, Code::kOk, context, signalled);
  return true;
}

bool ShmEndpoint::write_with_imm(MessageBuffer header, uint32_t header_length,
                                 std::span<const LocalBuffer> body, RemoteAddress to,
                                 uint32_t immediate, uint64_t context, bool signalled) {
  const uint64_t total = header_length + total_of(body);
  if (!may_post() || header_length > (header ? options_.message_bytes : 0) || total > UINT32_MAX ||
      !may_publish()) {
    abandon_message(header);
    return false;
  }
  // The header's buffer, if there is one, also stands for the receive slot that is used.
  const uint32_t buffer = header ? header.slot : rings_.acquire_extra();
  if (buffer == MessageRings::kNone) return false;
  ++counters_.writes;
  const Code code = copy_out(header.data, header_length, body, total, to);
  if (code == Code::kOk) {
    rings_.publish(RingMessage::kImmediate, buffer, static_cast<uint32_t>(total), immediate);
    published_ = true;
  } else {
    rings_.abandon(buffer);
  }
  complete(CompletionKind::kWrite, code, context, signalled);
  return true;
}

bool ShmEndpoint::write(std::span<const LocalBuffer> body, RemoteAddress to, uint64_t context,
                        bool signalled) {
  if (!may_post()) return false;
  ++counters_.writes;
  const Code code = copy_out(nullptr, 0, body, total_of(body), to);
  complete(CompletionKind::kWrite, code, context, signalled);
  return true;
}

bool ShmEndpoint::read(LocalBuffer into, RemoteAddress from, uint64_t context, bool signalled,
                       bool /*fence: work is executed in order*/) {
  if (!may_post()) return false;
  ++counters_.reads;
  Code code = Code::kOk;
  if (into.length > 0) {
    const std::byte* source = reach(from, into.length, RemoteAccess::kRead);
    if (source == nullptr) {
      code = failure();
    } else {
      copy_in(into.address, source, into.length);
      load_fence();
    }
  }
  if (code == Code::kOk && peer_gone()) {
    code = Code::kUnavailable;
    drain();
  }
  complete(CompletionKind::kRead, code, context, signalled);
  return true;
}

const std::byte* ShmEndpoint::peer_memory(RemoteAddress at, uint64_t length) {
  return state_ == State::kUp ? reach(at, length, RemoteAccess::kRead) : nullptr;
}

bool ShmEndpoint::peer_memory_holds() {
  load_fence();
  if (state_ == State::kUp && !peer_gone()) [[likely]]
    return true;
  if (state_ == State::kUp) drain();
  return false;
}

bool ShmEndpoint::mark(uint64_t place) {
  if (state_ != State::kUp || marked_ == kMostMarks) return false;
  OutboxControl& own = rings_.own_control();
  own.marks[marked_].store(place, std::memory_order_relaxed);
  own.marked.store(++marked_, std::memory_order_release);
  full_fence();
  return true;
}

void ShmEndpoint::unmark_all() {
  if (marked_ == 0) return;
  marked_ = 0;
  rings_.own_control().marked.store(0, std::memory_order_release);
}

void ShmEndpoint::peer_marks(std::vector<uint64_t>& into) {
  if (peer_left_ || ended_ || !rings_.started()) return;
  const OutboxControl& peer = rings_.peer_control();
  const uint32_t marked = std::min(peer.marked.load(std::memory_order_acquire), kMostMarks);
  for (uint32_t i = 0; i < marked; ++i) {
    into.push_back(peer.marks[i].load(std::memory_order_relaxed));
  }
}

bool ShmEndpoint::compare_and_swap(LocalBuffer previous, RemoteAddress at, uint64_t expected,
                                   uint64_t desired, uint64_t context, bool signalled,
                                   bool /*fence: work is executed in order*/) {
  assert(previous.length >= sizeof(uint64_t));
  if (!may_post()) return false;
  ++counters_.atomics;
  Code code = Code::kUnavailable;
  std::byte* target = nullptr;
  if (at.address % sizeof(uint64_t) != 0) {
    code = Code::kInvalidArgument;
    shut(code, "remote access error: an atomic on an address that is not a multiple of 8");
  } else if ((target = reach(at, sizeof(uint64_t), RemoteAccess::kAtomic)) == nullptr) {
    code = failure();
  } else if (enter_gate()) {
    __atomic_compare_exchange_n(reinterpret_cast<uint64_t*>(target), &expected, desired, false,
                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (leave_gate()) {
      std::memcpy(previous.address, &expected, sizeof(expected));
      code = Code::kOk;
    }
  }
  complete(CompletionKind::kCompareAndSwap, code, context, signalled);
  return true;
}

std::byte* ShmEndpoint::reach(RemoteAddress at, uint64_t length, RemoteAccess access) {
  std::byte* data = peer_regions_.lookup(at, length, access);
  if (data != nullptr) return data;
  // Perhaps the region has only just been exposed.
  if (!peer_regions_.knows(at.key)) on_socket_ready();
  if (state_ != State::kUp) return nullptr;
  Result<std::byte*> reached = peer_regions_.resolve(at, length, access);
  if (reached) return *reached;
  shut(reached.status().code(), reached.status().message());
  return nullptr;
}

bool ShmEndpoint::enter_gate() {
  rings_.own_control().accessing.store(1, std::memory_order_relaxed);
  full_fence();
  if (!peer_gone()) return true;
  rings_.own_control().accessing.store(0, std::memory_order_release);
  drain();
  return false;
}

bool ShmEndpoint::leave_gate() {
  rings_.own_control().accessing.store(0, std::memory_order_release);
  if (!peer_life_->marked_dead()) return true;
  drain();
  return false;
}

Code ShmEndpoint::copy_out(const std::byte* header, uint32_t header_length,
                           std::span<const LocalBuffer> body, uint64_t total, RemoteAddress to) {
  if (total == 0 && !peer_gone()) return Code::kOk;
  if (total == 0) {
    drain();
    return Code::kUnavailable;
  }
  std::byte* target = reach(to, total, RemoteAccess::kWrite);
  if (target == nullptr) return failure();
  if (!enter_gate()) return Code::kUnavailable;
  if (header_length > 0) {
    copy_to_shared(target, header, header_length);
    target += header_length;
  }
  for (const LocalBuffer& piece : body) {
    if (piece.length > 0) copy_to_shared(target, piece.address, piece.length);
    target += piece.length;
  }
  return leave_gate() ? Code::kOk : Code::kUnavailable;
}

void ShmEndpoint::flush() {
  if (!posted_) return;
  posted_ = false;
  ++counters_.doorbells;
  if (published_) {
    published_ = false;
    full_fence();  // the messages before the look at the peer's epoch
    ring();
  }
  if (local_count_ > 0) queue_.stir(*this);
}

bool ShmEndpoint::ring() {
  const auto* page = reinterpret_cast<const QueuePage*>(peer_page_.data());
  const uint64_t epoch = page->epoch.load(std::memory_order_acquire);
  if (epoch % 2 == 0 || epoch == rung_epoch_) return false;
  rung_epoch_ = epoch;
  ++counters_.wakeups;
  const uint64_t one = 1;
  while (::write(peer_doorbell_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
  return true;
}

}  // namespace rdmakv::shm
