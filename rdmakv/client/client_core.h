// The Client behind rdmakv/client/client.h: routes operations to sessions and gives them their
// turns.
//
//   submit -> SlotMap -> Session::enqueue          flush, poll's end -> Session::pump (dirty ones)
//   poll: completions -> Session::on_completion -> done
//         due?        -> Session::on_time          finished_ -> done;  dying sessions are buried
//
// A server's number of workers is learned from its worker 0; until then its operations wait in that
// session's queue, and are spread when the Welcome has come.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "rdmakv/client/at_once.h"
#include "rdmakv/client/gather.h"
#include "rdmakv/client/get_run.h"
#include "rdmakv/client/pinned_memory.h"
#include "rdmakv/client/put_run.h"
#include "rdmakv/client/session.h"
#include "rdmakv/client/slot_map.h"
#include "rdmakv/transport/buffer_arena.h"

namespace rdmakv {

class ClientCore final : public Client,
                         public AtOnceReader,
                         public GetRunner,
                         public PutRunner,
                         public PinnedMemory,
                         private SessionContext {
 public:
  static Result<std::unique_ptr<ClientCore>> create(Fabric& fabric, const ClientOptions& options);
  ~ClientCore() override;
  ClientCore(const ClientCore&) = delete;
  ClientCore& operator=(const ClientCore&) = delete;

  void submit(Operation& operation) override;
  size_t get_at_once(std::span<const std::string_view> keys, AtOnce& answers) override;
  void read_in_place() override;
  bool takes_gets() const override;
  size_t get_run(GetRun& run) override;
  size_t put_run(std::span<const wire::PutView> puts, PutRun& run) override;
  bool has_room() const override;
  std::span<const std::byte> pinned(const Ticket& pin, uint64_t offset, uint64_t length) override;
  bool pinned_holds(const Ticket& pin) override;
  bool has_pinned_memory() const override { return reads_are_loads; }
  void flush() override;
  size_t poll() override;
  int fd() const override { return epoll_fd_; }
  bool arm() override;
  bool busy() const override;
  ValueBuffer allocate(uint32_t bytes) override { return buffers_->allocate(bytes); }
  uint32_t max_single_put() const override { return wire::kMaxChunk; }
  Status connect_and_wait() override;
  bool await_server(uint16_t server, uint64_t patience_ns) override;
  void wait(Operation& operation) override;
  bool same_worker(std::string_view a, std::string_view b) const override;
  bool has_one_worker() const override;
  bool is_with(std::string_view key, uint16_t server, uint16_t worker) const override {
    return map_.place_of_key(key) == SlotMap::Place{server, worker};
  }
  int64_t server_clock_ms(std::string_view key) const override;
  ClientCounters counters() const override;
  std::vector<ServerState> servers() const override;
  ServerState server(uint16_t index) const override;

 private:
  struct Server {
    FabricAddress address;
    std::string name;
    std::vector<Session*> sessions;  // by worker; sessions of workers that went away stay, retired
  };

  ClientCore(const std::vector<std::string>& names, const std::vector<double>& weights)
      : map_(names, weights) {}
  Status set_up(Fabric& fabric, const ClientOptions& wanted);

  // SessionContext
  void finish(Operation& operation) override;
  void finish_now(Operation& operation) override;
  void finish(PutRun& run) override;
  void finish_now(PutRun& run) override;
  Operation& stand_in(GetRun& run, size_t index, uint16_t server, uint64_t deadline_ns) override;
  void finish(GetRun& run) override;
  void finish_now(GetRun& run) override;
  void welcomed(Session& session) override;
  void connect_failed(Session& session) override;
  void mark_dirty(Session& session) override;

  void begin(Operation& operation);
  Code check(const Operation& operation) const;
  void route(Operation& operation);
  bool all_on(SlotMap::Place place, const Operation& operation) const;
  // client_gather.cc
  void start_gather(Operation& operation);
  void ask_next_piece(Operation& part);
  void route_part(Operation& part);
  void enqueue_part(Operation& part, uint16_t worker);
  Session* session_of(uint16_t server, uint16_t worker);
  Session& add_session(uint16_t server, uint16_t worker);
  void adopt_workers(Session& session);
  size_t take_completions(uint64_t now);
  void handle(std::span<const Completion> completions, uint64_t now);
  void on_time(uint64_t now);
  bool anything_finished() const {
    return !finished_.empty() || finished_runs_ != nullptr || finished_get_runs_ != nullptr;
  }
  void end_finished();
  void bury(uint64_t now);
  void pump_dirty(uint64_t now);
  Status set_timer(uint64_t now);
  void drain_timer();
  void sleep();

  SlotMap map_;
  std::unique_ptr<CompletionQueue> completion_queue_;
  std::unique_ptr<BufferArena> buffers_;
  std::unique_ptr<LocationCache> location_cache_;
  std::vector<Server> servers_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Session*> dirty_;
  std::vector<Session*> pumping_;
  OperationQueue finished_;
  PutRun* finished_runs_ = nullptr;
  GetRun* finished_get_runs_ = nullptr;
  std::deque<Gather> gathers_;
  std::vector<Gather*> free_gathers_;
  // What arm() found; handled by the next poll().
  std::array<Completion, 64> batch_;
  size_t held_ = 0;
  size_t ended_ = 0;  // operations that ended in the present poll()
  uint64_t under_way_ = 0;
  // The steady clock as the first submit() since the last turn read it; 0: not yet. The deadlines
  // of a batch are counted from there.
  uint64_t submitting_ns_ = 0;
  uint64_t polled_ns_ = 0;  // the steady clock as the latest poll() read it
  bool polling_ = false;
  bool closing_ = false;
  int epoll_fd_ = -1;
  int timer_fd_ = -1;
  uint64_t timer_at_ = kNever;  // what the timer is set to
};

}  // namespace rdmakv
