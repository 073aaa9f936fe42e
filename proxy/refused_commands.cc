#include "proxy/refused_commands.h"

#include "proxy/command_table.h"

namespace rdmakv::proxy {
namespace {

constexpr std::string_view kNoMessages = "kv_proxy keeps keys and passes no messages on";
constexpr RefusedCommand kRefused[] = {
    {"psubscribe", kNoMessages},   {"publish", kNoMessages},      {"pubsub", kNoMessages},
    {"punsubscribe", kNoMessages}, {"spublish", kNoMessages},     {"ssubscribe", kNoMessages},
    {"subscribe", kNoMessages},    {"sunsubscribe", kNoMessages}, {"unsubscribe", kNoMessages},
};

}  // namespace

std::span<const RefusedCommand> refused_commands() {
  return kRefused;
}

const RefusedCommand* find_refused(std::string_view name) {
  for (const RefusedCommand& refused : kRefused) {
    if (equals_ignoring_case(refused.name, name)) return &refused;
  }
  return nullptr;
}

}  // namespace rdmakv::proxy
