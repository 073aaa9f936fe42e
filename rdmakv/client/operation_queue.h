// A FIFO of operations, linked through Operation::next, and the words that the client keeps in an
// Operation while it is under way.
#pragma once

#include <cstddef>

#include "rdmakv/client/operation.h"

namespace rdmakv {

// Indexes of Operation::internal.
enum OperationWord : size_t {
  kDeadline = 0,   // steady clock, ns
  kUnderWay = 1,   // 1 from submit() to done
  kIssued = 2,     // pinned values: bytes that READs were posted for
  kArrived = 3,    // pinned values: bytes that have come
  kGather = 4,     // parts of a kCount or kClear: which worker, or kEveryWorker
  kByRequest = 5,  // not 0: not (again) without the server; of a GET, KeyOrder's number of its READ
  kAllowed = 6,    // ns from its sending to its deadline; 0: the deadline is the caller's, or final
  kUploaded = 7,   // uploads: 1 + the most bytes that were ever acknowledged; 0: not begun
};

inline std::span<const std::byte> input_of(const Operation& operation) {
  if (!operation.input_buffer) return operation.input;
  return {operation.input_buffer.data(), operation.input_buffer.length()};
}

class OperationQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  Operation* front() const { return head_; }

  void push_back(Operation& operation) {
    operation.next = nullptr;
    (head_ == nullptr ? head_ : tail_->next) = &operation;
    tail_ = &operation;
  }
  void push_front(Operation& operation) {
    operation.next = head_;
    if (head_ == nullptr) tail_ = &operation;
    head_ = &operation;
  }
  // Before the first operation whose `word` is larger; the queue is in the order of these.
  void insert(Operation& operation, size_t word) {
    const auto is_larger = [&](const Operation& other) {
      return other.internal[word] > operation.internal[word];
    };
    if (head_ == nullptr || !is_larger(*tail_)) return push_back(operation);
    Operation** at = &head_;
    while (!is_larger(**at)) at = &(*at)->next;
    operation.next = *at;
    *at = &operation;
  }
  Operation* pop_front() {
    Operation* operation = head_;
    if (operation == nullptr) return nullptr;
    head_ = operation->next;
    operation->next = nullptr;
    return operation;
  }
  // Takes out every operation for which `wanted` holds, and hands it to `take`, which may change it
  // but must not touch this queue.
  template <typename Wanted, typename Take>
  void extract(Wanted&& wanted, Take&& take) {
    Operation* rest = head_;
    head_ = nullptr;
    while (rest != nullptr) {
      Operation& operation = *rest;
      rest = rest->next;
      if (wanted(operation)) {
        operation.next = nullptr;
        take(operation);
      } else {
        push_back(operation);
      }
    }
  }
  template <typename Look>
  void for_each(Look&& look) const {
    for (Operation* operation = head_; operation != nullptr; operation = operation->next) {
      look(*operation);
    }
  }
  OperationQueue take_all() {
    OperationQueue all = *this;
    head_ = nullptr;
    return all;
  }

 private:
  Operation* head_ = nullptr;
  Operation* tail_ = nullptr;  // means something only while head_ does
};

}  // namespace rdmakv
