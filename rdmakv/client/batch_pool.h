// Objects that come and go with requests: kept, and used again. One client's, on its thread.
#pragma once

#include <deque>
#include <vector>

namespace rdmakv {

// begin() of a Batch makes it as new.
template <typename Batch>
class BatchPool {
 public:
  Batch& take() {
    if (free_.empty()) {
      all_.emplace_back();
      free_.reserve(all_.size());
      free_.push_back(&all_.back());
    }
    Batch& batch = *free_.back();
    free_.pop_back();
    batch.begin();
    return batch;
  }
  void give_back(Batch& batch) { free_.push_back(&batch); }

 private:
  std::deque<Batch> all_;
  std::vector<Batch*> free_;
};

}  // namespace rdmakv
