#include "proxy/gather.h"

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "proxy/proxy.h"
#include "proxy/request.h"
#include "proxy/worker.h"
#include "rdmakv/client/client_counters.h"

namespace rdmakv::proxy {
namespace {

struct Gathering {
  Request* request;
  Worker* origin;
  std::function<GatherPart(Worker&)> ask;
  std::function<void(Request&, const GatherPart&)> then;
  std::vector<GatherPart> parts;  // one per worker, each written by it alone
  std::atomic<size_t> missing;
};

void complete(const Gathering& gathering) {
  GatherPart all;
  for (const GatherPart& part : gathering.parts) {
    all.text += part.text;
    all.number += part.number;
    all.counters += part.counters;
  }
  gathering.origin->end_gathering(*gathering.request);
  gathering.then(*gathering.request, all);
}

void answer(const std::shared_ptr<Gathering>& gathering, Worker& worker) {
  gathering->parts[worker.index()] = gathering->ask(worker);
  if (gathering->missing.fetch_sub(1) != 1) return;
  if (gathering->origin == &worker) return complete(*gathering);
  gathering->origin->post([gathering] { complete(*gathering); });
}

}  // namespace

void ask_all(Request& request, std::function<GatherPart(Worker&)> ask,
             std::function<void(Request&, const GatherPart&)> then) {
  Worker& origin = request.worker();
  const auto& workers = origin.proxy().workers();
  auto gathering = std::make_shared<Gathering>();
  gathering->request = &request;
  gathering->origin = &origin;
  gathering->ask = std::move(ask);
  gathering->then = std::move(then);
  gathering->parts.resize(workers.size());
  gathering->missing = workers.size();
  origin.start_gathering(request);
  for (const std::unique_ptr<Worker>& worker : workers) {
    if (worker.get() == &origin) continue;
    worker->post([gathering, &worker = *worker] { answer(gathering, worker); });
  }
  answer(gathering, origin);
}

void gather(Request& request, std::function<GatherPart(Worker&)> ask,
            std::function<void(Request&, const GatherPart&)> then) {
  ask_all(request, std::move(ask), [then = std::move(then)](Request& done, const GatherPart& all) {
    then(done, all);
    done.finish();
  });
}

}  // namespace rdmakv::proxy
