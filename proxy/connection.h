// One Redis client: reads, parses, issues, keeps the replies in order, writes.
//
//   socket -> (worker's read buffer) -> parser -> command table -> handler -> Client
//   socket <- writev <- output chain <- reply queue <- completions
//
// While it is idle a connection holds no buffers: input is read into a buffer of the worker's, and
// only a command that is not complete yet is kept here. It is bounded in every direction:
//   - output beyond `output-pause-bytes`, or too many commands in flight: it is not read until that
//   is
//     better; output beyond the hard limit closes it
//   - an incomplete command beyond client-query-buffer-limit closes it
//   - no registered memory for a large value: it waits for some
//
// Lives until its socket is closed and all its requests have ended. One worker's thread.
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/resp_parser.h"
#include "proxy/acl.h"
#include "proxy/byte_buffer.h"
#include "proxy/large_argument.h"
#include "proxy/output_buffer.h"
#include "proxy/reply_queue.h"
#include "proxy/request.h"
#include "proxy/tls_stream.h"
#include "proxy/transaction.h"

namespace rdmakv::proxy {

class Worker;

class Connection {
 public:
  // Reasons for not reading and not issuing.
  enum Block : uint32_t {
    kOutput = 1,    // the client does not read its replies
    kInFlight = 2,  // enough commands are under way
    kArena = 4,     // waits for registered memory
    kUpload = 8,    // all chunks of its upload are busy, or its commit is not sent yet
    kBarrier = 16,  // waits for all its commands to be done
    kIssuing = 32,  // a command of several operations is not issued completely
    kClosing =
        64,  // nothing more is read: QUIT, a protocol error, CLIENT KILL, the end of the input
    kPaused = 128,  // CLIENT PAUSE
  };
  // Reasons for looking at each command before it runs; mostly there is none.
  enum Guard : uint32_t {
    kUnauthenticated = 1,
    kRestricted = 2,  // its user may not do everything
    kMonitored = 4,   // somebody said MONITOR
    kTraced = 8,      // the slow log wants to know its arguments
  };

  // `address`, `local_address`: "host:port", or "path:0" of a Unix socket.
  // `tls`: null for a plain socket.
  Connection(Worker& worker, int fd, uint64_t id, std::string address, std::string local_address,
             std::unique_ptr<TlsStream> tls);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // ---- for the worker ----
  void start();
  // Issues what was read before and could not be issued then.
  void resume();
  // Writes what is pending; one writev unless the kernel takes it all and more came.
  void write_pending();
  // The server takes more large values.
  void read_on();
  // Registered memory may be free again.
  void arena_available();
  // Every second: gives memory back that is not in use, if the client is idle; false: it was.
  // `now_us` as Worker::now_us().
  bool tidy(uint64_t now_us);
  // Nothing read or written since, and nothing under way.
  bool idle_since(uint64_t time_us) const { return last_activity_us_ < time_us && queue_.empty(); }
  // Looks for bytes that were not worth waking up for.
  void read_what_came();
  // Moves what it holds of registered memory to the heap when its client has been idle since
  // `before_us`.
  void spill_if_stalled(uint64_t before_us);
  bool can_be_destroyed() const { return closed() && queue_.empty(); }

  // ---- for requests ----
  Worker& worker() const { return worker_; }
  bool closed() const { return fd_ < 0; }
  bool is_head(const Request& request) const { return queue_.head() == &request; }
  OutputChain& output() { return output_; }
  bool output_full() const;
  void output_grew();
  void request_finished(Request& request);
  // A Request, right behind `request`, for all but the first `commands` of its commands.
  Request& split_request(Request& request, size_t commands);
  void block(Block reason) { blocked_ |= reason; }
  void unblock(Block reason);
  bool blocked() const { return blocked_ != 0; }
  LargeArgument* large_argument(size_t index);
  bool has_large_arguments() const { return !large_.empty(); }
  void put_submitted(Request& request, uint64_t bytes);
  void upload_progressed();
  void upload_committed() { unblock(kUpload); }
  // Bytes that are not the reply to a command (MONITOR), between replies.
  void push(std::string_view bytes);
  // Those that have not been written yet.
  void forget_pushed() { pushed_.clear(); }
  // connection_room.cc
  // Large replies make for fewer commands in flight; `bytes` of one that came.
  void note_reply_bytes(uint64_t bytes);
  // Before `operation` of `request` is submitted: says how large a value it may have lent. The
  // bytes that its reply is reckoned at.
  uint64_t reserve_room(Request& request, Operation& operation);
  void hold_room(Request& request, uint64_t bytes);
  // So many bytes of those of `request` are not needed, or are in the output by now.
  void give_room_back(Request& request, uint64_t bytes);
  // Nothing of it is under way: from now on it takes what waits for its turn.
  void settle_room(Request& request);
  // Whether a read of `key` by `request` must not be carried out later than what was issued behind
  // it.
  bool order_matters(const Request& request, std::string_view key) const;
  // Gives back the pins of values that wait for their turn, of one connection to a server
  // (Ticket::session); how many.
  size_t give_back_pins(uint32_t session);
  // Others wait for pins: gives up what a client that does not read holds.
  void make_way(uint64_t now_us, uint64_t slow_us);
  void stream_begins();

  // Closes when the replies so far are written.
  void close_after_replies() { block(kClosing); }
  // Closes now; `reason` goes to the log. What is under way ends silently.
  void close(std::string_view reason);
  // Part of a reply is out and the rest of it cannot be had.
  void close_broken_reply(Code code);

  // ---- who the client is (connection_guard.cc) ----
  const AclUserPointer& user() const { return user_; }
  // AUTH succeeded as `user`, or RESET went back to the default user.
  void become(AclUserPointer user, bool authenticated);
  // Users have changed: takes the new state of its own, and closes if that is gone.
  void refresh_user();
  void update_guards();
  bool authentication_required() const;
  // For the ACL log: `object` was refused to `user` because of `reason`.
  void log_denial(const Request& request, std::string_view reason, std::string_view object,
                  std::string_view user);
  void log_denial(const Request& request, const AclVerdict& verdict, Arguments arguments);
  bool is_local() const;  // Unix socket or loopback

  // ---- transactions ----
  // Null: nothing is watched, and no MULTI was said.
  Transaction* transaction() const { return transaction_.get(); }
  Transaction& begin_transaction();
  // What it was; from now on nothing is watched or queued.
  std::unique_ptr<Transaction> end_transaction() { return std::move(transaction_); }
  // A request for command `number` of the transaction that `exec` runs.
  Request& new_part(Request& exec, size_t number, const Command& command, Arguments arguments);
  // For MONITOR.
  void show_command(const Command& command, Arguments arguments);

  // ---- what the client has told or asked for; for the commands ----
  struct Session {
    resp::Protocol protocol = resp::Protocol::kResp2;
    std::string name, library_name, library_version;
    bool reply_off = false, skip_reply = false, skip_next_reply = false;
    bool no_evict = false, no_touch = false;
    bool monitor = false;
  };
  Session& session() { return session_; }
  uint64_t id() const { return id_; }
  const std::string& name() const { return session_.name; }
  const std::string& address() const { return address_; }
  const std::string& local_address() const { return local_address_; }
  // The line of CLIENT LIST and CLIENT INFO.
  std::string describe() const;

 private:
  friend class Worker;  // its lists, below
  static void on_readable(evutil_socket_t fd, short what, void* self);
  static void on_writable(evutil_socket_t fd, short what, void* self);

  // connection_io.cc
  ssize_t read_bytes(char* at, size_t most);
  ssize_t write_output();
  ssize_t timed_write();
  bool write_some();
  void write_in_place();
  void shake_hands();

  // connection_input.cc
  void read_some();
  void read_in_turn();
  void read_once();
  bool puts_must_wait() const;
  void wake_for_what_is_missing();
  void read_commands();
  size_t bytes_to_read() const;
  void read_large();
  bool check_read(ssize_t bytes);
  void end_of_input();
  char* room_for_values(bool wanted);
  void consume_behind_rest(const char* block, size_t bytes);
  void consume(char* data, size_t bytes, std::string_view block = {});
  std::string_view show_more(std::string_view input, size_t most);
  bool begin_large(std::string_view& input);
  bool plan_large(Arguments arguments, size_t index, uint64_t length, size_t arrived);
  LargeArgument registered_value(size_t index, uint64_t length, size_t arrived);
  size_t take_payload(std::string_view bytes);
  size_t fill_large(std::string_view bytes);
  void drain_overflow();
  void wait_for_space(const LargeArgument& argument);
  bool filling_large() const { return !large_.empty() && !large_.back().complete(); }
  void protocol_error(std::string_view text);
  void run_deferred();

  // quick_commands.cc
  bool take_quick(Arguments arguments, std::string_view input);
  // What was taken is done, or under way.
  void finish_quick();
  bool may_go_unseen() const;
  bool may_be_quick_get() const;
  bool take_quick_get(Arguments arguments);
  void answer_quick();
  size_t answer_at_once(std::span<const std::string_view> keys);
  size_t ask_for_gets(std::span<const std::string_view> keys);
  // quick_sets.cc
  bool may_be_quick_set() const;
  bool take_quick_set(Arguments arguments);
  void issue_quick();
  void note_slow_sets(Request& request, uint64_t elapsed_us);
  void note_slow_gets(Request& request, uint64_t elapsed_us);

  // connection_guard.cc
  bool admit(Request& request, Arguments arguments);
  bool check_permissions(Request& request, Arguments arguments);
  bool may_store(const Command& command, Arguments arguments) const;

  // connection.cc
  void execute(Arguments arguments);
  void dispatch(Request& request, Arguments arguments);
  bool is_queued(const Command& command) const;
  void queue(Request& request, Arguments arguments);
  void reject(Request& request, std::string_view text);
  void note_slow(const Request& request, uint64_t elapsed_us);
  void note_slow_all(Request& request, uint64_t elapsed_us);
  Request& new_request(const Command* command, uint32_t commands = 1);
  Request& take_request(const Command* command);
  void reject_unknown(Request& request, Arguments arguments, const Command* container);
  bool must_wait(const Command* command);
  void finish_command();
  void advance_queue();
  size_t in_flight_limit() const;
  uint64_t expected_reply() const;
  uint64_t room_to_lend() const;
  bool replies_fill_up() const;
  void unblock_in_flight();
  void want_reading(bool wanted);
  void want_writing(bool wanted);
  void poke_head();
  bool query_too_large();
  void close_if_done();

  Worker& worker_;
  int fd_;
  const uint64_t id_;
  const std::string address_, local_address_;
  const uint64_t created_us_;
  uint64_t last_activity_us_;  // bytes read or written
  event read_event_, write_event_;
  bool reading_ = false, writing_ = false;
  uint32_t blocked_ = 0;
  uint32_t guards_ = 0;
  bool authenticated_ = false;
  AclUserPointer user_;
  bool advancing_ = false, consuming_ = false;
  bool expects_large_ = false;   // the last large argument was worth a read of its own
  bool expects_values_ = false;  // what was read last had large ones that were not
  bool dirty_ = false, runnable_ = false, waits_for_arena_ = false,
       waits_for_puts_ = false;  // in the worker's list of that name
  bool puts_large_ = false;      // what it sent last were large values, for
  uint16_t put_server_ = 0;      // this server
  bool puts_run_ = false;        // ... or SETs that share requests

  resp::RequestParser parser_;
  uint64_t awaited_ = 0;  // payload of a large argument that begins in rest_ and is in the kernel,
                          // or not there yet
  int low_water_ = 1;     // the socket's SO_RCVLOWAT
  // While it is consumed: what was read into registered memory and is not parsed yet, and how many
  // bytes at the end of what is parsed are those before it.
  std::string_view beyond_;
  size_t shown_ = 0;
  ByteBuffer rest_;      // bytes read and not consumed
  ByteBuffer overflow_;  // read payload of a large argument that has no room yet, and on
  std::vector<LargeArgument> large_;       // of the command being read or executed
  std::vector<std::string> deferred_;      // a whole command that waits for a barrier
  std::vector<std::string_view> patched_;  // arguments with the large ones put in

  std::unique_ptr<TlsStream> tls_;
  ReplyQueue queue_;
  OutputChain output_;
  OutputChain pushed_;                // waits for the end of a reply
  uint64_t soft_limit_since_us_ = 0;  // output has been beyond the soft limit; 0: it is not
  uint64_t reply_estimate_ = 0;       // bytes of recent large replies, decaying
  uint64_t held_ = 0;                 // bytes of replies under way (connection_room.cc)
  uint64_t taken_us_ = 0;             // when the client last took bytes, or a stream began
  const Command* last_command_ = nullptr;
  std::unique_ptr<Transaction> transaction_;
  Session session_;
};

// Control characters, quotes and non-ASCII escaped, cut to `limit` bytes: for logs.
std::string escaped(std::string_view bytes, size_t limit = 64);

}  // namespace rdmakv::proxy
