#include "rdmakv/transport/local_atomics.h"

#include <array>
#include <atomic>
#include <cstring>
#include <thread>

namespace rdmakv {
namespace {

constexpr uint32_t kFailingSwaps = 256;  // against a CPU that changes the word meanwhile

class CpuAtomics final : public LocalAtomics {
 public:
  Code compare_and_swap(const MemoryRegion& region, uint64_t offset, uint64_t expected,
                        uint64_t desired, uint64_t& previous) override {
    if (offset % sizeof(uint64_t) != 0 || offset >= region.size()) return Code::kInvalidArgument;
    std::atomic_ref<uint64_t> word(*reinterpret_cast<uint64_t*>(region.data() + offset));
    previous = expected;
    word.compare_exchange_strong(previous, desired, std::memory_order_seq_cst);
    return Code::kOk;
  }
  std::string describe() const override { return "by the CPU"; }
};

std::atomic_ref<uint64_t> word_at(const MemoryRegion& region, uint64_t offset) {
  return std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(region.data() + offset));
}

Status wrong(const char* what) {
  return {Code::kSystemError, std::string("atomics do not behave: ") + what};
}

Status failed(Code code) {
  return {code, "atomics do not work: " + std::string(code_name(code))};
}

// One swap that wins and one that loses at a word between neighbours.
Status test_word(LocalAtomics& atomics, MemoryRegion& scratch, uint64_t offset) {
  constexpr uint64_t kBefore = 0x0123456789abcdef;
  constexpr uint64_t kAfter = 0xfedcba9876543210;
  constexpr std::byte kNeighbour{0x5a};
  std::memset(scratch.data(), static_cast<int>(kNeighbour), scratch.size());
  word_at(scratch, offset).store(kBefore);
  for (const uint64_t there : {kBefore, kAfter}) {
    uint64_t previous = 0;
    const Code code = atomics.compare_and_swap(scratch, offset, kBefore, kAfter, previous);
    if (code != Code::kOk) return failed(code);
    if (previous != there) return wrong("a swap returns something else than what was there");
    if (word_at(scratch, offset).load() != kAfter) {
      return wrong("after a swap the word is another one");
    }
  }
  for (uint64_t i = 0; i < scratch.size(); ++i) {
    if (i / sizeof(uint64_t) == offset / sizeof(uint64_t)) continue;
    if (scratch.data()[i] != kNeighbour) return wrong("a swap changes bytes beside its word");
  }
  return Status::ok();
}

// The CPU counts in the word while swaps fail on it. A device that writes back what it read sets
// the count back.
Status test_failing_swaps(LocalAtomics& atomics, MemoryRegion& scratch) {
  constexpr uint64_t kOffset = 64;
  constexpr uint64_t kNeverThere = ~uint64_t{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> set_back{false};
  word_at(scratch, kOffset).store(1);
  std::thread counter([&] {
    const std::atomic_ref<uint64_t> word = word_at(scratch, kOffset);
    for (uint64_t count = 2; !stop.load(std::memory_order_relaxed); ++count) {
      word.store(count);
      for (int looks = 0; looks < 8; ++looks) {
        if (word.load() != count) set_back.store(true);
      }
    }
  });
  Code code = Code::kOk;
  bool swapped = false;
  for (uint32_t i = 0; i < kFailingSwaps && code == Code::kOk; ++i) {
    uint64_t previous = 0;
    code = atomics.compare_and_swap(scratch, kOffset, kNeverThere, kNeverThere - 1, previous);
    swapped |= previous == kNeverThere;
  }
  stop.store(true);
  counter.join();
  if (code != Code::kOk) return failed(code);
  if (swapped || word_at(scratch, kOffset).load() == kNeverThere - 1) {
    return wrong("a swap took place that should have failed");
  }
  if (set_back.load()) return wrong("a failing swap writes to memory");
  return Status::ok();
}

}  // namespace

std::unique_ptr<LocalAtomics> make_cpu_atomics() {
  return std::make_unique<CpuAtomics>();
}

Status test_local_atomics(LocalAtomics& atomics, MemoryRegion& scratch) {
  const uint64_t last = scratch.size() - sizeof(uint64_t);
  for (const uint64_t offset : {uint64_t{0}, uint64_t{8}, uint64_t{1016}, uint64_t{2048}, last}) {
    if (Status status = test_word(atomics, scratch, offset); !status) return status;
  }
  return test_failing_swaps(atomics, scratch);
}

}  // namespace rdmakv
