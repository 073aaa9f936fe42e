#include "rdmakv/transport/local_atomics.h"

#include <array>
#include <atomic>
#include <cstring>
#include <thread>

namespace rdmakv {
namespace {

constexpr uint32_t kSwapsBesideTheCpu = 256;

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

// The CPU counts in both neighbours of a word while swaps win and lose there. A device that works
// on more than the word sets the counts back.
Status test_neighbours(LocalAtomics& atomics, MemoryRegion& scratch) {
  constexpr uint64_t kOffset = 64;
  constexpr uint64_t kNeverThere = ~uint64_t{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> set_back{false};
  std::thread counter([&] {
    const std::atomic_ref<uint64_t> before = word_at(scratch, kOffset - sizeof(uint64_t));
    const std::atomic_ref<uint64_t> after = word_at(scratch, kOffset + sizeof(uint64_t));
    for (uint64_t count = 1; !stop.load(std::memory_order_relaxed); ++count) {
      before.store(count);
      after.store(count);
      for (int looks = 0; looks < 8; ++looks) {
        if (before.load() != count || after.load() != count) set_back.store(true);
      }
    }
  });
  Code code = Code::kOk;
  bool wrong_word = false;
  uint64_t there = word_at(scratch, kOffset).load();
  for (uint32_t i = 0; i < kSwapsBesideTheCpu && code == Code::kOk; ++i) {
    const bool wins = i % 2 == 0;
    uint64_t previous = 0;
    code = atomics.compare_and_swap(scratch, kOffset, wins ? there : kNeverThere, i, previous);
    wrong_word |= previous != there;
    if (wins) there = i;
  }
  stop.store(true);
  counter.join();
  if (code != Code::kOk) return failed(code);
  if (wrong_word || word_at(scratch, kOffset).load() != there) {
    return wrong("of many swaps some store what they should not");
  }
  if (set_back.load()) return wrong("a swap changes bytes beside its word");
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
  return test_neighbours(atomics, scratch);
}

}  // namespace rdmakv
