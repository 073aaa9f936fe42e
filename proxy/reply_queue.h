// The commands of one connection whose replies are not written yet, oldest first. The head writes
// straight to the connection's output; the others write to a chain of their own, which moves over
// when their turn comes. So replies are in order however the operations end.
#pragma once

#include <cstddef>

#include "proxy/request.h"

namespace rdmakv::proxy {

class ReplyQueue {
 public:
  void push(Request& request) {
    request.next_ = nullptr;
    (tail_ != nullptr ? tail_->next_ : head_) = &request;
    tail_ = &request;
    size_ += request.commands_;
  }
  // `rest`, right behind `request`, takes over all but the first `commands` of its commands.
  void split(Request& request, uint32_t commands, Request& rest);
  // Takes the head, which must be done, off.
  Request& pop();

  Request* head() const { return head_; }
  bool empty() const { return head_ == nullptr; }
  size_t size() const { return size_; }  // commands

  // Of replies that wait for their turn.
  size_t waiting_bytes() const;
  // Copies what waiting replies hold of registered memory out of it.
  void spill();
  // Drops the replies that wait, whose connection is gone.
  void drop_replies();

 private:
  Request* head_ = nullptr;
  Request* tail_ = nullptr;
  size_t size_ = 0;
};

}  // namespace rdmakv::proxy
