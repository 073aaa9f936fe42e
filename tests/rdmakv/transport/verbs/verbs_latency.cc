// The datapath against the wire, for comparison with perftest in the same virtual machine:
//
//   verbs_latency server ADDRESS PORT [DEVICE]                     like ib_send_lat, ib_read_lat
//   DEVICE verbs_latency client ADDRESS PORT send|read BYTES COUNT [DEVICE]
//
// Both ends poll. Prints the median in microseconds, of half a round trip for `send` and of a whole
// one for `read`, as perftest does. The server ends with its first client.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "rdmakv/transport/fabric.h"
#include "rdmakv/transport/verbs/verbs_fabric.h"

namespace rdmakv::verbs {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "verbs_latency: %s\n", what.c_str());
  std::exit(1);
}

template <typename T>
T must(Result<T> result) {
  if (!result) die(result.status().to_string());
  return std::move(result).value();
}

class Server final : public ConnectionHandler {
 public:
  Server(Fabric& fabric, CompletionQueue& queue, const std::string& host, uint16_t port)
      : queue_(queue), listener_(must(fabric.listen({host, port, false}, *this))) {
    RegionOptions options;
    options.bytes = 1 << 20;
    options.remote_access = RemoteAccess::kRead;
    region_ = must(fabric.allocate(options));
  }
  Result<Acceptance> route(const wire::ConnectRequest&) override {
    return Acceptance{&queue_, EndpointOptions{}};
  }
  void accepted(const wire::ConnectRequest&, std::unique_ptr<Endpoint> endpoint) override {
    endpoint_ = std::move(endpoint);
  }
  // The first message is answered by address and key of a region, the others by themselves.
  void run() {
    bool first = true;
    for (;;) {
      if (!endpoint_) listener_->dispatch();
      Completion batch[4];
      const size_t count = queue_.poll(batch);
      for (size_t i = 0; i < count; ++i) {
        if (batch[i].kind == CompletionKind::kDisconnected) return;
        if (batch[i].kind != CompletionKind::kMessage) continue;
        const MessageBuffer answer = endpoint_->acquire_message();
        if (!answer) die("no message buffer");
        const RemoteAddress where = {region_->remote_base(), region_->remote_key()};
        if (first) std::memcpy(answer.data, &where, sizeof(where));
        first = false;
        endpoint_->send(answer, std::max<uint32_t>(batch[i].length, sizeof(where)), 0, false);
        endpoint_->flush();
        endpoint_->release_message(batch[i].slot);
      }
    }
  }

 private:
  CompletionQueue& queue_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<MemoryRegion> region_;
  std::unique_ptr<Endpoint> endpoint_;
};

Completion wait_for(CompletionQueue& queue, CompletionKind kind) {
  for (;;) {
    Completion completion;
    if (queue.poll({&completion, 1}) == 0) continue;
    if (completion.kind == kind && completion.code == Code::kOk) return completion;
    die("the connection ended: " + std::string(completion.endpoint->error_text()));
  }
}

void send_message(Endpoint& endpoint, uint32_t bytes) {
  const MessageBuffer message = endpoint.acquire_message();
  if (!message || !endpoint.send(message, bytes, 0, false)) die("cannot send");
  endpoint.flush();
}

void run_client(Fabric& fabric, CompletionQueue& queue, const std::string& host, uint16_t port,
                bool reads, uint32_t bytes, uint32_t count) {
  const auto endpoint = must(fabric.connect({host, port, false}, {}, {}, queue));
  wait_for(queue, CompletionKind::kConnected);
  RegionOptions options;
  options.bytes = 1 << 20;
  const auto region = must(fabric.allocate(options));
  send_message(*endpoint, 64);
  Completion answer = wait_for(queue, CompletionKind::kMessage);
  RemoteAddress where;
  std::memcpy(&where, answer.message, sizeof(where));
  endpoint->release_message(answer.slot);

  std::vector<double> times;
  for (uint32_t i = 0; i < count; ++i) {
    const auto start = Clock::now();
    if (reads) {
      endpoint->read({region->data(), bytes, region->local_key()}, where, i, true);
      endpoint->flush();
      wait_for(queue, CompletionKind::kRead);
    } else {
      send_message(*endpoint, bytes);
      endpoint->release_message(wait_for(queue, CompletionKind::kMessage).slot);
    }
    const std::chrono::duration<double, std::micro> took = Clock::now() - start;
    times.push_back(took.count() / (reads ? 1 : 2));
  }
  std::sort(times.begin(), times.end());
  std::printf("%.2f\n", times[times.size() / 2]);
}

int run(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool server = words.size() >= 3 && words[0] == "server";
  if (!server && !(words.size() >= 6 && words[0] == "client")) {
    die("usage: server ADDRESS PORT [DEVICE] | client ADDRESS PORT send|read BYTES COUNT [DEVICE]");
  }
  const size_t device = server ? 3 : 6;
  const auto fabric = must(open_verbs_fabric({words.size() > device ? words[device] : "", -1}));
  const auto queue = must(fabric->create_completion_queue(4096));
  const auto port = static_cast<uint16_t>(std::stoul(words[2]));
  if (server) {
    Server(*fabric, *queue, words[1], port).run();
  } else {
    run_client(*fabric, *queue, words[1], port, words[3] == "read",
               static_cast<uint32_t>(std::stoul(words[4])),
               static_cast<uint32_t>(std::stoul(words[5])));
  }
  return 0;
}

}  // namespace
}  // namespace rdmakv::verbs

int main(int argc, char** argv) {
  return rdmakv::verbs::run(argc, argv);
}
