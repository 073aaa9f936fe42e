// One connection of a ChaosFabric (chaos_fabric.h says what it does to it).
//
//   works_   [ done | under way | handed over, due later | posted ]     in the order of posting
//            first_                next_                   handed_
//
// Work is executed in order, but for READs, which take their time: what is behind one, and not
// fenced, overtakes it. Completions come in the order of posting.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "rdmakv/transport/endpoint.h"
#include "tests/fakes/chaos.h"

namespace rdmakv::fakes {

class ChaosQueue;

class ChaosEndpoint final : public Endpoint {
 public:
  ChaosEndpoint(std::unique_ptr<Endpoint> inner, const EndpointOptions& options, Chaos& chaos,
                ChaosQueue& queue);
  ~ChaosEndpoint() override;

  MessageBuffer acquire_message() override;
  void abandon_message(MessageBuffer message) override;
  bool send(MessageBuffer message, uint32_t length, uint64_t context, bool signalled) override;
  bool write_with_imm(MessageBuffer header, uint32_t header_length,
                      std::span<const LocalBuffer> body, RemoteAddress to, uint32_t immediate,
                      uint64_t context, bool signalled) override;
  bool write(std::span<const LocalBuffer> body, RemoteAddress to, uint64_t context,
             bool signalled) override;
  bool read(LocalBuffer into, RemoteAddress from, uint64_t context, bool signalled,
            bool fence) override;
  bool compare_and_swap(LocalBuffer previous, RemoteAddress at, uint64_t expected, uint64_t desired,
                        uint64_t context, bool signalled, bool fence) override;
  void flush() override;
  void release_message(uint32_t slot) override;
  Status expose(const MemoryRegion& region) override;
  void probe() override { inner_->probe(); }
  bool peer_may_write() override { return inner_->peer_may_write(); }
  void close() override;
  std::string_view peer_name() const override { return inner_->peer_name(); }
  std::string_view error_text() const override {
    return error_.empty() ? inner_->error_text() : std::string_view(error_);
  }

  // ---- for the queue
  // Executes what is due.
  void advance(uint64_t now_ns);
  // The inner queue had this for us.
  void on_inner(const Completion& completion, uint64_t now_ns);
  // The next completion, if it is due.
  bool deliver(Completion& out, uint64_t now_ns);
  // When one of these has something to do; kNever.
  uint64_t due_ns() const;

 private:
  enum class Kind : uint8_t { kSend, kWriteImmediate, kWrite, kRead, kSwap };
  struct Work {
    Kind kind = Kind::kSend;
    bool signalled = false;
    bool fence = false;
    bool done = false;
    Code code = Code::kOk;
    uint64_t context = 0;
    uint64_t due_ns = 0;
    uint32_t slot = 0, length = 0;  // of a message, or its header
    bool has_message = false;
    uint32_t immediate = 0;
    std::vector<LocalBuffer> body;  // WRITE: from; READ and ATOMIC: one, into
    RemoteAddress at;
    uint64_t expected = 0, desired = 0;
    uint32_t placed = 0;           // WRITE: bytes
    std::vector<uint32_t> pieces;  // READ: numbers, in the order of fetching
    size_t next_piece = 0;
    uint32_t outstanding = 0;  // requests of it at the inner Endpoint
  };
  struct Arrived {
    Completion completion;
    uint64_t due_ns = 0;
  };

  bool may_post() const { return up_ && works_.size() < options_.max_work; }
  bool may_post_inner() const;
  Work& post(Kind kind, uint64_t context, bool signalled);
  Work& work(uint64_t number) { return works_[number - first_]; }
  bool reach(ChaosPoint point);
  // False: not now. The work stays at the head.
  bool execute(Work& work, uint64_t number, uint64_t now_ns);
  bool execute_message(Work& work, uint64_t number);
  bool execute_write(Work& work, uint64_t number, uint64_t now_ns);
  void begin_read(Work& work);
  // False: it is not wholly fetched yet.
  bool fetch(Work& work, uint64_t number, uint64_t now_ns);
  uint32_t piece_bytes(const Work& work) const;
  void retire(uint64_t now_ns);
  void arrive(const Completion& completion, uint64_t now_ns);
  void tell(const Work& work, uint64_t now_ns);
  void cut();

  std::unique_ptr<Endpoint> inner_;
  Chaos& chaos_;
  ChaosQueue& queue_;
  bool up_ = false;
  bool cut_ = false;
  bool over_ = false;  // the inner connection's last completion came
  bool posted_inner_ = false;
  std::string error_;

  std::deque<Work> works_;
  uint64_t first_ = 0, next_ = 0, handed_ = 0, end_ = 0;
  std::vector<uint64_t> reads_;  // under way
  uint32_t outstanding_ = 0;     // at the inner Endpoint
  std::deque<Arrived> inbox_;

  std::vector<std::vector<std::byte>> messages_;
  std::vector<uint32_t> free_messages_;
};

}  // namespace rdmakv::fakes
