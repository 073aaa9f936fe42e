#include "tests/fakes/fake_fabric.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace rdmakv::fakes {

FakeRegion::FakeRegion(size_t bytes) {
  data_ = static_cast<std::byte*>(std::aligned_alloc(4096, bytes));  // NOLINT: aligned
  size_ = bytes;
  std::memset(data_, 0, bytes);
  local_key_ = 11;
  remote_key_ = 22;
  remote_base_ = 0x10000;
}
FakeRegion::~FakeRegion() {
  std::free(data_);
}  // NOLINT

FakeCompletionQueue::FakeCompletionQueue() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
FakeCompletionQueue::~FakeCompletionQueue() {
  close(fd_);
}

size_t FakeCompletionQueue::poll(std::span<Completion> completions) {
  uint64_t count = 0;
  while (read(fd_, &count, sizeof(count)) > 0) {
  }
  const size_t taken = std::min(completions.size(), waiting_.size());
  std::copy_n(waiting_.begin(), taken, completions.begin());
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(taken));
  return taken;
}

void FakeCompletionQueue::push(const Completion& completion) {
  waiting_.push_back(completion);
  const uint64_t one = 1;
  static_cast<void>(::write(fd_, &one, sizeof(one)));
}

void FakeCompletionQueue::discard(const Endpoint* endpoint) {
  std::erase_if(waiting_, [&](const Completion& one) { return one.endpoint == endpoint; });
}

// ---- endpoint ----------------------------------------------------------------------------------

FakeEndpoint::FakeEndpoint(FakeFabric& fabric, const EndpointOptions& options,
                           FakeCompletionQueue& queue, const wire::ConnectRequest& asked)
    : request(asked), fabric_(fabric), queue_(queue) {
  options_ = options;
  for (uint32_t slot = 0; slot < options.send_slots; ++slot) {
    send_buffers_.emplace_back(options.message_bytes);
    free_sends_.push_back(slot);
  }
  for (uint32_t slot = 0; slot < options.receive_slots; ++slot) {
    receives_.emplace_back(options.message_bytes);
    free_receives_.push_back(slot);
  }
  fabric_.endpoints.push_back(this);
}

FakeEndpoint::~FakeEndpoint() {
  queue_.discard(this);
  std::erase(fabric_.endpoints, this);
  std::erase_if(fabric_.server.held, [&](const FakeRequest& one) { return one.endpoint == this; });
  fabric_.server.outstanding = fabric_.server.held.size();
  ++fabric_.destroyed;
}

MessageBuffer FakeEndpoint::acquire_message() {
  if (!up_ || free_sends_.empty()) return {};
  const uint32_t slot = free_sends_.back();
  free_sends_.pop_back();
  return {send_buffers_[slot].data(), options_.message_bytes, slot};
}

void FakeEndpoint::abandon_message(MessageBuffer message) {
  free_sends_.push_back(message.slot);
}

bool FakeEndpoint::send(MessageBuffer message, uint32_t length, uint64_t, bool) {
  EXPECT_LE(length, message.capacity);
  free_sends_.push_back(message.slot);
  if (!up_ || (fabric_.fail_posts > 0 && fabric_.fail_posts-- > 0)) return false;
  Work work;
  work.bytes.assign(message.data, message.data + length);
  chain_.push_back(std::move(work));
  ++counters_.sends;
  return true;
}

bool FakeEndpoint::write_with_imm(MessageBuffer header, uint32_t header_length,
                                  std::span<const LocalBuffer> body, RemoteAddress to,
                                  uint32_t immediate, uint64_t, bool) {
  if (header) free_sends_.push_back(header.slot);
  if (!up_ || (fabric_.fail_posts > 0 && fabric_.fail_posts-- > 0)) return false;
  Work work;
  work.by_write = true;
  work.at = to;
  work.immediate = immediate;
  if (header_length > 0) work.bytes.assign(header.data, header.data + header_length);
  for (const LocalBuffer& piece : body) {
    EXPECT_EQ(piece.local_key, 11u) << "not registered memory";
    work.bytes.insert(work.bytes.end(), piece.address, piece.address + piece.length);
  }
  chain_.push_back(std::move(work));
  ++counters_.writes;
  return true;
}

bool FakeEndpoint::read(LocalBuffer into, RemoteAddress from, uint64_t context, bool signalled,
                        bool) {
  EXPECT_TRUE(signalled);
  if (!up_ || (fabric_.fail_posts > 0 && fabric_.fail_posts-- > 0)) return false;
  Work work;
  work.is_read = true;
  work.at = from;
  work.into = into;
  work.context = context;
  chain_.push_back(std::move(work));
  ++counters_.reads;
  return true;
}

void FakeEndpoint::flush() {
  if (chain_.empty()) return;
  ++counters_.doorbells;
  ++fabric_.doorbells;
  std::vector<Work> chain;
  chain.swap(chain_);
  for (Work& work : chain) {
    if (work.is_read) {
      if (fabric_.hold_reads) {
        held_reads_.push_back(std::move(work));
      } else {
        execute_read(work);
      }
    } else if (work.by_write) {
      fabric_.server.on_write(*this, work.at, work.bytes, work.immediate);
    } else {
      fabric_.server.on_message(*this, work.bytes);
    }
  }
}

void FakeEndpoint::execute_read(const Work& work) {
  const std::vector<std::byte>& pool = fabric_.server.pool;
  const auto base = reinterpret_cast<uint64_t>(pool.data());
  const bool inside = work.at.address >= base && work.into.length <= pool.size() &&
                      work.at.address - base <= pool.size() - work.into.length;
  EXPECT_TRUE(inside) << "a READ outside the pool";
  if (!inside) return;
  std::memcpy(work.into.address, pool.data() + (work.at.address - base), work.into.length);
  Completion completion;
  completion.endpoint = this;
  completion.kind = CompletionKind::kRead;
  completion.context = work.context;
  queue_.push(completion);
}

void FakeEndpoint::complete_reads() {
  std::vector<Work> reads;
  reads.swap(held_reads_);
  for (const Work& work : reads) execute_read(work);
}

void FakeEndpoint::release_message(uint32_t slot) {
  free_receives_.push_back(slot);
  --receives_in_use;
}

Status FakeEndpoint::expose(const MemoryRegion& region) {
  exposed = &region;
  return Status::ok();
}

void FakeEndpoint::come_up() {
  up_ = true;
  Completion completion;
  completion.endpoint = this;
  completion.kind = CompletionKind::kConnected;
  queue_.push(completion);
}

void FakeEndpoint::deliver(std::span<const std::byte> message) {
  ASSERT_FALSE(free_receives_.empty()) << "more messages than receives";
  ASSERT_LE(message.size(), options_.message_bytes);
  const uint32_t slot = free_receives_.back();
  free_receives_.pop_back();
  ++receives_in_use;
  std::copy(message.begin(), message.end(), receives_[slot].begin());
  Completion completion;
  completion.endpoint = this;
  completion.kind = CompletionKind::kMessage;
  completion.slot = slot;
  completion.length = static_cast<uint32_t>(message.size());
  completion.message = receives_[slot].data();
  queue_.push(completion);
}

void FakeEndpoint::deliver_write(uint64_t offset, std::span<const std::byte> body,
                                 uint32_t immediate) {
  ASSERT_FALSE(free_receives_.empty()) << "more messages than receives";
  ASSERT_NE(exposed, nullptr);
  ASSERT_LE(offset + body.size(), exposed->size());
  std::copy(body.begin(), body.end(), exposed->data() + offset);
  const uint32_t slot = free_receives_.back();
  free_receives_.pop_back();
  ++receives_in_use;
  Completion completion;
  completion.endpoint = this;
  completion.kind = CompletionKind::kImmediate;
  completion.slot = slot;
  completion.length = static_cast<uint32_t>(body.size());
  completion.immediate = immediate;
  queue_.push(completion);
}

void FakeEndpoint::cut(Code code, std::string text) {
  up_ = false;
  error_ = std::move(text);
  Completion completion;
  completion.endpoint = this;
  completion.kind = CompletionKind::kDisconnected;
  completion.code = code;
  queue_.push(completion);
}

// ---- fabric ------------------------------------------------------------------------------------

Result<std::unique_ptr<MemoryRegion>> FakeFabric::allocate(const RegionOptions& options) {
  return std::unique_ptr<MemoryRegion>(std::make_unique<FakeRegion>(options.bytes));
}

Result<std::unique_ptr<CompletionQueue>> FakeFabric::create_completion_queue(uint32_t) {
  return std::unique_ptr<CompletionQueue>(std::make_unique<FakeCompletionQueue>());
}

Result<std::unique_ptr<Endpoint>> FakeFabric::connect(const FabricAddress&,
                                                      const wire::ConnectRequest& request,
                                                      const EndpointOptions& options,
                                                      CompletionQueue& queue) {
  ++connects;
  if (!connect_error.is_ok()) return connect_error;
  EndpointOptions agreed = options;
  if (agreed_message_bytes != 0) agreed.message_bytes = agreed_message_bytes;
  if (agreed_receive_slots != 0) agreed.receive_slots = agreed_receive_slots;
  auto endpoint = std::make_unique<FakeEndpoint>(*this, agreed,
                                                 static_cast<FakeCompletionQueue&>(queue), request);
  if (request.worker >= server.workers) {
    endpoint->cut(Code::kRefused, "no such worker");
  } else if (!hold_connect) {
    endpoint->come_up();
  }
  return std::unique_ptr<Endpoint>(std::move(endpoint));
}

Result<std::unique_ptr<Listener>> FakeFabric::listen(const FabricAddress&, ConnectionHandler&) {
  return {Code::kInvalidArgument, "the fake fabric does not listen"};
}

FakeEndpoint* FakeFabric::endpoint(uint16_t worker) {
  for (FakeEndpoint* one : endpoints) {
    if (one->request.worker == worker) return one;
  }
  return nullptr;
}

}  // namespace rdmakv::fakes
