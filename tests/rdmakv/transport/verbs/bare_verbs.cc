// The wire by itself, to measure the datapath against (tools/compare-wire): the same verbs with the
// same sizes and the same polling, posted by hand, with no protocol around them.
//
//   bare_verbs DEVICE SERVER_DEVICE KIND REQUEST_BYTES REPLY_BYTES COUNT
//
//   send    SEND of REQUEST_BYTES there, SEND of REPLY_BYTES back
//   write   WRITE_WITH_IMM of REQUEST_BYTES there, SEND of REPLY_BYTES back
//   read    READ of REQUEST_BYTES
//   swap    WRITE of REQUEST_BYTES and ATOMIC_CMP_AND_SWP, one doorbell
//
// Two processes, one a side, each with a queue pair; they tell each other where by a socket pair.
// Prints the median of COUNT round trips in microseconds, of fewer when kMostTime is over before.
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "rdmakv/transport/verbs/memory_region.h"
#include "rdmakv/transport/verbs/path.h"

namespace rdmakv::verbs {
namespace {

constexpr uint32_t kReceives = 64;
constexpr uint32_t kSends = 128;
constexpr uint32_t kSignalEvery = 32;  // requests whose completion nobody waits for
constexpr size_t kMessage = 4608;      // as the product's message buffers, unless a SEND is longer
constexpr size_t kMostMessage = 20u << 10;
constexpr size_t kSource = kReceives * kMostMessage;
constexpr size_t kRegion = 3u << 20;
constexpr uint8_t kReads = 16;
constexpr uint64_t kReceive = 1;  // wr_id
constexpr uint64_t kRequest = 2;

using Clock = std::chrono::steady_clock;
constexpr auto kMostTime = std::chrono::seconds(3);

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "bare_verbs: %s\n", what.c_str());
  std::exit(1);
}
void must(const Status& status) {
  if (!status) die(status.to_string());
}
template <typename T>
T must(Result<T> result) {
  if (!result) die(result.status().to_string());
  return std::move(result).value();
}

struct Introduction {
  QueuePairAddress address;
  uint64_t base = 0;
  uint32_t key = 0;
};

struct Shape {
  std::string kind;
  uint32_t request = 0, reply = 0, count = 0;
  uint32_t message() const {
    return static_cast<uint32_t>(std::max<size_t>({kMessage, kind == "send" ? request : 0, reply}));
  }
  bool one_sided() const { return kind == "read" || kind == "swap"; }
};

// One end: a queue pair, and a region with a message buffer for each receive, then what is sent.
class End {
 public:
  End(const std::string& device_name, int socket, uint32_t message_bytes)
      : message_(message_bytes),
        device_(must(Device::open(device_name, -1))),
        queue_(ibv_create_cq(device_->context(), 2 * (kReceives + kSends), nullptr, nullptr, 0)) {
    if (!queue_) die("no completion queue");
    RegionOptions options;
    options.bytes = kRegion;
    options.remote_access = RemoteAccess::kRead | RemoteAccess::kWrite | RemoteAccess::kAtomic;
    region_ = must(VerbsMemoryRegion::allocate(device_, options));
    pair_ = must(QueuePair::create(*device_, queue_.get(), {kSends, kReceives}));
    must(pair_.to_initialized(device_->port(), 0));
    for (uint32_t i = 0; i < kReceives; ++i) post_receive(i);
    const Gid gid = must(device_->usual_gid());
    Introduction own = {must(address_of(pair_, *device_, gid)), region_->remote_base(),
                        region_->remote_key()};
    if (write(socket, &own, sizeof(own)) != sizeof(own) ||
        recv(socket, &peer_, sizeof(peer_), MSG_WAITALL) != sizeof(peer_)) {
      die("the other side has gone");
    }
    const auto mtu = static_cast<ibv_mtu>(std::min(own.address.mtu, peer_.address.mtu));
    must(pair_.to_receiving(path_to(peer_.address, *device_, gid, kReads, mtu)));
    must(pair_.to_sending(own.address.psn, kReads));
    char ready = 'r';
    if (write(socket, &ready, 1) != 1 || read(socket, &ready, 1) != 1)
      die("the other side has gone");
  }

  // Chains a request; `signalled`, or else every so often.
  void add(ibv_wr_opcode opcode, uint32_t bytes, uint64_t remote_offset, bool signalled) {
    ibv_send_wr& request = chain_[chained_];
    ibv_sge& piece = pieces_[chained_];
    piece = {reinterpret_cast<uint64_t>(region_->data() + kSource), bytes, region_->local_key()};
    request = {};
    request.wr_id = kRequest;
    request.sg_list = &piece;
    request.num_sge = 1;
    request.opcode = opcode;
    if (signalled || ++silent_ == kSignalEvery) {
      request.send_flags |= IBV_SEND_SIGNALED;
      silent_ = 0;
    }
    if (opcode == IBV_WR_ATOMIC_CMP_AND_SWP) {
      request.wr.atomic.remote_addr = peer_.base + remote_offset;
      request.wr.atomic.rkey = peer_.key;
      request.wr.atomic.compare_add = swapped_;
      request.wr.atomic.swap = ++swapped_;
    } else {
      request.wr.rdma.remote_addr = peer_.base + remote_offset;
      request.wr.rdma.rkey = peer_.key;
      if (opcode != IBV_WR_RDMA_READ && bytes <= pair_.max_inline()) {
        request.send_flags |= IBV_SEND_INLINE;
      }
    }
    if (chained_ != 0) chain_[chained_ - 1].next = &request;
    ++chained_;
  }
  void ring() {
    ibv_send_wr* refused = nullptr;
    chained_ = 0;
    if (ibv_post_send(pair_.get(), &chain_[0], &refused) != 0) die("a request was refused");
  }
  // A completion of this kind; those of silent requests are passed over.
  void wait_for(uint64_t kind) {
    for (;;) {
      ibv_wc done[16];
      const int count = ibv_poll_cq(queue_.get(), 1, done);
      if (count == 0) {
        __builtin_ia32_pause();
        continue;
      }
      if (done[0].status != IBV_WC_SUCCESS) die(ibv_wc_status_str(done[0].status));
      const bool receive = (done[0].wr_id & kReceive) != 0;
      if (receive) post_receive(static_cast<uint32_t>(done[0].wr_id >> 8));
      if (receive == (kind == kReceive)) return;
    }
  }

 private:
  void post_receive(uint32_t slot) {
    ibv_sge piece = {reinterpret_cast<uint64_t>(region_->data() + slot * message_), message_,
                     region_->local_key()};
    ibv_recv_wr request = {uint64_t{slot} << 8 | kReceive, nullptr, &piece, 1};
    ibv_recv_wr* refused = nullptr;
    if (ibv_post_recv(pair_.get(), &request, &refused) != 0) die("a receive was refused");
  }

  const uint32_t message_;  // bytes of a receive
  std::shared_ptr<Device> device_;
  CompletionQueueHandle queue_;
  std::unique_ptr<VerbsMemoryRegion> region_;
  QueuePair pair_;
  Introduction peer_;
  ibv_send_wr chain_[2];
  ibv_sge pieces_[2];
  uint32_t chained_ = 0;
  uint32_t silent_ = 0;
  uint64_t swapped_ = 0;
};

constexpr uint64_t kWord = 0;  // of the peer's region; nothing is received there meanwhile

// Until it is killed.
[[noreturn]] void serve(End& end, const Shape& shape) {
  for (;;) {
    end.wait_for(kReceive);
    end.add(IBV_WR_SEND, shape.reply, 0, false);
    end.ring();
  }
}

void ask(End& end, const Shape& shape) {
  if (shape.kind == "read") {
    end.add(IBV_WR_RDMA_READ, shape.request, kSource, true);
  } else if (shape.kind == "swap") {
    end.add(IBV_WR_RDMA_WRITE, shape.request, kSource, false);
    end.add(IBV_WR_ATOMIC_CMP_AND_SWP, sizeof(uint64_t), kWord, true);
  } else if (shape.kind == "write") {
    end.add(IBV_WR_RDMA_WRITE_WITH_IMM, shape.request, kSource, false);
  } else {
    end.add(IBV_WR_SEND, shape.request, 0, false);
  }
  end.ring();
  end.wait_for(shape.one_sided() ? kRequest : kReceive);
}

double measure(End& end, const Shape& shape) {
  std::vector<double> times;
  times.reserve(shape.count);
  const auto began = Clock::now();
  for (auto start = began; times.size() < shape.count && start - began < kMostTime;) {
    ask(end, shape);
    const auto now = Clock::now();
    times.push_back(std::chrono::duration<double, std::micro>(now - start).count());
    start = now;
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

uint32_t number(const std::string& text, uint32_t most) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value > most)
    die("'" + text + "' is no number up to " + std::to_string(most));
  return static_cast<uint32_t>(value);
}

int run(const std::vector<std::string>& words) {
  if (words.size() != 6) {
    die("usage: bare_verbs DEVICE SERVER_DEVICE send|write|read|swap REQUEST_BYTES REPLY_BYTES "
        "COUNT");
  }
  const Shape shape = {words[2], number(words[3], 1u << 20), number(words[4], kMostMessage),
                       number(words[5], 1u << 30)};
  if (shape.kind != "send" && shape.kind != "write" && !shape.one_sided()) {
    die("'" + shape.kind + "' is none of send, write, read, swap");
  }
  if (shape.count == 0 || (shape.kind == "send" && shape.request > kMostMessage))
    die("nothing to measure");
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) die("socketpair");
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(sockets[0]);
    End end(words[1], sockets[1], shape.message());
    if (!shape.one_sided()) serve(end, shape);
    for (;;) pause();
  }
  close(sockets[1]);
  End end(words[0], sockets[0], shape.message());
  std::printf("%.3f\n", measure(end, shape));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return 0;
}

}  // namespace
}  // namespace rdmakv::verbs

int main(int argc, char** argv) {
  return rdmakv::verbs::run({argv + 1, argv + argc});
}
