// The datapath allocates nothing, neither the client's nor the server's: this program counts the
// allocations of all its threads.
#include <atomic>
#include <cstdlib>
#include <new>

#include "rdmakv/server/server.h"
#include "rdmakv/transport/shm/shm_fabric.h"
#include "tests/rdmakv/client/client_fixture.h"
#include "tests/rdmakv/client/test_run.h"

namespace {
std::atomic<uint64_t> allocations{0};

void* count_and_allocate(std::size_t size, std::size_t alignment) {
  ++allocations;
  void* memory = alignment == 0 ? std::malloc(size)  // NOLINT
                                : std::aligned_alloc(
                                      alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

// Where these are inlined, and theirs are not, GCC sees a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

void* operator new(std::size_t size) {
  return count_and_allocate(size, 0);
}
void* operator new[](std::size_t size) {
  return count_and_allocate(size, 0);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return count_and_allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}  // NOLINT
void operator delete[](void* memory) noexcept {
  std::free(memory);
}  // NOLINT
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}  // NOLINT
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}  // NOLINT
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}  // NOLINT
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}  // NOLINT

namespace rdmakv {
namespace {

TEST(Allocation, TheCountIsReal) {
  const uint64_t before = allocations;
  const auto one = std::make_unique<int>(1);
  EXPECT_GT(allocations, before) << *one;
}

TEST(Allocation, NoneInSteadyState) {
  const std::unique_ptr<Fabric> fabric = std::move(*shm::open_shm_fabric());
  server::ServerOptions server_options;
  server_options.memory_bytes = 64 << 20;
  server_options.workers = 2;
  const std::unique_ptr<server::Server> server =
      std::move(*server::Server::start(*fabric, server_options));
  ClientOptions options;
  options.servers = {{"", server->port(), false}};
  options.timeout_ns = 120'000'000'000;
  options.connect_timeout_ns = 60'000'000'000;
  const std::unique_ptr<Client> client = std::move(*Client::create(*fabric, options));

  const std::string keys[4] = {"a", "b", "c", "d"};
  const std::string values[4] = {std::string(10, 'x'), std::string(3000, 'y'),
                                 std::string(50'000, 'z'), std::string(700'000, 'w')};
  std::string destination(1 << 20, '-');
  Operation puts[4], gets[4], cas[4];
  std::vector<wire::PutView> small;
  for (int i = 0; i < 100; ++i)
    small.push_back({keys[i % 4], std::as_bytes(std::span(values[0])), 0});
  const auto put_small = [&] {
    TestRun run;
    put_runner(*client)->put_run(small, run);
    client->flush();
    while (run.dones == 0 && run.taken > 0) client->poll();
    ASSERT_EQ(run.failed, 0u);
  };
  const auto round = [&] {
    put_small();
    for (size_t i = 0; i < 4; ++i) {
      puts[i].kind = OperationKind::kPut;
      puts[i].key = gets[i].key = cas[i].key = keys[i];
      puts[i].input = cas[i].input = std::as_bytes(std::span<const char>(values[i]));
      gets[i].destination = std::as_writable_bytes(std::span<char>(destination));
      cas[i].kind = OperationKind::kPut;
      cas[i].condition = Condition::kIfVersion;
      cas[i].expected_version = 1;
      for (Operation* operation : {&puts[i], &gets[i], &cas[i]}) client->submit(*operation);
    }
    for (size_t i = 0; i < 4; ++i) {
      for (Operation* operation : {&puts[i], &gets[i], &cas[i]}) client->wait(*operation);
      ASSERT_EQ(puts[i].code, Code::kOk);
      ASSERT_EQ(gets[i].code, Code::kOk);
    }
  };
  for (int i = 0; i < 20; ++i) round();
  const uint64_t before = allocations;
  for (int i = 0; i < 100; ++i) round();
  EXPECT_EQ(allocations - before, 0u) << "in 1200 operations and 100 runs of puts";
}

}  // namespace
}  // namespace rdmakv
