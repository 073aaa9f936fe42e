#include "rdmakv/transport/verbs/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace rdmakv::verbs {

// --- posting -------------------------------------------------------------------------------------

MessageBuffer VerbsEndpoint::acquire_message() {
  if (state_ != State::kUp && state_ != State::kAccepting) return {};
  if (free_slots_.empty()) [[unlikely]] {
    // Those of silent work come back by a mark, soon; all others come back by themselves.
    if (signalled_outstanding_ == 0 && head_ != handed_over_ && state_ == State::kUp) {
      append_internal(WorkKind::kMark);
    }
    return {};
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return {send_buffer(slot), options_.message_bytes, slot};
}

void VerbsEndpoint::abandon_message(MessageBuffer message) {
  if (message) free_slots_.push_back(message.slot);
}

VerbsEndpoint::Work* VerbsEndpoint::append(WorkKind kind, ibv_wr_opcode opcode, uint64_t context,
                                           uint32_t slot, bool signalled) {
  uint64_t chained = tail_ - handed_over_;
  if (chained == kMaxChain) {
    if (state_ == State::kAccepting) return nullptr;
    hand_over();
    if (is_over()) return nullptr;
    chained = 0;
  }
  if (signalled) {
    unsignalled_ = 0;
    ++signalled_outstanding_;
  } else {
    ++unsignalled_;
  }
  records_[tail_ & mask_] = {context, slot, kind, signalled, nullptr};

  Work& work = chain_[chained];
  work.request.wr_id = work_id_base_ | (tail_ & mask_);
  work.request.next = nullptr;
  work.request.sg_list = work.gather;
  work.request.num_sge = 0;
  work.request.opcode = opcode;
  work.request.send_flags = signalled ? IBV_SEND_SIGNALED : 0;
  if (chained != 0) chain_[chained - 1].request.next = &work.request;
  ++tail_;
  return &work;
}

bool VerbsEndpoint::send(MessageBuffer message, uint32_t length, uint64_t context, bool signalled) {
  assert(message && length <= message.capacity);
  Work* work = nullptr;
  if (can_post() && length <= message.capacity) {
    work = append(WorkKind::kSend, IBV_WR_SEND, context, message.slot, signalled);
  }
  if (work == nullptr) {
    abandon_message(message);
    return false;
  }
  if (length != 0) {
    work->gather[0] = {reinterpret_cast<uint64_t>(message.data), length, buffers_->local_key()};
    work->request.num_sge = 1;
  }
  if (length <= pair_.max_inline()) work->request.send_flags |= IBV_SEND_INLINE;
  ++counters_.sends;
  return true;
}

bool VerbsEndpoint::append_write(ibv_wr_opcode opcode, MessageBuffer header, uint32_t header_length,
                                 std::span<const LocalBuffer> body, RemoteAddress to,
                                 uint32_t immediate, uint64_t context, bool signalled) {
  assert(header_length <= header.capacity);
  if (!can_post()) return false;
  if (body.size() + (header_length != 0 ? 1 : 0) > pair_.max_gather()) {
    break_connection(Code::kInvalidArgument, "a WRITE of more pieces than a gather list takes");
    return false;
  }
  Work* work = append(WorkKind::kWrite, opcode, context, header ? header.slot : kNoSlot, signalled);
  if (work == nullptr) return false;
  int pieces = 0;
  uint64_t total = header_length;
  if (header_length != 0) {
    work->gather[pieces++] = {reinterpret_cast<uint64_t>(header.data), header_length,
                              buffers_->local_key()};
  }
  for (const LocalBuffer& piece : body) {
    if (piece.length == 0) continue;  // a length of 0 in a gather list means 2 GiB to some devices
    work->gather[pieces++] = {reinterpret_cast<uint64_t>(piece.address), piece.length,
                              piece.local_key};
    total += piece.length;
  }
  work->request.num_sge = pieces;
  work->request.imm_data = htonl(immediate);
  work->request.wr.rdma.remote_addr = to.address;
  work->request.wr.rdma.rkey = to.key;
  if (total <= pair_.max_inline()) work->request.send_flags |= IBV_SEND_INLINE;
  ++counters_.writes;
  return true;
}

bool VerbsEndpoint::write_with_imm(MessageBuffer header, uint32_t header_length,
                                   std::span<const LocalBuffer> body, RemoteAddress to,
                                   uint32_t immediate, uint64_t context, bool signalled) {
  if (append_write(IBV_WR_RDMA_WRITE_WITH_IMM, header, header_length, body, to, immediate, context,
                   signalled)) {
    return true;
  }
  abandon_message(header);
  return false;
}

bool VerbsEndpoint::write(std::span<const LocalBuffer> body, RemoteAddress to, uint64_t context,
                          bool signalled) {
  return append_write(IBV_WR_RDMA_WRITE, {}, 0, body, to, 0, context, signalled);
}

bool VerbsEndpoint::read(LocalBuffer into, RemoteAddress from, uint64_t context, bool signalled,
                         bool fence) {
  if (!can_post()) return false;
  Work* work = append(WorkKind::kRead, IBV_WR_RDMA_READ, context, kNoSlot, signalled);
  if (work == nullptr) return false;
  if (into.length != 0) {
    work->gather[0] = {reinterpret_cast<uint64_t>(into.address), into.length, into.local_key};
    work->request.num_sge = 1;
    records_[(tail_ - 1) & mask_].watched = guard_.watch(into);
  }
  work->request.wr.rdma.remote_addr = from.address;
  work->request.wr.rdma.rkey = from.key;
  if (fence) work->request.send_flags |= IBV_SEND_FENCE;
  ++counters_.reads;
  return true;
}

bool VerbsEndpoint::compare_and_swap(LocalBuffer previous, RemoteAddress at, uint64_t expected,
                                     uint64_t desired, uint64_t context, bool signalled,
                                     bool fence) {
  assert(previous.length >= sizeof(uint64_t));
  if (!can_post()) return false;
  Work* work =
      append(WorkKind::kCompareAndSwap, IBV_WR_ATOMIC_CMP_AND_SWP, context, kNoSlot, signalled);
  if (work == nullptr) return false;
  work->gather[0] = {reinterpret_cast<uint64_t>(previous.address), sizeof(uint64_t),
                     previous.local_key};
  work->request.num_sge = 1;
  records_[(tail_ - 1) & mask_].watched =
      guard_.watch({previous.address, sizeof(uint64_t), previous.local_key});
  work->request.wr.atomic.remote_addr = at.address;
  work->request.wr.atomic.rkey = at.key;
  work->request.wr.atomic.compare_add = expected;
  work->request.wr.atomic.swap = desired;
  if (fence) work->request.send_flags |= IBV_SEND_FENCE;
  ++counters_.atomics;
  return true;
}

void VerbsEndpoint::flush() {
  if (tail_ == handed_over_) return;
  if (state_ == State::kUp) hand_over();
  if (state_ == State::kAccepting) flush_when_up_ = true;
}

void VerbsEndpoint::hand_over() {
  if (unsignalled_ >= signal_interval_) {
    chain_[tail_ - handed_over_ - 1].request.send_flags |= IBV_SEND_SIGNALED;
    unsignalled_ = 0;
    ++signalled_outstanding_;
  }
  ibv_send_wr* refused = nullptr;
  const int error = ibv_post_send(pair_.get(), &chain_[0].request, &refused);
  ++counters_.doorbells;
  if (error == 0) {
    handed_over_ = tail_;
    if (signalled_outstanding_ == 0) quiet_ = tail_;
    return;
  }
  // What stands before the refused one did go out.
  while (handed_over_ != tail_ &&
         (refused == nullptr || refused->wr_id != (work_id_base_ | (handed_over_ & mask_)))) {
    ++handed_over_;
  }
  break_connection(Code::kSystemError,
                   Status::from_errno("the device refused a work request", error).message());
}

// A WRITE of no bytes: it reaches the peer's adapter and is acknowledged by it, but needs neither
// key nor memory there. Its place is one of the kReservedWork.
void VerbsEndpoint::append_internal(WorkKind kind) {
  Work* work = append(kind, IBV_WR_RDMA_WRITE, 0, kNoSlot, true);
  if (work == nullptr) return;
  records_[(tail_ - 1) & mask_].reported = false;
  work->request.wr.rdma.remote_addr = 0;
  work->request.wr.rdma.rkey = 0;
  hand_over();
}

// To a queue pair in ERROR: comes back as soon as all that was handed over before has.
void VerbsEndpoint::post_drain_mark() {
  ibv_send_wr mark = {};
  mark.wr_id = work_id_base_ | kDrainMark;
  mark.opcode = IBV_WR_RDMA_WRITE;
  mark.send_flags = IBV_SEND_SIGNALED;
  ibv_send_wr* refused = nullptr;
  // A device that refuses it leaves the rest to the deadline.
  ibv_post_send(pair_.get(), &mark, &refused);
  drain_marked_ = true;
}

void VerbsEndpoint::probe() {
  if (state_ != State::kUp || probing_) return;
  probing_ = true;
  append_internal(WorkKind::kProbe);
}

// --- receiving -----------------------------------------------------------------------------------

bool VerbsEndpoint::post_receive(uint32_t slot) {
  ibv_sge piece = {reinterpret_cast<uint64_t>(receive_buffer(slot)), options_.message_bytes,
                   buffers_->local_key()};
  ibv_recv_wr request = {};
  request.wr_id = work_id_base_ | kReceiveBit | slot;
  request.sg_list = &piece;
  request.num_sge = 1;
  ibv_recv_wr* refused = nullptr;
  if (ibv_post_recv(pair_.get(), &request, &refused) != 0) return false;
  ++receives_posted_;
  return true;
}

// Posted at once rather than gathered: the credit that lets the peer use the slot may leave with
// the very next flush.
void VerbsEndpoint::release_message(uint32_t slot) {
  assert(slot < options_.receive_slots);
  if (!is_up()) return;
  if (!post_receive(slot)) {
    break_connection(Code::kSystemError, "the device refused a receive buffer");
  }
}

// --- completions ---------------------------------------------------------------------------------

bool VerbsEndpoint::complete(const ibv_wc& work, Completion& completion) {
  return (work.wr_id & kReceiveBit) != 0 ? complete_receive(work, completion)
                                         : complete_work(work, completion);
}

bool VerbsEndpoint::complete_receive(const ibv_wc& work, Completion& completion) {
  --receives_posted_;
  if (work.status != IBV_WC_SUCCESS) [[unlikely]] {
    report_failure(work);
    finish_if_drained();
    return false;
  }
  ++counters_.messages;
  // A peer that sends is one that can take messages, whatever else is still on its way.
  if (state_ == State::kAccepting) [[unlikely]]
    established();
  const auto slot = static_cast<uint32_t>(work.wr_id & kPositionMask);
  const bool immediate = work.opcode == IBV_WC_RECV_RDMA_WITH_IMM;
  completion = {};
  completion.endpoint = this;
  completion.kind = immediate ? CompletionKind::kImmediate : CompletionKind::kMessage;
  completion.slot = slot;
  completion.length = work.byte_len;
  if (immediate) {
    completion.immediate = ntohl(work.imm_data);
  } else {
    completion.message = receive_buffer(slot);
  }
  if (is_over()) [[unlikely]]
    finish_if_drained();
  return true;
}

bool VerbsEndpoint::complete_work(const ibv_wc& work, Completion& completion) {
  ++counters_.completions;
  const uint64_t position = work.wr_id & kPositionMask;
  uint64_t last = head_ + ((position - head_) & mask_);
  if (position == kDrainMark) [[unlikely]] {
    drain_marked_ = false;
    last = handed_over_;
  } else if (work.status == IBV_WC_SUCCESS && --signalled_outstanding_ == 0) {
    quiet_ = handed_over_;
  }
  if (work.status != IBV_WC_SUCCESS) [[unlikely]]
    report_failure(work);
  Code code = work.status == IBV_WC_SUCCESS ? Code::kOk : Code::kUnknownOutcome;
  if (code == Code::kOk && guard_.active() && answers_missing(last)) [[unlikely]] {
    break_connection(Code::kUnavailable,
                     "the connection broke: the device reported a READ or ATOMIC as done without "
                     "its data");
    code = Code::kUnknownOutcome;
  }
  // Those before the last were not signalled: the owner hears nothing of them.
  bool filled = false;
  while (head_ <= last && head_ != handed_over_) filled = pop_front(code, completion);
  if (state_ != State::kUp) [[unlikely]] {
    finish_close_if_done();
    finish_if_drained();
  }
  return filled;
}

// Whether one of those up to the last is done in name only.
bool VerbsEndpoint::answers_missing(uint64_t last) const {
  for (uint64_t at = head_; at <= last && at != handed_over_; ++at) {
    if (guard_.missing(records_[at & mask_].watched)) return true;
  }
  return false;
}

// Takes the oldest record off; returns whether the owner is to be told, by `completion`.
bool VerbsEndpoint::pop_front(Code code, Completion& completion) {
  const Record& record = records_[head_ & mask_];
  ++head_;
  if (record.slot != kNoSlot) free_slots_.push_back(record.slot);
  if (record.kind == WorkKind::kProbe) probing_ = false;
  if (!record.reported) return false;
  completion = {};
  completion.endpoint = this;
  completion.code = code;
  completion.context = record.context;
  switch (record.kind) {
    case WorkKind::kSend:
      completion.kind = CompletionKind::kSend;
      break;
    case WorkKind::kWrite:
      completion.kind = CompletionKind::kWrite;
      break;
    case WorkKind::kRead:
      completion.kind = CompletionKind::kRead;
      break;
    case WorkKind::kCompareAndSwap:
      completion.kind = CompletionKind::kCompareAndSwap;
      break;
    case WorkKind::kProbe:
    case WorkKind::kMark:
      return false;
  }
  return true;
}

}  // namespace rdmakv::verbs
