#include "rdmakv/client/client_counters.h"

#include <algorithm>
#include <numeric>

namespace rdmakv {
namespace {

struct Field {
  const char* name;
  uint64_t* value;
};
using Fields = std::array<Field, kCounterNames>;

Fields fields_of(ClientCounters& c) {
  EndpointCounters& v = c.verbs;
  const Field plain[] = {
      {"operations", &c.operations},
      {"errors", &c.errors},
      {"connects", &c.connects},
      {"disconnects", &c.disconnects},
      {"requests", &c.requests},
      {"messages", &c.messages},
      {"round_trips", &c.round_trips},
      {"sends", &v.sends},
      {"writes", &v.writes},
      {"reads", &v.reads},
      {"atomics", &v.atomics},
      {"doorbells", &v.doorbells},
      {"completions", &v.completions},
      {"messages_received", &v.messages},
      {"wakeups", &v.wakeups},
      {"get_cached", &c.direct.cached},
      {"get_forwarded", &c.direct.forwarded},
      {"get_indexed", &c.direct.indexed},
      {"get_not_found", &c.direct.not_found},
      {"entry_reads", &c.direct.entry_reads},
      {"bucket_reads", &c.direct.bucket_reads},
      {"direct_round_trips", &c.direct.round_trips},
      {"quarantines", &c.quarantines},
      {"quarantined", &c.quarantined},
      {"cas_won", &c.cas.swaps_won},
      {"cas_lost", &c.cas.swaps_lost},
      {"cas_requests", &c.cas.requests},
      {"cas_contended", &c.cas.contended},
      {"locations_known", &c.locations_known},
      {"locations_unknown", &c.locations_unknown},
      {"locations_evicted", &c.locations_evicted},
  };
  constexpr size_t kPlain = sizeof(plain) / sizeof(plain[0]);
  static_assert(kPlain + kDetours == kCounterNames);
  // Every counter there is: all of them are 64 bits wide, and nothing else is in there.
  static_assert(sizeof(ClientCounters) == kCounterNames * sizeof(uint64_t));
  Fields fields{};
  std::copy(std::begin(plain), std::end(plain), fields.begin());
  for (size_t i = 0; i < kDetours; ++i) {
    fields[kPlain + i] = {detour_name(static_cast<Detour>(i)), &c.direct.detours[i]};
  }
  return fields;
}

constexpr size_t kFirstDetour = kCounterNames - kDetours;

}  // namespace

NamedCounters named_counters(const ClientCounters& counters) {
  ClientCounters copy = counters;
  const Fields fields = fields_of(copy);
  NamedCounters named;
  for (size_t i = 0; i < fields.size(); ++i) {
    named[i] = {(i < kFirstDetour ? "" : "detour_") + std::string(fields[i].name),
                *fields[i].value};
  }
  return named;
}

ClientCounters& operator+=(ClientCounters& to, const ClientCounters& more) {
  ClientCounters copy = more;
  const Fields from = fields_of(copy);
  const Fields into = fields_of(to);
  for (size_t i = 0; i < into.size(); ++i) *into[i].value += *from[i].value;
  return to;
}

ClientCounters operator-(const ClientCounters& after, const ClientCounters& before) {
  ClientCounters result = after;
  ClientCounters copy = before;
  const Fields from = fields_of(copy);
  const Fields into = fields_of(result);
  for (size_t i = 0; i < into.size(); ++i) *into[i].value -= *from[i].value;
  return result;
}

uint64_t detours(const DirectCounters& direct) {
  return std::accumulate(std::begin(direct.detours), std::end(direct.detours), uint64_t{0});
}

CostPerOperation per_operation(const ClientCounters& counters) {
  if (counters.operations == 0) return {};
  const auto each = [&](uint64_t count) {
    return static_cast<double>(count) / static_cast<double>(counters.operations);
  };
  return {each(work_requests(counters.verbs)), each(counters.verbs.doorbells),
          each(counters.verbs.completions), each(counters.round_trips)};
}

}  // namespace rdmakv
