// Atomics of the server's own that do not behave, or are not there: CAS goes by request then, and
// the server says so.
#include <gmock/gmock.h>

#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

using testing::HasSubstr;

enum class Fault {
  kNone,
  kMissing,
  kFails,
  kWrongPrevious,
  kStoresNothing,
  kWritesBack,
  kWritesBackBeside
};

class FaultyAtomics final : public LocalAtomics {
 public:
  FaultyAtomics(std::unique_ptr<LocalAtomics> real, Fault fault)
      : real_(std::move(real)), fault_(fault) {}
  Code compare_and_swap(const MemoryRegion& region, uint64_t offset, uint64_t expected,
                        uint64_t desired, uint64_t& previous) override {
    auto* const word = reinterpret_cast<uint64_t*>(region.data() + offset);
    if (fault_ == Fault::kFails) return Code::kSystemError;
    if (fault_ == Fault::kStoresNothing) {
      previous = __atomic_load_n(word, __ATOMIC_SEQ_CST);
      return Code::kOk;
    }
    // As adapters do that are not atomic against the CPU: they read, look, and write what they read
    // or what is new.
    if (fault_ == Fault::kWritesBack) {
      previous = __atomic_load_n(word, __ATOMIC_SEQ_CST);
      __atomic_store_n(word, previous == expected ? desired : previous, __ATOMIC_SEQ_CST);
      return Code::kOk;
    }
    const bool beside = fault_ == Fault::kWritesBackBeside && offset + 16 <= region.size();
    const uint64_t neighbour = beside ? __atomic_load_n(word + 1, __ATOMIC_SEQ_CST) : 0;
    const Code code = real_->compare_and_swap(region, offset, expected, desired, previous);
    if (beside) {
      // Until the CPU has changed it, should it be about to.
      for (int i = 0; i < 1'000'000 && __atomic_load_n(word + 1, __ATOMIC_SEQ_CST) == neighbour;) {
        ++i;
      }
      __atomic_store_n(word + 1, neighbour, __ATOMIC_SEQ_CST);
    }
    if (fault_ == Fault::kWrongPrevious) previous = expected;
    return code;
  }
  std::string describe() const override { return "by a faulty adapter"; }

 private:
  std::unique_ptr<LocalAtomics> real_;
  Fault fault_;
};

// The fabric of the test program but for its local atomics.
class FaultyFabric final : public Fabric {
 public:
  FaultyFabric(std::unique_ptr<Fabric> real, Fault fault) : real_(std::move(real)), fault_(fault) {}
  Result<std::unique_ptr<MemoryRegion>> allocate(const RegionOptions& options) override {
    return real_->allocate(options);
  }
  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(uint32_t depth) override {
    return real_->create_completion_queue(depth);
  }
  Result<std::unique_ptr<Endpoint>> connect(const FabricAddress& server,
                                            const wire::ConnectRequest& request,
                                            const EndpointOptions& options,
                                            CompletionQueue& queue) override {
    return real_->connect(server, request, options, queue);
  }
  Result<std::unique_ptr<Listener>> listen(const FabricAddress& address,
                                           ConnectionHandler& handler) override {
    return real_->listen(address, handler);
  }
  Result<std::unique_ptr<LocalAtomics>> create_local_atomics() override {
    if (fault_ == Fault::kMissing) return Fabric::create_local_atomics();
    Result<std::unique_ptr<LocalAtomics>> real = real_->create_local_atomics();
    if (!real || fault_ == Fault::kNone) return real;
    return std::unique_ptr<LocalAtomics>(std::make_unique<FaultyAtomics>(std::move(*real), fault_));
  }
  FabricLimits limits() const override { return real_->limits(); }
  std::string_view name() const override { return real_->name(); }
  std::string describe() const override { return real_->describe(); }

 private:
  std::unique_ptr<Fabric> real_;
  Fault fault_;
};

class AtomicsFaultTest : public ClientServerTest {
 protected:
  void start_with(Fault fault) {
    server_fabric = std::make_unique<FaultyFabric>(std::move(server_fabric), fault);
    log = [this](server::LogLevel level, std::string_view text) {
      if (level == server::LogLevel::kWarning) warnings += std::string(text) + "\n";
    };
    start(64 << 20, 1);
    for (const std::string& line : running->describe()) started += line + "\n";
  }
  // CAS of one key again and again: how many went by ATOMIC. All of them must win.
  int swapped() {
    const auto client = open();
    uint64_t version = async_put(*client, "key", "0").wait().version;
    int count = 0;
    for (int i = 0; i < 50; ++i) {
      TestOperation cas(OperationKind::kPut, "key");
      cas.condition = Condition::kIfVersion;
      cas.expected_version = version;
      cas.input = bytes_of("1");
      client->submit(cas);
      client->wait(cas);
      EXPECT_EQ(cas.code, Code::kOk);
      version = cas.version;
      count += cas.path == ReadPath::kSwapped ? 1 : 0;
    }
    EXPECT_EQ(client->counters().verbs.atomics, static_cast<uint64_t>(count));
    return count;
  }
  void expect_off(const std::string& why) {
    EXPECT_THAT(started, HasSubstr("one-sided CAS: off (" + why));
    EXPECT_THAT(warnings, HasSubstr("CAS goes by request only: " + why));
    EXPECT_EQ(swapped(), 0);
  }

  std::string started, warnings;
};

TEST_F(AtomicsFaultTest, WithoutAFaultItIsOn) {
  start_with(Fault::kNone);
  EXPECT_THAT(started, HasSubstr("one-sided CAS: on, own atomics by"));
  EXPECT_EQ(warnings, "");
  EXPECT_GT(swapped(), 0);
}

TEST_F(AtomicsFaultTest, ThereAreNone) {
  start_with(Fault::kMissing);
  expect_off("this fabric has no atomics");
}

TEST_F(AtomicsFaultTest, TheyFail) {
  start_with(Fault::kFails);
  expect_off("atomics do not work");
}

TEST_F(AtomicsFaultTest, TheyReturnSomethingElseThanWasThere) {
  start_with(Fault::kWrongPrevious);
  expect_off("atomics do not behave: a swap returns something else than what was there");
}

TEST_F(AtomicsFaultTest, TheyStoreNothing) {
  start_with(Fault::kStoresNothing);
  expect_off("atomics do not behave: after a swap the word is another one");
}

TEST_F(AtomicsFaultTest, TheyWriteBackWhatIsBesideTheWord) {
  start_with(Fault::kWritesBackBeside);
  expect_off("atomics do not behave: a swap changes bytes beside its word");
}

// No fault: nothing else but ATOMICs stores to words that ATOMICs work on.
TEST_F(AtomicsFaultTest, AFailingSwapMayWriteBackWhatItRead) {
  start_with(Fault::kWritesBack);
  EXPECT_THAT(started, HasSubstr("one-sided CAS: on, own atomics by"));
  EXPECT_EQ(warnings, "");
  EXPECT_GT(swapped(), 0);
}

}  // namespace
}  // namespace rdmakv
