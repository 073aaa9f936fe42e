#include "proxy/help.h"

#include <string>

namespace rdmakv::proxy {

void finish_help(Request& request, std::string_view command,
                 std::initializer_list<std::string_view> lines) {
  resp::ReplyWriter reply = request.reply();
  reply.array(lines.size() + 3);
  reply.simple_string(std::string(command) +
                      " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const std::string_view line : lines) reply.simple_string(line);
  reply.simple_string("HELP");
  reply.simple_string("    Prints this help.");
  request.finish();
}

void finish_wrong_usage(Request& request, std::string_view command, std::string_view subcommand) {
  request.text = "ERR unknown subcommand or wrong number of arguments for '";
  request.text.append(subcommand.substr(0, 128)).append("'. Try ").append(command).append(" HELP.");
  request.finish_error(request.text);
}

}  // namespace rdmakv::proxy
