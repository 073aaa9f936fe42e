#include "proxy/quick_get_run.h"

#include <algorithm>

#include "protocol/kv_layout.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

size_t QuickGetRun::keep(std::span<const std::string_view> from) {
  size_t count = 0;
  char* to = text_;
  for (const size_t most = std::min(from.size(), kMost); count < most; ++count) {
    const std::string_view key = from[count];
    if (key.size() > static_cast<size_t>(std::end(text_) - to)) break;
    keys_[count] = {to, key.size()};
    to = std::copy(key.begin(), key.end(), to);
  }
  keys = {keys_.data(), count};
  return count;
}

void QuickGetRun::begin(Worker& worker, Request& request) {
  worker_ = &worker;
  next_ = hits_ = 0;
  early_.clear();
  for (size_t i = 0; i < taken; ++i) {
    parts_[i] = &request;
    answers_[i].state = State::kOpen;
  }
  request.gets_ = this;
}

void QuickGetRun::take(size_t index, bool found, std::span<const std::byte> bytes) {
  const std::string_view value(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (found) ++hits_;
  if (index == next_) {
    write(index, found, value);
    answers_[index].state = State::kOver;
    return go_on();
  }
  answers_[index] = {found ? State::kFound : State::kMissing, static_cast<uint32_t>(early_.size()),
                     static_cast<uint32_t>(value.size())};
  early_.append(value);
}

void QuickGetRun::write(size_t index, bool found, std::string_view value) {
  Request& request = *parts_[index];
  resp::ReplyWriter reply = request.reply();
  found ? reply.bulk(value) : reply.null();
  if (value.size() >= wire::kLargeValue) request.connection().note_reply_bytes(value.size());
}

// Writes what waited for that, as far as it goes.
void QuickGetRun::go_on() {
  for (; next_ < taken && answers_[next_].state != State::kOpen; ++next_) {
    const Early& answer = answers_[next_];
    if (answer.state == State::kOver) continue;
    const std::string_view value(early_.data() + answer.at, answer.length);
    write(next_, answer.state == State::kFound, value);
  }
}

Operation& QuickGetRun::stand_in(size_t index) {
  Request& part = *parts_[index];
  Connection& connection = part.connection();
  // A part begins with an open get, or has been written up to one.
  size_t first = index, end = index + 1;
  while (first > 0 && parts_[first - 1] == &part) --first;
  while (end < taken && parts_[end] == &part) ++end;
  Request& one = index > first ? connection.split_request(part, index - first) : part;
  if (index + 1 < end) {
    Request& rest = connection.split_request(one, 1);
    rest.gets_ = this;
    std::fill(parts_.begin() + index + 1, parts_.begin() + end, &rest);
  }
  one.gets_ = nullptr;
  parts_[index] = nullptr;
  answers_[index].state = State::kOver;
  const std::string_view name = "GET";
  const std::string_view arguments[] = {name, keys_[index]};
  one.argument_count_ = 2;
  commands::prepare_get(one, arguments);
  go_on();
  return one.operation;
}

// The Requests end; the first of them may be the head, and be gone then, and others with it.
void QuickGetRun::done() {
  worker_->stats().hits.add(hits_);
  size_t answered = 0;
  Request* ending[kMost];
  size_t count = 0;
  for (size_t i = 0; i < taken; ++i) {
    if (parts_[i] == nullptr) continue;
    ++answered;
    if (count == 0 || ending[count - 1] != parts_[i]) ending[count++] = parts_[i];
  }
  worker_->stats().misses.add(answered - hits_);
  for (size_t i = 0; i < count; ++i) ending[i]->finish();
  worker_->get_runs().give(this);
}

}  // namespace rdmakv::proxy
