#include "protocol/rules.h"

#ifdef RDMAKV_BREAKABLE_RULES

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace rdmakv {
namespace {

constexpr std::string_view kNames[] = {
    "quarantine",  "dead-before-reply", "generation",   "checksum", "write-before-swap",
    "atomic-only", "reconcile",         "quiet-gate",   "epoch",    "expiry",
    "no-repeat",   "pointer-age",       "prompt-slot",  "repeats",  "key-order",
    "one-step",    "expire-replaces",   "flip-to-tail", "marks",    "distrust",
};

int broken_rule() {
  const char* name = std::getenv("RDMAKV_BREAK_RULE");
  if (name == nullptr || *name == '\0') return -1;
  for (int i = 0; i < static_cast<int>(std::size(kNames)); ++i) {
    if (kNames[i] == name) return i;
  }
  std::fprintf(stderr, "RDMAKV_BREAK_RULE: there is no rule %s\n", name);
  std::abort();
}

}  // namespace

bool holds(Rule rule) {
  static const int kBroken = broken_rule();
  return kBroken != static_cast<int>(rule);
}

}  // namespace rdmakv

#endif
