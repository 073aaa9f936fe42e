// The completion queue of a ChaosFabric: moves its Endpoints' delayed work forward, and holds back
// what has arrived until it is due.
#pragma once

#include <memory>
#include <vector>

#include "rdmakv/transport/endpoint.h"

namespace rdmakv::fakes {

class ChaosEndpoint;

class ChaosQueue final : public CompletionQueue {
 public:
  static Result<std::unique_ptr<CompletionQueue>> create(std::unique_ptr<CompletionQueue> inner);
  ~ChaosQueue() override;

  size_t poll(std::span<Completion> completions) override;
  int fd() const override { return epoll_fd_; }
  Status arm() override;

  CompletionQueue& inner() { return *inner_; }
  void add(ChaosEndpoint* endpoint) { endpoints_.push_back(endpoint); }
  void remove(ChaosEndpoint* endpoint);

 private:
  explicit ChaosQueue(std::unique_ptr<CompletionQueue> inner) : inner_(std::move(inner)) {}
  size_t drain_inner(uint64_t now_ns);
  size_t turn(std::span<Completion> completions);
  void set_timer(uint64_t due_ns);

  std::unique_ptr<CompletionQueue> inner_;
  std::vector<ChaosEndpoint*> endpoints_;
  size_t first_ = 0;
  bool armed_ = false;
  int epoll_fd_ = -1;
  int timer_fd_ = -1;
};

}  // namespace rdmakv::fakes
