#include "tools/open_loop.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>

#include "rdmakv/client/clock.h"

namespace rdmakv {
namespace {

constexpr uint64_t kSpinNs = 200'000;  // what is due sooner is not slept for
constexpr size_t kInputBytes = 256 << 10;
constexpr uint64_t kMostAtATime = 10'000;  // made due, before replies are looked at again

uint64_t ns_of(double seconds) {
  return static_cast<uint64_t>(seconds * 1e9);
}

Status ended(const char* what, int reason) {
  if (reason == ECONNRESET || reason == EPIPE) {
    return {Code::kUnavailable, "the server closed a connection"};
  }
  return Status::from_errno(what, reason);
}

}  // namespace

Status OpenLoop::connect() {
  value_.assign(options_.value_bytes, 'x');
  input_.resize(kInputBytes);
  epoll_ = shm::UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return Status::from_errno("epoll_create1", errno);
  const size_t probes = options_.probe_rate > 0 ? 1 : 0;
  connections_ = std::vector<Connection>(options_.connections + probes);
  if (Status status = open_all(load_, options_.connections, options_.rate); !status) return status;
  probe_.first = options_.connections;
  return probes == 0 ? Status::ok() : open_all(probe_, probes, options_.probe_rate);
}

Status OpenLoop::open_all(Stream& stream, size_t count, double rate) {
  stream.count = count;
  stream.pause_ns = 1e9 / rate;
  for (size_t i = 0; i < count; ++i) {
    Connection& connection = connections_[stream.first + i];
    connection.stream = &stream;
    if (Status status = open(connection); !status) return status;
  }
  return Status::ok();
}

Status OpenLoop::open(Connection& connection) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string where = options_.host + ":" + std::to_string(options_.port);
  const int problem =
      getaddrinfo(options_.host.c_str(), std::to_string(options_.port).c_str(), &hints, &found);
  if (problem != 0) return {Code::kInvalidArgument, where + ": " + gai_strerror(problem)};
  connection.socket = shm::UniqueFd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const bool connected = connection.socket &&
                         ::connect(connection.socket.get(), found->ai_addr, found->ai_addrlen) == 0;
  const int reason = errno;
  freeaddrinfo(found);
  if (!connected) return Status::from_errno("cannot connect to " + where, reason);
  const int on = 1;
  setsockopt(connection.socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &connection;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.socket.get(), &event) != 0) {
    return Status::from_errno("epoll_ctl", errno);
  }
  return Status::ok();
}

Status OpenLoop::run() {
  load_.next_due_ns = probe_.next_due_ns = steady_ns();
  record_from_ns_ = load_.next_due_ns + ns_of(options_.warm_up);
  end_ns_ = record_from_ns_ + ns_of(options_.seconds);
  const uint64_t give_up_ns = end_ns_ + ns_of(options_.patience);
  while (more_due(load_) || more_due(probe_) || outstanding_ > 0) {
    if (Status status = turn(); !status) return status;
    if (steady_ns() > give_up_ns) break;
  }
  for (Stream* const stream : {&load_, &probe_}) {
    if (stream->last_answer_ns <= record_from_ns_) continue;
    stream->result.seconds = static_cast<double>(stream->last_answer_ns - record_from_ns_) / 1e9;
  }
  return Status::ok();
}

uint64_t OpenLoop::errors() const {
  uint64_t errors = 0;
  for (const Connection& connection : connections_) errors += connection.replies.errors();
  return errors;
}

std::string OpenLoop::first_error() const {
  for (const Connection& connection : connections_) {
    if (!connection.replies.first_error().empty()) return connection.replies.first_error();
  }
  return {};
}

Status OpenLoop::turn() {
  const uint64_t now = steady_ns();
  make_due(load_, now);
  make_due(probe_, now);
  for (Connection* connection : touched_) {
    if (!connection->writable) continue;
    if (Status status = write(*connection); !status) return status;
  }
  touched_.clear();
  return wait(now);
}

void OpenLoop::make_due(Stream& stream, uint64_t now) {
  for (uint64_t made = 0; more_due(stream) && stream.next_due_ns <= now && made < kMostAtATime;
       ++made) {
    Connection& connection = connections_[stream.first + stream.next];
    stream.next = (stream.next + 1) % stream.count;
    if (connection.unsent++ == 0) touched_.push_back(&connection);
    const bool recorded = stream.next_due_ns >= record_from_ns_;
    connection.due.push_back({stream.next_due_ns, recorded});
    append_command(connection.out);
    ++outstanding_;
    if (recorded) ++stream.result.due;
    stream.next_due_ns += static_cast<uint64_t>(
        options_.poisson ? -stream.pause_ns * std::log(1 - random_.unit()) : stream.pause_ns);
  }
}

void OpenLoop::append_command(std::string& to) {
  const bool get = random_.below(100) < options_.get_percent;
  std::array<char, 96> text;
  const auto key = static_cast<unsigned long long>(random_.below(options_.keys));
  const int length =
      get ? std::snprintf(text.data(), text.size(), "*2\r\n$3\r\nGET\r\n$16\r\nkey:%012llu\r\n",
                          key)
          : std::snprintf(text.data(), text.size(),
                          "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012llu\r\n$%zu\r\n", key, value_.size());
  to.append(text.data(), static_cast<size_t>(length));
  if (get) return;
  to.append(value_);
  to.append("\r\n");
}

Status OpenLoop::write(Connection& connection) {
  while (connection.sent < connection.out.size()) {
    const ssize_t count =
        ::send(connection.socket.get(), connection.out.data() + connection.sent,
               connection.out.size() - connection.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN) return ended("send", errno);
    if (count < 0) break;
    connection.sent += static_cast<size_t>(count);
  }
  const bool all = connection.sent == connection.out.size();
  if (all) {
    connection.out.clear();
    connection.sent = 0;
    const uint64_t now = steady_ns();
    const size_t waiting = connection.due.size();
    for (size_t i = waiting - std::min(waiting, connection.unsent); i < waiting; ++i) {
      const Due due = connection.due[i];
      if (due.recorded) connection.stream->result.late.record(now - due.at_ns);
    }
    connection.unsent = 0;
  }
  connection.writable = all;
  if (connection.watched == !all) return Status::ok();
  connection.watched = !all;
  epoll_event event{};
  event.events = EPOLLIN | (all ? 0u : static_cast<uint32_t>(EPOLLOUT));
  event.data.ptr = &connection;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket.get(), &event) != 0) {
    return Status::from_errno("epoll_ctl", errno);
  }
  return Status::ok();
}

Status OpenLoop::read(Connection& connection) {
  const ssize_t count = ::recv(connection.socket.get(), input_.data(), input_.size(), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return Status::ok();
  if (count <= 0) return ended("recv", count == 0 ? ECONNRESET : errno);
  const size_t replies =
      connection.replies.take(std::string_view(input_).substr(0, static_cast<size_t>(count)));
  if (connection.replies.broken() || replies > connection.due.size()) {
    return {Code::kProtocolError, "what came is no reply: " + connection.replies.first_error()};
  }
  const uint64_t now = steady_ns();
  for (size_t i = 0; i < replies; ++i) {
    const Due due = connection.due.front();
    connection.due.pop_front();
    --outstanding_;
    if (!due.recorded) continue;
    connection.stream->result.latency.record(now - due.at_ns);
    ++connection.stream->result.answered;
    connection.stream->last_answer_ns = now;
  }
  return Status::ok();
}

// For what comes first: something to read, or the next command due.
Status OpenLoop::wait(uint64_t now) {
  std::array<epoll_event, 64> events;
  uint64_t sleep_ns = 10'000'000;
  for (const Stream* const stream : {&load_, &probe_}) {
    if (!more_due(*stream)) continue;
    const uint64_t due_ns = stream->next_due_ns;
    sleep_ns = std::min(sleep_ns, due_ns > now + kSpinNs ? due_ns - now - kSpinNs / 2 : 0);
  }
  const timespec timeout{static_cast<time_t>(sleep_ns / 1'000'000'000),
                         static_cast<long>(sleep_ns % 1'000'000'000)};
  const int count = epoll_pwait2(epoll_.get(), events.data(), events.size(), &timeout, nullptr);
  if (count < 0 && errno != EINTR) return Status::from_errno("epoll_pwait2", errno);
  for (int i = 0; i < count; ++i) {
    auto& connection = *static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr);
    if ((events[static_cast<size_t>(i)].events & EPOLLOUT) != 0) {
      if (Status status = write(connection); !status) return status;
    }
    if ((events[static_cast<size_t>(i)].events & ~static_cast<uint32_t>(EPOLLOUT)) == 0) continue;
    if (Status status = read(connection); !status) return status;
  }
  return Status::ok();
}

}  // namespace rdmakv
