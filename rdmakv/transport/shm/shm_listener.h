// Accepts connections of the shm fabric. dispatch() never waits: a peer that connects and says
// nothing is dropped after kPatience, and the number of such peers is bounded (the oldest one
// goes).
#pragma once

#include <chrono>
#include <list>
#include <memory>

#include "rdmakv/transport/fabric.h"
#include "rdmakv/transport/shm/fabric_context.h"
#include "rdmakv/transport/shm/shm_wire.h"
#include "rdmakv/transport/shm/unix_socket.h"

namespace rdmakv::shm {

class ShmListener final : public Listener {
 public:
  static constexpr size_t kMaxHalfMade = 64;
  static constexpr std::chrono::milliseconds kPatience{5000};

  static Result<std::unique_ptr<ShmListener>> listen(uint16_t port, ConnectionHandler& handler,
                                                     std::shared_ptr<const FabricContext> context);

  int fd() const override { return epoll_.get(); }
  void dispatch() override;
  uint16_t port() const override { return port_; }

 private:
  // A connection that has not sent its request yet.
  struct HalfMade {
    UniqueFd socket;
    std::chrono::steady_clock::time_point deadline;
    std::string peer_name;
  };
  using HalfMadeList = std::list<HalfMade>;  // oldest first

  ShmListener(ConnectionHandler& handler, std::shared_ptr<const FabricContext> context)
      : handler_(handler), context_(std::move(context)) {}

  Status watch(int fd, void* tag);
  void accept_all();
  void admit(UniqueFd socket);
  void on_request(HalfMade& peer);
  Status answer(HalfMade& peer, Frame& frame, wire::RefusalCode* refusal);
  void drop_expired();
  void set_timer();

  ConnectionHandler& handler_;
  std::shared_ptr<const FabricContext> context_;
  uint16_t port_ = 0;
  UniqueFd epoll_;
  UniqueFd socket_;
  UniqueFd timer_;
  UniqueFd spare_;  // given up for a moment to refuse a connection when descriptors have run out
  HalfMadeList half_made_;
};

}  // namespace rdmakv::shm
