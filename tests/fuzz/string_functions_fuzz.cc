// Whatever a request says, the functions of values (kModify, kEvaluate) touch no byte outside the
// values, say themselves how much room they need, and leave nothing of the new value unwritten;
// also when what the request carries is changed between their two halves. The input: a function,
// whether there is an old value and how long it is, the old value, and the request's value.
// Everything lies in blocks of exactly its size, so that the sanitizer sees any byte too many.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "rdmakv/server/string_functions.h"

namespace {

using namespace rdmakv::server;  // NOLINT
namespace wire = rdmakv::wire;

// What is built is not larger than this: the rest is for the partition to refuse.
constexpr uint64_t kMostBuilt = 1 << 20;

struct Block {
  explicit Block(Bytes from) : Block(from.size()) {
    if (size > 0) std::memcpy(bytes.get(), from.data(), size);
  }
  explicit Block(size_t length) : bytes(std::make_unique<std::byte[]>(length)), size(length) {}
  std::span<std::byte> span() const { return {bytes.get(), size}; }
  std::unique_ptr<std::byte[]> bytes;
  size_t size;
};

void modify(wire::Function function, std::optional<Bytes> old, const Block& request,
            uint8_t changed) {
  static const auto plan = std::make_unique<ModificationPlan>();
  const std::optional<Modification> todo = parse_modification(function, request.span());
  if (!todo || !comparison_met(*todo, old).value_or(false)) return;
  plan_modification(*todo, old, *plan);
  if (plan->status != wire::ReplyStatus::kOk || !plan->stores) return;
  if (plan->length > wire::kMaxValueBytes) std::abort();
  if (plan->length > kMostBuilt) return;
  const Block built(plan->length), results(plan->result_bytes);
  if (!todo->bytes.empty()) {
    request.bytes[request.size - 1 - changed % todo->bytes.size()] ^= std::byte{0xff};
  }
  build_value(*todo, *plan, old, built.span(), results.span());
}

void look(wire::Function function, Bytes value, const Block& request) {
  const std::optional<Evaluation> asked = parse_evaluation(function, request.span());
  if (!asked) return;
  if (function == wire::Function::kGetFields) {
    const Block results(field_result_bytes(asked->bytes));
    get_fields(asked->bytes, value, results.span());
    return;
  }
  const Bytes range = evaluate(*asked, value).range;
  if (range.empty()) return;
  if (range.data() < value.data() || range.data() + range.size() > value.data() + value.size()) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const auto function = static_cast<wire::Function>(1 + data[0] % 15);
  const bool exists = (data[1] & 1) != 0;
  const uint8_t changed = data[2];
  const Bytes rest = std::as_bytes(std::span(data + 4, size - 4));
  const size_t old_length = exists ? std::min<size_t>(data[3], rest.size()) : 0;
  const Block old(rest.first(old_length)), request(rest.subspan(old_length));
  const std::optional<Bytes> value = exists ? std::optional<Bytes>(old.span()) : std::nullopt;
  if (wire::is_modify(function)) {
    modify(function, value, request, changed);
  } else if (exists) {
    look(function, old.span(), request);
  }
  return 0;
}
