#include "tests/rdmakv/transport/verbs/rig.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>

#include "rdmakv/transport/verbs/verbs_fabric.h"

namespace rdmakv::verbs {

Rig::Rig(RigOptions wanted) : options(std::move(wanted)), accepted_options(options.sizes) {}

Rig::~Rig() {
  client.reset();
  server.reset();
  listener.reset();
}

bool Rig::open() {
  Result<std::unique_ptr<Fabric>> server_side = open_verbs_fabric({options.server_device, -1});
  EXPECT_TRUE(server_side) << server_side.status().to_string();
  Result<std::unique_ptr<Fabric>> client_side =
      open_verbs_fabric({options.client_device, options.client_gid_index});
  EXPECT_TRUE(client_side) << client_side.status().to_string();
  if (!server_side || !client_side) return false;
  server_fabric = std::move(*server_side);
  client_fabric = std::move(*client_side);
  Result<std::unique_ptr<CompletionQueue>> a =
      server_fabric->create_completion_queue(options.queue_depth);
  Result<std::unique_ptr<CompletionQueue>> b =
      client_fabric->create_completion_queue(options.queue_depth);
  EXPECT_TRUE(a) << a.status().to_string();
  EXPECT_TRUE(b) << b.status().to_string();
  if (!a || !b) return false;
  server_queue = std::move(*a);
  client_queue = std::move(*b);
  Result<std::unique_ptr<Listener>> opened =
      server_fabric->listen({options.server_host, 0, options.by_socket}, *this);
  EXPECT_TRUE(opened) << opened.status().to_string();
  if (!opened) return false;
  listener = std::move(*opened);
  EXPECT_NE(listener->port(), 0);
  return true;
}

bool Rig::start(const wire::ConnectRequest& request) {
  Result<std::unique_ptr<Endpoint>> endpoint =
      client_fabric->connect({options.server_host, listener->port(), options.by_socket}, request,
                             options.sizes, *client_queue);
  EXPECT_TRUE(endpoint) << endpoint.status().to_string();
  if (!endpoint) return false;
  client = std::move(*endpoint);
  return true;
}

bool Rig::connect() {
  if (!open() || !start()) return false;
  return wait_for("connected",
                  [this] {
                    EXPECT_EQ(client->error_text(), "");
                    if (!client->error_text().empty()) return true;
                    return server != nullptr &&
                           find(client_events, CompletionKind::kConnected) != nullptr;
                  }) &&
         client->error_text().empty();
}

void Rig::take(CompletionQueue& queue, std::vector<Event>& events) {
  Completion batch[8];
  const size_t count = queue.poll(batch);
  for (size_t i = 0; i < count; ++i) {
    Event event;
    event.completion = batch[i];
    if (batch[i].kind == CompletionKind::kMessage) {
      event.message.assign(reinterpret_cast<const char*>(batch[i].message), batch[i].length);
    }
    if (batch[i].kind == CompletionKind::kMessage || batch[i].kind == CompletionKind::kImmediate) {
      if (!keep_messages) batch[i].endpoint->release_message(batch[i].slot);
    }
    events.push_back(std::move(event));
  }
}

void Rig::pump() {
  if (listener) listener->dispatch();
  if (client_queue) take(*client_queue, client_events);
  if (server_queue) take(*server_queue, server_events);
}

bool Rig::wait_for(const std::string& what, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(90);
  while (!done()) {
    pump();
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "not within 90 s: " << what;
      return false;
    }
  }
  return true;
}

bool Rig::send(Endpoint& from, const std::string& text, bool signalled) {
  const MessageBuffer message = from.acquire_message();
  if (!message || text.size() > message.capacity) return false;
  std::memcpy(message.data, text.data(), text.size());
  return from.send(message, static_cast<uint32_t>(text.size()), 0, signalled);
}

const Event* Rig::find(const std::vector<Event>& events, CompletionKind kind) {
  for (const Event& event : events) {
    if (event.completion.kind == kind) return &event;
  }
  return nullptr;
}

size_t Rig::count(const std::vector<Event>& events, CompletionKind kind) {
  size_t count = 0;
  for (const Event& event : events) count += event.completion.kind == kind ? 1 : 0;
  return count;
}

Result<ConnectionHandler::Acceptance> Rig::route(const wire::ConnectRequest& request) {
  last_request = request;
  if (!route_status) return route_status;
  return Acceptance{server_queue.get(), accepted_options};
}

void Rig::accepted(const wire::ConnectRequest&, std::unique_ptr<Endpoint> endpoint) {
  if (!drop_accepted) server = std::move(endpoint);
}

std::unique_ptr<MemoryRegion> region_of(Fabric& fabric, RemoteAccess access) {
  RegionOptions options;
  options.bytes = 1 << 16;
  options.remote_access = access;
  options.name = "test";
  Result<std::unique_ptr<MemoryRegion>> region = fabric.allocate(options);
  EXPECT_TRUE(region) << region.status().to_string();
  return std::move(*region);
}

LocalBuffer local(const MemoryRegion& region, size_t offset, uint32_t length) {
  return {region.data() + offset, length, region.local_key()};
}

RemoteAddress remote(const MemoryRegion& region, uint64_t offset) {
  return {region.remote_base() + offset, region.remote_key()};
}

}  // namespace rdmakv::verbs
