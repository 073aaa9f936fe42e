// One thread of the proxy: one event loop, one client library, its own listener and connections.
// Nothing on a request's way is shared with other threads.
//
// A turn: run the socket events that are due (read, parse, issue); one flush of everything issued;
// poll completions (finish requests); one write per connection that has replies. While operations
// are under way the worker polls for a short while before it arms the client's descriptor and
// sleeps.
#pragma once

#include <event2/event.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "protocol/resp_parser.h"
#include "proxy/command_table.h"
#include "proxy/connection.h"
#include "proxy/fanout.h"
#include "proxy/instantaneous.h"
#include "proxy/listener.h"
#include "proxy/output_buffer.h"
#include "proxy/pin_waiters.h"
#include "proxy/put_window.h"
#include "proxy/quick_get_run.h"
#include "proxy/quick_gets.h"
#include "proxy/quick_sets.h"
#include "proxy/read_buffer.h"
#include "proxy/request.h"
#include "proxy/settings.h"
#include "proxy/stage_times.h"
#include "proxy/stats.h"
#include "proxy/upload.h"
#include "proxy/value_stream.h"
#include "rdmakv/client/client.h"
#include "rdmakv/client/pinned_memory.h"

namespace rdmakv::proxy {

class Proxy;

struct EventBaseDeleter {
  void operator()(event_base* base) const { event_base_free(base); }
};
struct EventDeleter {
  void operator()(event* e) const { event_free(e); }
};
using EventPointer = std::unique_ptr<event, EventDeleter>;

class Worker {
 public:
  static constexpr size_t kReadBytes = ReadBuffer::kReadBytes;

  // `proxy` outlives the worker.
  Worker(Proxy& proxy, unsigned index, std::unique_ptr<Client> client);
  // Closes the connections and cancels what is under way. In the thread that ran it, or after that
  // ended.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Until stop(). The calling thread is the worker's.
  void run();
  // From any thread, and from a signal handler's thread.
  void stop();
  // One turn, for tests; sleeps for an event if `may_sleep` and nothing is to do.
  void turn(bool may_sleep);
  // Runs `job` in the worker's thread. From any thread.
  void post(std::function<void()> job);

  // Takes over a listening socket. `accept_for`: who gets the connections; null: this worker.
  void listen(int fd, ClientListener::Kind kind, std::function<void(int)> accept_for = nullptr);
  // Takes over a connected, non-blocking socket.
  void adopt(int fd, ClientListener::Kind kind = ClientListener::Kind::kPlain);

  // ---- for connections, requests and what belongs to them ----
  Proxy& proxy() const { return proxy_; }
  unsigned index() const { return index_; }
  Client& client() const { return *client_; }
  AtOnceReader* at_once() const { return at_once_; }     // the client's; null: it has none
  GetRunner* get_runner() const { return get_runner_; }  // likewise; or it takes nothing
  PutRunner* put_runner() const { return put_runner_; }  // likewise
  PinnedMemory* pinned_memory() const { return pinned_memory_; }
  event_base* base() const { return base_.get(); }
  const CommandTable& commands() const { return commands_; }
  const Settings& settings() const;
  WorkerStats& stats() { return stats_; }
  const InstantaneousRates& rates() const { return rates_; }
  // CONFIG RESETSTAT.
  void reset_stats();
  // Null: they are not measured.
  StageTimes* stage_times() const { return stage_times_.get(); }
  resp::Limits parser_limits() const;
  // Steady clock, read once a turn.
  uint64_t now_us() const;
  // Time has passed within the turn.
  void time_has_passed() { clock_stale_ = true; }
  bool shutting_down() const { return shutting_down_; }

  // Commands with one of these flags do not always run at once: barriers, and what is paused.
  uint32_t held_flags() const { return held_flags_; }
  uint32_t paused_flags() const { return paused_flags_; }
  // CLIENT PAUSE has begun, changed or ended (Proxy::paused).
  void refresh_pause();

  // Commands that took so long are noted by note_slow(): slow log, latency monitor, histograms.
  uint64_t notable_us() const { return notable_us_; }
  void note_slow(const Connection& connection, const Request& request, uint64_t elapsed_us);

  // Whom new connections are, until they say AUTH.
  const AclUserPointer& default_user() const { return default_user_; }
  // Users have changed: all connections look again.
  void refresh_users();
  // Settings have changed that are kept elsewhere too.
  void apply_settings();

  // MONITOR: `connection` wants to see all commands; it stops when it closes or leaves.
  void add_monitor(Connection& connection);
  void remove_monitor(Connection& connection);
  bool monitored() const { return monitored_; }
  bool traced() const { return traced_; }
  // The number of monitors has changed.
  void refresh_monitored();
  // A line for all monitors, of all workers.
  void show_to_monitors(std::string line);

  // Whether a transaction may have both keys.
  bool go_together(std::string_view a, std::string_view b) const;

  void submit(Operation& operation) {
    client_->submit(operation);
    submitted();
  }
  // The client has something to send.
  void submitted() {
    submitted_ = true;
    client_sleeps_ = false;
  }
  void mark_dirty(Connection& connection);
  void schedule(Connection& connection);
  void wait_for_arena(Connection& connection);
  void connection_closed(Connection& connection);
  void reap_later() { reap_ = true; }
  void release(Request& request);

  // A request that other workers have to answer too; it is finished here when the worker ends
  // first.
  void start_gathering(Request& request);
  void end_gathering(Request& request);

  PutWindow& put_window() { return put_window_; }
  // `connection` goes on reading when its server takes more.
  void wait_for_puts(Connection& connection);
  // Whether some wait that sent SETs.
  bool runs_wait() const { return run_waiters_ > 0; }

  Upload& start_upload(Connection& connection, std::string_view key, uint64_t total);
  // Writes a pinned value to the output of `request`, which is the head of its queue.
  void stream_value(Request* request, const Ticket& ticket, uint64_t length, ValueStream::Done done,
                    ValueStream::Observe observe = nullptr);
  void release_pin(const Ticket& ticket);
  PinWaiters& pin_waiters() { return pin_waiters_; }
  // PinWaiters::tick() is wanted soon.
  void arm_pin_tick();

  Pool<Request>& requests() { return requests_; }
  Pool<Fanout>& fanouts() { return fanouts_; }
  Pool<Fanout::Part>& parts() { return parts_; }
  Pool<MemoryBlock>& memory_blocks() { return memory_blocks_; }
  OutputPools& output_pools() { return output_pools_; }
  QuickGets& quick_gets() { return quick_gets_; }
  QuickSets& quick_sets() { return quick_sets_; }
  Pool<SetRun>& set_runs() { return set_runs_; }
  Pool<QuickGetRun>& get_runs() { return get_runs_; }
  // Where replies go that nobody wants; emptied each time.
  OutputChain& sink();
  ReadBuffer& read_buffer() { return read_buffer_; }
  std::span<std::byte> trash() { return {trash_.get(), kReadBytes}; }

  template <typename Visit>
  void for_each_connection(Visit&& visit) {
    for (Connection& connection : connections_) {
      if (!connection.closed()) visit(connection);
    }
  }

 private:
  static void on_wakeup(evutil_socket_t fd, short what, void* self);
  static void on_tick(evutil_socket_t fd, short what, void* self);
  static void on_arena_tick(evutil_socket_t fd, short what, void* self);
  static void on_pin_tick(evutil_socket_t fd, short what, void* self);
  static void on_client(evutil_socket_t, short, void* self) {  // the turn polls
    static_cast<Worker*>(self)->client_sleeps_ = false;
  }
  void finish_turn();
  void flush();
  bool may_block();
  bool poll_a_while(uint64_t spin_us);
  void run_jobs();
  void serve_arena_waiters();
  static void on_put_tick(evutil_socket_t fd, short what, void* self);
  void serve_put_waiters();
  void leave_put_waiters(Connection& connection);
  void reap();
  void tick();
  void arm_tick();
  static void on_sample(evutil_socket_t fd, short what, void* self);
  InstantaneousRates::Counts counts_now() const;
  void sample_rates();
  static void on_pause_end(evutil_socket_t fd, short what, void* self);
  void show_to_own_monitors(std::string_view line);

  Proxy& proxy_;
  const unsigned index_;
  const CommandTable& commands_;
  WorkerStats stats_;
  InstantaneousRates rates_;
  const std::unique_ptr<StageTimes> stage_times_;
  std::unique_ptr<event_base, EventBaseDeleter> base_;
  OutputPools output_pools_;
  Pool<Request> requests_{4096};
  Pool<Fanout> fanouts_{256};
  Pool<Fanout::Part> parts_{1024};
  Pool<MemoryBlock> memory_blocks_{256};
  OutputChain sink_{output_pools_};
  QuickGets quick_gets_;
  QuickSets quick_sets_;
  Pool<SetRun> set_runs_{256};
  Pool<QuickGetRun> get_runs_{256};
  PinWaiters pin_waiters_{*this};
  ReadBuffer read_buffer_;
  std::unique_ptr<std::byte[]> trash_;

  std::list<Connection> connections_;
  std::list<Upload> uploads_;
  std::list<ValueStream> streams_;
  std::vector<std::unique_ptr<ClientListener>> listeners_;
  std::vector<Connection*> dirty_, dirty_now_;
  std::vector<Connection*> runnable_, runnable_now_;
  std::vector<Connection*> arena_waiters_, arena_waiters_now_;
  PutWindow put_window_;
  std::deque<Connection*> put_waiters_;
  size_t run_waiters_ = 0;  // of them, those that sent SETs
  std::vector<Request*> gathering_;
  std::vector<Connection*> monitors_;
  std::atomic<bool> has_monitors_{false};  // read by the other workers
  bool monitored_ = false, traced_ = false;
  uint32_t held_flags_ = kRunsAlone, paused_flags_ = 0;
  uint64_t notable_us_ = UINT64_MAX;
  AclUserPointer default_user_;
  bool submitted_ = false;
  // The client is armed and nothing has happened since: it need not be polled.
  bool client_sleeps_ = false;
  bool progressed_ = false;  // something was done: look again before sleeping
  bool reap_ = false;
  bool tick_armed_ = false;
  bool sampling_ = false;
  bool shutting_down_ = false;
  mutable uint64_t now_us_ = 0;
  mutable bool clock_stale_ = true;

  const bool has_company_;  // other cores, on which answers can come about while this one polls
  std::unique_ptr<Client> owned_client_;
  Client* const client_;  // good until its destructor, which calls back, has ended
  AtOnceReader* const at_once_;
  GetRunner* const get_runner_;
  PutRunner* const put_runner_;
  PinnedMemory* const pinned_memory_;
  EventPointer client_event_, wakeup_event_, tick_event_, arena_event_, put_event_, pin_event_,
      pause_event_, sample_event_;
  int wakeup_fd_ = -1;
  std::atomic<bool> stop_{false};
  std::mutex jobs_mutex_;
  std::vector<std::function<void()>> jobs_;
};

}  // namespace rdmakv::proxy
