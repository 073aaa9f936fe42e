#include "tools/workload.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace rdmakv {
namespace {

constexpr Mix kMixes[] = {
    {'A', {50, 50, 0, 0}, KeyChoice::kZipfian}, {'B', {95, 5, 0, 0}, KeyChoice::kZipfian},
    {'C', {100, 0, 0, 0}, KeyChoice::kZipfian}, {'D', {95, 0, 5, 0}, KeyChoice::kLatest},
    {'F', {50, 0, 0, 50}, KeyChoice::kZipfian}, {'W', {0, 100, 0, 0}, KeyChoice::kZipfian},
};

double zeta(uint64_t items, double theta) {
  double sum = 0;
  for (uint64_t i = 1; i <= items; ++i) sum += 1 / std::pow(static_cast<double>(i), theta);
  return sum;
}

// FNV-1a of the eight bytes of `value`.
uint64_t scramble(uint64_t value) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (int i = 0; i < 8; ++i, value >>= 8) hash = (hash ^ (value & 0xff)) * 0x100000001b3ull;
  return hash;
}

bool parse_number(std::string_view text, uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Zipfian::Zipfian(uint64_t items, double theta)
    : items_(items), theta_(theta), alpha_(1 / (1 - theta)), zetan_(zeta(items, theta)) {
  eta_ = (1 - std::pow(2.0 / static_cast<double>(items), 1 - theta)) /
         (1 - zeta(std::min<uint64_t>(items, 2), theta) / zetan_);
}

uint64_t Zipfian::rank(Random& random) const {
  const double u = random.unit();
  const double uz = u * zetan_;
  if (uz < 1 || items_ < 2) return 0;
  if (uz < 1 + std::pow(0.5, theta_) || items_ < 3) return 1;
  const double rank = static_cast<double>(items_) * std::pow(eta_ * u - eta_ + 1, alpha_);
  return std::min(static_cast<uint64_t>(rank), items_ - 1);
}

Result<KeyChoice> parse_key_choice(std::string_view word) {
  if (word == "uniform") return KeyChoice::kUniform;
  if (word == "zipfian") return KeyChoice::kZipfian;
  if (word == "latest") return KeyChoice::kLatest;
  return {Code::kInvalidArgument, "keys are chosen uniform, zipfian or latest"};
}

const char* action_name(Action action) {
  constexpr const char* kNames[kActions] = {"read", "update", "insert", "rmw"};
  return kNames[static_cast<size_t>(action)];
}

Result<Mix> parse_mix(std::string_view name) {
  for (const Mix& mix : kMixes) {
    if (name.size() == 1 && (name[0] & ~0x20) == mix.name) return mix;
  }
  return {Code::kInvalidArgument, "there are the mixes A, B, C, D and F"};
}

Result<ValueSizes> ValueSizes::parse(std::string_view text) {
  const Status bad{Code::kInvalidArgument,
                   "value sizes are BYTES, LOW-HIGH, or several of these as SIZE:WEIGHT,..."};
  ValueSizes sizes;
  while (true) {
    const size_t comma = text.find(',');
    std::string_view piece = text.substr(0, comma);
    Range range;
    if (const size_t colon = piece.find(':'); colon != std::string_view::npos) {
      if (!parse_number(piece.substr(colon + 1), range.weight) || range.weight == 0) return bad;
      piece = piece.substr(0, colon);
    }
    const size_t dash = piece.find('-');
    if (!parse_number(piece.substr(0, dash), range.low)) return bad;
    range.high = range.low;
    if (dash != std::string_view::npos && !parse_number(piece.substr(dash + 1), range.high)) {
      return bad;
    }
    if (range.high < range.low) return bad;
    sizes.weights_ += range.weight;
    sizes.ranges_.push_back(range);
    if (comma == std::string_view::npos) return sizes;
    text = text.substr(comma + 1);
  }
}

uint64_t ValueSizes::next(Random& random) const {
  if (ranges_.size() == 1 && ranges_[0].low == ranges_[0].high) return ranges_[0].low;
  uint64_t drawn = random.below(weights_);
  for (const Range& range : ranges_) {
    if (drawn < range.weight) return range.low + random.below(range.high - range.low + 1);
    drawn -= range.weight;
  }
  return ranges_.back().high;
}

uint64_t ValueSizes::largest() const {
  uint64_t largest = 0;
  for (const Range& range : ranges_) largest = std::max(largest, range.high);
  return largest;
}

Action Workload::next_action() {
  auto drawn = static_cast<uint32_t>(random_.below(100));
  for (size_t i = 0; i < kActions; ++i) {
    if (drawn < options_.mix.percent[i]) return static_cast<Action>(i);
    drawn -= options_.mix.percent[i];
  }
  return Action::kRead;
}

uint64_t Workload::next_item() {
  switch (options_.keys) {
    case KeyChoice::kUniform:
      return random_.below(options_.items + inserted_);
    case KeyChoice::kZipfian:
      return scramble(options_.zipfian->rank(random_)) % options_.items;
    case KeyChoice::kLatest:
      return options_.items + inserted_ - 1 - options_.zipfian->rank(random_);
  }
  return 0;
}

Workload::Step Workload::next() {
  const Action action = next_action();
  if (action == Action::kInsert) return {action, options_.items + inserted_++};
  return {action, next_item()};
}

void write_key(char* to, uint64_t items, uint32_t thread, uint64_t item) {
  const bool shared = item < items;
  if (!shared) item -= items;
  size_t at = kKeyBytes;
  for (; at > 4; item /= 10) to[--at] = static_cast<char>('0' + item % 10);
  std::memcpy(to, "user", 4);
  if (shared) return;
  to[0] = 'n';
  for (; at > 1; thread /= 10) to[--at] = static_cast<char>('0' + thread % 10);
}

}  // namespace rdmakv
