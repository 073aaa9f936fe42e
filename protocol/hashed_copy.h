// Copies of large values on their way into a store, and their XXH3-64, in one go: in pieces that
// stay in the processor's first cache, and by stores that pass the caches by, so that memory which
// nobody will look at soon is not fetched before it is overwritten. For 256 KB that takes a third
// off the time of a copy and a hash of it; where a piece is hashed while it is fetched
// (hash_stripes.h), a third of the rest.
//
//   source, which others may change -> [16 KB here] -> hashed
//                                          '--------> stored
//
// What is hashed is what is stored, whatever becomes of the source meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rdmakv::wire {

class HashedCopy {
 public:
  // From so many bytes on it is worth it.
  static constexpr size_t kWorthwhile = 8 * 1024;

  // Begins an XXH3-64 under `seed`.
  void begin(uint64_t seed);
  // Hashes bytes that lie where they belong.
  void add(const std::byte* bytes, size_t length);
  // Copies bytes, and hashes them. They may not be where they are to be before end() or fence().
  void copy(std::byte* to, const std::byte* from, size_t length);
  static void fence();
  // The hash of all that was added and copied, which is in its place now.
  uint64_t end();

 private:
  void copy_in_one_pass(std::byte* to, const std::byte* from, size_t length);

  static constexpr size_t kPiece = 16 * 1024 + 64;

  alignas(64) std::byte state_[576];  // XXH3_state_t
};

}  // namespace rdmakv::wire
