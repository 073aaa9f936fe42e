// CONFIG and its subcommands.
#include <utility>
#include <vector>

#include "proxy/commands.h"
#include "proxy/config.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/gather.h"
#include "proxy/help.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {

void config_get(Request& request, Arguments arguments) {
  const std::vector<std::string_view> patterns(arguments.begin() + 2, arguments.end());
  const auto found = get_config(request.worker().proxy(), patterns);
  resp::ReplyWriter reply = request.reply();
  reply.map(found.size());
  for (const auto& [name, value] : found) {
    reply.bulk(name);
    reply.bulk(value);
  }
  request.finish();
}

void config_set(Request& request, Arguments arguments) {
  if (arguments.size() % 2 != 0) return request.finish_error(kSyntaxError);
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  for (size_t i = 2; i < arguments.size(); i += 2) {
    pairs.emplace_back(arguments[i], arguments[i + 1]);
  }
  const std::string problem = set_config(request.worker().proxy(), pairs);
  if (!problem.empty()) return request.finish_error(problem);
  gather(
      request,
      [](Worker& worker) {
        worker.refresh_users();
        worker.apply_settings();
        return GatherPart{};
      },
      [](Request& done, const GatherPart&) { done.reply().ok(); });
}

// Each worker clears its own counters.
void config_resetstat(Request& request, Arguments) {
  gather(
      request,
      [](Worker& worker) {
        worker.reset_stats();
        return GatherPart{};
      },
      [](Request& done, const GatherPart&) { done.reply().ok(); });
}

void config_rewrite(Request& request, Arguments) {
  const std::string problem = rewrite_config(request.worker().proxy());
  problem.empty() ? request.finish_ok() : request.finish_error(problem);
}

void config_help(Request& request, Arguments) {
  finish_help(
      request, "CONFIG",
      {"GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values.",
       "SET <directive> <value>", "    Set the configuration <directive> to <value>.", "RESETSTAT",
       "    Reset statistics reported by the INFO command.", "REWRITE",
       "    Rewrite the configuration file."});
}

}  // namespace rdmakv::proxy::commands
