// What SCAN's cursor says: which server, which of its workers, which place in its index. Clients
// see a decimal number below 2^63, since many keep it in a signed integer:
//
//   [ 0 1 | server, by rank 11 | worker 12 | place in the index 40 ]
//
// 0 is the beginning, and never a place at which a scan goes on.
#pragma once

#include <cstdint>

namespace rdmakv::proxy {

struct ScanCursor {
  static constexpr uint32_t kPlaceBits = 40, kWorkerBits = 12, kRankBits = 11;

  uint32_t rank = 0, worker = 0;
  uint64_t place = 0;

  constexpr uint64_t encode() const {
    return (uint64_t{rank} << (kWorkerBits + kPlaceBits)) | (uint64_t{worker} << kPlaceBits) |
           place;
  }
  // Of any number: one that encode() did not make is just some other place.
  static constexpr ScanCursor decode(uint64_t number) {
    return {static_cast<uint32_t>(number >> (kWorkerBits + kPlaceBits)),
            static_cast<uint32_t>(number >> kPlaceBits) & ((1u << kWorkerBits) - 1),
            number & ((uint64_t{1} << kPlaceBits) - 1)};
  }
};

}  // namespace rdmakv::proxy
