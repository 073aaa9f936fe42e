#include "proxy/reply_queue.h"

#include <cassert>

namespace rdmakv::proxy {

void ReplyQueue::split(Request& request, uint32_t commands, Request& rest) {
  rest.commands_ = request.commands_ - commands;
  request.commands_ = commands;
  rest.next_ = request.next_;
  request.next_ = &rest;
  if (tail_ == &request) tail_ = &rest;
}

Request& ReplyQueue::pop() {
  Request& request = *head_;
  assert(request.done_);
  head_ = request.next_;
  if (head_ == nullptr) tail_ = nullptr;
  request.next_ = nullptr;
  size_ -= request.commands_;
  return request;
}

size_t ReplyQueue::waiting_bytes() const {
  size_t bytes = 0;
  for (const Request* request = head_; request != nullptr; request = request->next_) {
    bytes += request->waiting_reply_.pending();
  }
  return bytes;
}

void ReplyQueue::spill() {
  for (Request* request = head_; request != nullptr; request = request->next_) {
    request->waiting_reply_.spill();
  }
}

void ReplyQueue::drop_replies() {
  for (Request* request = head_; request != nullptr; request = request->next_) {
    request->waiting_reply_.clear();
  }
}

}  // namespace rdmakv::proxy
