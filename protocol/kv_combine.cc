#include "protocol/kv_combine.h"

#include <algorithm>

namespace rdmakv::wire {

std::string encode_combine(BitOperation operation, std::span<const std::string_view> keys) {
  std::string value(1, static_cast<char>(operation));
  for (const std::string_view key : keys) {
    const auto length = static_cast<uint32_t>(key.size());
    value.append(reinterpret_cast<const char*>(&length), sizeof(length)).append(key);
  }
  return value;
}

// One loop each, for the compiler to do many bytes at a time.
void combine_bits(BitOperation operation, std::span<std::byte> to,
                  std::span<const std::byte> from) {
  const size_t both = std::min(to.size(), from.size());
  switch (operation) {
    case BitOperation::kAnd:
      for (size_t i = 0; i < both; ++i) to[i] &= from[i];
      std::fill(to.begin() + static_cast<std::ptrdiff_t>(both), to.end(), std::byte{0});
      return;
    case BitOperation::kOr:
      for (size_t i = 0; i < both; ++i) to[i] |= from[i];
      return;
    case BitOperation::kXor:
      for (size_t i = 0; i < both; ++i) to[i] ^= from[i];
      return;
    case BitOperation::kNot:
      for (std::byte& byte : to) byte = ~byte;
      return;
  }
}

}  // namespace rdmakv::wire
