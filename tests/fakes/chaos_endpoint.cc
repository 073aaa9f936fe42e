#include "tests/fakes/chaos_endpoint.h"

#include <algorithm>
#include <cstring>

#include "rdmakv/client/clock.h"
#include "tests/fakes/chaos_queue.h"

namespace rdmakv::fakes {
namespace {

constexpr uint32_t kPiecesAtOnce = 4;  // of one READ, at the inner Endpoint
constexpr uint32_t kSpareWork = 4;

CompletionKind completion_kind(uint8_t kind) {
  static constexpr CompletionKind kKinds[] = {CompletionKind::kSend, CompletionKind::kWrite,
                                              CompletionKind::kWrite, CompletionKind::kRead,
                                              CompletionKind::kCompareAndSwap};
  return kKinds[kind];
}

// `length` bytes of a gather list, from `offset` on.
std::vector<LocalBuffer> part_of(const std::vector<LocalBuffer>& body, uint32_t offset,
                                 uint32_t length) {
  std::vector<LocalBuffer> part;
  for (const LocalBuffer& piece : body) {
    if (length == 0) break;
    if (offset >= piece.length) {
      offset -= piece.length;
      continue;
    }
    const uint32_t bytes = std::min(piece.length - offset, length);
    part.push_back({piece.address + offset, bytes, piece.local_key});
    offset = 0;
    length -= bytes;
  }
  return part;
}

uint32_t bytes_of(const std::vector<LocalBuffer>& body) {
  uint32_t total = 0;
  for (const LocalBuffer& piece : body) total += piece.length;
  return total;
}

}  // namespace

ChaosEndpoint::ChaosEndpoint(std::unique_ptr<Endpoint> inner, const EndpointOptions& options,
                             Chaos& chaos, ChaosQueue& queue)
    : inner_(std::move(inner)), chaos_(chaos), queue_(queue) {
  options_ = options;
  inner_->set_owner(this);
  queue_.add(this);
}

ChaosEndpoint::~ChaosEndpoint() {
  queue_.remove(this);
}

// ---- posting -----------------------------------------------------------------------------------

MessageBuffer ChaosEndpoint::acquire_message() {
  if (!up_ || free_messages_.empty()) return {};
  const uint32_t slot = free_messages_.back();
  free_messages_.pop_back();
  return {messages_[slot].data(), options_.message_bytes, slot};
}

void ChaosEndpoint::abandon_message(MessageBuffer message) {
  if (message) free_messages_.push_back(message.slot);
}

ChaosEndpoint::Work& ChaosEndpoint::post(Kind kind, uint64_t context, bool signalled) {
  Work& work = works_.emplace_back();
  ++end_;
  work.kind = kind;
  work.context = context;
  work.signalled = signalled;
  return work;
}

bool ChaosEndpoint::send(MessageBuffer message, uint32_t length, uint64_t context, bool signalled) {
  if (!may_post()) {
    abandon_message(message);
    return false;
  }
  ++counters_.sends;
  Work& work = post(Kind::kSend, context, signalled);
  work.has_message = true;
  work.slot = message.slot;
  work.length = length;
  return true;
}

bool ChaosEndpoint::write_with_imm(MessageBuffer header, uint32_t header_length,
                                   std::span<const LocalBuffer> body, RemoteAddress to,
                                   uint32_t immediate, uint64_t context, bool signalled) {
  if (!may_post()) {
    abandon_message(header);
    return false;
  }
  ++counters_.writes;
  Work& work = post(Kind::kWriteImmediate, context, signalled);
  work.has_message = static_cast<bool>(header);
  work.slot = header.slot;
  work.length = header_length;
  work.body.assign(body.begin(), body.end());
  work.at = to;
  work.immediate = immediate;
  return true;
}

bool ChaosEndpoint::write(std::span<const LocalBuffer> body, RemoteAddress to, uint64_t context,
                          bool signalled) {
  if (!may_post()) return false;
  ++counters_.writes;
  Work& work = post(Kind::kWrite, context, signalled);
  work.body.assign(body.begin(), body.end());
  work.at = to;
  return true;
}

bool ChaosEndpoint::read(LocalBuffer into, RemoteAddress from, uint64_t context, bool signalled,
                         bool fence) {
  if (!may_post()) return false;
  ++counters_.reads;
  Work& work = post(Kind::kRead, context, signalled);
  work.body.push_back(into);
  work.at = from;
  work.fence = fence;
  return true;
}

bool ChaosEndpoint::compare_and_swap(LocalBuffer previous, RemoteAddress at, uint64_t expected,
                                     uint64_t desired, uint64_t context, bool signalled,
                                     bool fence) {
  if (!may_post()) return false;
  ++counters_.atomics;
  Work& work = post(Kind::kSwap, context, signalled);
  work.body.push_back(previous);
  work.at = at;
  work.expected = expected;
  work.desired = desired;
  work.fence = fence;
  return true;
}

void ChaosEndpoint::flush() {
  if (handed_ == end_) return;
  const uint64_t now = steady_ns();
  for (uint64_t number = handed_; number < end_; ++number) {
    work(number).due_ns = chaos_.due(now);
  }
  handed_ = end_;
  ++counters_.doorbells;
  if (reach(ChaosPoint::kDoorbell)) return;
  advance(now);
}

void ChaosEndpoint::release_message(uint32_t slot) {
  if (!over_) inner_->release_message(slot);
}

Status ChaosEndpoint::expose(const MemoryRegion& region) {
  reach(ChaosPoint::kExpose);
  return inner_->expose(region);
}

void ChaosEndpoint::close() {
  if (cut_ || over_) return;
  if (up_) {
    reach(ChaosPoint::kClose);
    advance(kNever);
  }
  inner_->close();
}

// ---- executing ---------------------------------------------------------------------------------

bool ChaosEndpoint::reach(ChaosPoint point) {
  if (!chaos_.reach(point) || !up_) return cut_;
  cut();
  return true;
}

bool ChaosEndpoint::may_post_inner() const {
  return outstanding_ + kSpareWork < inner_->options().max_work;
}

void ChaosEndpoint::advance(uint64_t now_ns) {
  if (!up_ || cut_) return;
  posted_inner_ = false;
  std::erase_if(reads_, [&](uint64_t number) {
    return !cut_ && work(number).due_ns <= now_ns && fetch(work(number), number, now_ns);
  });
  while (!cut_ && next_ < handed_) {
    Work& head = work(next_);
    if (head.due_ns > now_ns || (head.fence && first_ != next_)) break;
    if (!execute(head, next_, now_ns)) break;
    ++next_;
  }
  if (posted_inner_ && !cut_) inner_->flush();
  if (!cut_) retire(now_ns);
}

bool ChaosEndpoint::execute(Work& work, uint64_t number, uint64_t now_ns) {
  switch (work.kind) {
    case Kind::kSend:
    case Kind::kWriteImmediate:
      return execute_message(work, number);
    case Kind::kWrite:
      return execute_write(work, number, now_ns);
    case Kind::kRead:
      if (reach(ChaosPoint::kRead)) return false;
      begin_read(work);
      reads_.push_back(number);
      if (fetch(work, number, now_ns)) reads_.pop_back();
      return !cut_;
    case Kind::kSwap:
      if (reach(ChaosPoint::kAtomic) || !may_post_inner()) return false;
      if (!inner_->compare_and_swap(work.body[0], work.at, work.expected, work.desired, number,
                                    true)) {
        return false;
      }
      break;
  }
  ++outstanding_;
  ++work.outstanding;
  posted_inner_ = true;
  return !reach(ChaosPoint::kSwapped);
}

bool ChaosEndpoint::execute_message(Work& work, uint64_t number) {
  const bool plain = work.kind == Kind::kSend;
  if (reach(plain ? ChaosPoint::kSend : ChaosPoint::kWriteImmediate) || !may_post_inner()) {
    return false;
  }
  MessageBuffer message;
  if (work.has_message) {
    message = inner_->acquire_message();
    if (!message) return false;
    std::memcpy(message.data, messages_[work.slot].data(), work.length);
  }
  const bool taken = plain ? inner_->send(message, work.length, number, true)
                           : inner_->write_with_imm(message, work.length, work.body, work.at,
                                                    work.immediate, number, true);
  if (!taken) return false;
  if (work.has_message) free_messages_.push_back(work.slot);
  work.has_message = false;
  ++outstanding_;
  ++work.outstanding;
  posted_inner_ = true;
  return !reach(plain ? ChaosPoint::kSent : ChaosPoint::kWrittenImmediate);
}

bool ChaosEndpoint::execute_write(Work& work, uint64_t number, uint64_t now_ns) {
  const uint32_t total = bytes_of(work.body);
  const uint32_t mtu = chaos_.options.mtu == 0 ? total : chaos_.options.mtu;
  if (work.placed == 0 && reach(ChaosPoint::kWrite)) return false;
  do {
    if (!may_post_inner()) return false;
    const uint32_t bytes = std::min(total - work.placed, mtu);
    const std::vector<LocalBuffer> part = part_of(work.body, work.placed, bytes);
    if (!inner_->write(part, {work.at.address + work.placed, work.at.key}, number, true)) {
      return false;
    }
    ++outstanding_;
    ++work.outstanding;
    posted_inner_ = true;
    work.placed += bytes;
    if (work.placed == total) break;
    work.due_ns = chaos_.due(now_ns);
    if (reach(ChaosPoint::kHalfWritten)) return false;
  } while (work.due_ns <= now_ns);
  return work.placed == total && !reach(ChaosPoint::kWritten);
}

uint32_t ChaosEndpoint::piece_bytes(const Work& work) const {
  const uint32_t total = std::max(work.body[0].length, 1u);
  return chaos_.options.mtu == 0 ? total : std::min(chaos_.options.mtu, total);
}

void ChaosEndpoint::begin_read(Work& work) {
  const uint32_t bytes = piece_bytes(work);
  const uint32_t count = (std::max(work.body[0].length, 1u) + bytes - 1) / bytes;
  for (uint32_t i = 0; i < count; ++i) {
    work.pieces.push_back(i);
    std::swap(work.pieces[i], work.pieces[chaos_.dice.below(i + 1)]);
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (chaos_.dice.per_mille(chaos_.options.repeated_per_mille)) {
      work.pieces.push_back(work.pieces[i]);
    }
  }
}

bool ChaosEndpoint::fetch(Work& work, uint64_t number, uint64_t now_ns) {
  while (work.next_piece < work.pieces.size()) {
    if (!may_post_inner() || work.outstanding >= kPiecesAtOnce) return false;
    const uint32_t offset = work.pieces[work.next_piece] * piece_bytes(work);
    const uint32_t bytes = std::min(piece_bytes(work), work.body[0].length - offset);
    const LocalBuffer into{work.body[0].address + offset, bytes, work.body[0].local_key};
    if (!inner_->read(into, {work.at.address + offset, work.at.key}, number, true)) return false;
    ++outstanding_;
    ++work.outstanding;
    posted_inner_ = true;
    if (++work.next_piece == work.pieces.size()) break;
    if (reach(ChaosPoint::kReadPiece)) return false;
    work.due_ns = chaos_.due(now_ns);
    if (work.due_ns > now_ns) return false;
  }
  return true;
}

// ---- what came of it ---------------------------------------------------------------------------

void ChaosEndpoint::on_inner(const Completion& completion, uint64_t now_ns) {
  switch (completion.kind) {
    case CompletionKind::kConnected: {
      options_ = inner_->options();
      messages_.assign(options_.send_slots, std::vector<std::byte>(options_.message_bytes));
      for (uint32_t i = 0; i < options_.send_slots; ++i) free_messages_.push_back(i);
      up_ = true;
      return arrive(completion, now_ns);
    }
    case CompletionKind::kDisconnected: {
      up_ = false;
      over_ = true;
      for (Work& work : works_) {
        if (!work.done || cut_) work.code = Code::kUnavailable;
        tell(work, now_ns);
      }
      works_.clear();
      reads_.clear();
      Completion last = completion;
      if (cut_) last.code = Code::kUnavailable;
      return arrive(last, now_ns);
    }
    case CompletionKind::kMessage:
    case CompletionKind::kImmediate:
      if (cut_) return inner_->release_message(completion.slot);
      ++counters_.messages;
      return arrive(completion, now_ns);
    default:
      break;
  }
  --outstanding_;
  if (cut_ || completion.context < first_) return;
  Work& own = work(completion.context);
  if (completion.code != Code::kOk) own.code = completion.code;
  --own.outstanding;
}

// Work that is wholly executed, and of which all has completed, is told in order.
void ChaosEndpoint::retire(uint64_t now_ns) {
  while (first_ < next_) {
    Work& head = works_.front();
    const bool fetched = head.next_piece == head.pieces.size();
    if (head.outstanding > 0 || !fetched) return;
    head.done = true;
    tell(head, now_ns);
    works_.pop_front();
    ++first_;
  }
}

void ChaosEndpoint::tell(const Work& work, uint64_t now_ns) {
  if (!work.signalled) return;
  ++counters_.completions;
  Completion completion;
  completion.kind = completion_kind(static_cast<uint8_t>(work.kind));
  completion.code = work.code;
  completion.context = work.context;
  arrive(completion, now_ns);
}

void ChaosEndpoint::arrive(const Completion& completion, uint64_t now_ns) {
  uint64_t due = chaos_.due(now_ns);
  if (!inbox_.empty()) due = std::max(due, inbox_.back().due_ns);
  inbox_.push_back({completion, due});
  inbox_.back().completion.endpoint = this;
}

bool ChaosEndpoint::deliver(Completion& out, uint64_t now_ns) {
  if (inbox_.empty() || inbox_.front().due_ns > now_ns) return false;
  const CompletionKind kind = inbox_.front().completion.kind;
  const bool message = kind == CompletionKind::kMessage || kind == CompletionKind::kImmediate;
  const bool own =
      !message && kind != CompletionKind::kConnected && kind != CompletionKind::kDisconnected;
  if ((message || own) && up_ && reach(message ? ChaosPoint::kMessage : ChaosPoint::kCompletion)) {
    if (inbox_.empty()) return false;
  }
  out = inbox_.front().completion;
  inbox_.pop_front();
  return true;
}

uint64_t ChaosEndpoint::due_ns() const {
  uint64_t due = inbox_.empty() ? kNever : inbox_.front().due_ns;
  if (!up_ || cut_) return due;
  if (next_ < handed_) due = std::min(due, works_[next_ - first_].due_ns);
  for (const uint64_t number : reads_) due = std::min(due, works_[number - first_].due_ns);
  return due;
}

// What has arrived and was not delivered is lost; own work of which this was to be told has an
// unknown outcome.
void ChaosEndpoint::cut() {
  if (cut_) return;
  cut_ = true;
  error_ = "cut by chaos";
  std::erase_if(inbox_, [&](const Arrived& one) {
    const CompletionKind kind = one.completion.kind;
    const bool message = kind == CompletionKind::kMessage || kind == CompletionKind::kImmediate;
    if (message) inner_->release_message(one.completion.slot);
    return message;
  });
  for (Arrived& one : inbox_) {
    if (one.completion.kind != CompletionKind::kConnected) {
      one.completion.code = Code::kUnavailable;
    }
  }
  inner_->close();
}

}  // namespace rdmakv::fakes
