// The one table of commands: everything known about a command is in its row, and COMMAND, COMMAND
// INFO, DOCS, LIST and GETKEYS, arity checks, barriers and the statistics all come from there.
// Immutable after start; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rdmakv::proxy {

class Request;
using Arguments = std::span<const std::string_view>;  // the command's name is the first
// Executes a command: writes its reply and finishes the request, at once or after operations.
// The arguments are gone when it returns.
using Handler = void (*)(Request& request, Arguments arguments);

// Command::flags, in the order in which Redis lists them.
enum CommandFlag : uint32_t {
  kWrite = 1,
  kReadonly = 2,
  kDenyoom = 4,
  kAdmin = 8,
  kNoscript = 16,
  kLoading = 32,
  kStale = 64,
  kFast = 128,
  kNoAuth = 256,
  kAllowBusy = 512,
  // Not Redis's: runs when all earlier commands of its connection are done, and before any later
  // one.
  kRunsAlone = 1u << 31,
};

// ACL categories, in the order in which Redis lists them.
namespace acl {
enum Category : uint32_t {
  kKeyspace = 1,
  kRead = 2,
  kWrite = 4,
  kString = 8,
  kAdmin = 16,
  kFast = 32,
  kSlow = 64,
  kDangerous = 128,
  kConnection = 256,
  kScripting = 512,
};
}  // namespace acl

struct Command {
  std::string_view name = {};  // lower case; "client|id" for a subcommand
  int arity = 0;               // arguments, the name included; negative: at least so many
  uint32_t flags = 0;
  int first_key = 0, last_key = 0, key_step = 0;  // negative last_key: counted from the end
  uint32_t categories = 0;
  // Which argument is the value to be stored, so that a large one can go straight from the socket
  // into registered memory; 0: none. The key is then argument 1.
  uint32_t value_argument = 0;
  std::string_view tips = {};       // separated by commas
  std::string_view key_flags = {};  // of the key specification, separated by spaces
  std::string_view key_notes = {};
  std::string_view summary = {}, since = {}, group = {}, complexity = {};
  Handler handler = nullptr;  // null: a container of subcommands only

  // Filled in by the table:
  uint32_t index = 0;                            // its row
  const Command* parent = nullptr;               // of a subcommand
  std::vector<const Command*> subcommands = {};  // not empty: a container

  std::string_view own_name() const {  // "id" of "client|id"
    const size_t bar = name.find('|');
    return bar == std::string_view::npos ? name : name.substr(bar + 1);
  }
  bool accepts(size_t arguments) const {
    return arity >= 0 ? arguments == static_cast<size_t>(arity)
                      : arguments >= static_cast<size_t>(-arity);
  }
};

class CommandTable {
 public:
  // The commands of this proxy.
  static const CommandTable& instance();
  explicit CommandTable(std::vector<Command> rows);

  // By full name ("client|id"), in any case; null if there is none.
  const Command* find(std::string_view name) const;
  // The command that `arguments` call: the subcommand where there are such. Null: unknown, and then
  // `container` (if asked for) is the command whose subcommand it was to be, or null.
  const Command* resolve(Arguments arguments, const Command** container = nullptr) const;

  std::span<const Command> rows() const { return rows_; }
  size_t top_level_count() const { return top_level_count_; }

 private:
  static uint64_t hash(std::string_view name);

  std::vector<Command> rows_;
  std::vector<uint16_t> buckets_;  // open addressing; row + 1
  size_t top_level_count_ = 0;
};

// The rows, command_rows.cc.
std::vector<Command> command_rows();

// Indices into `arguments` of the keys of `command`.
std::vector<size_t> key_positions(const Command& command, size_t arguments);

// Equal but for the case of ASCII letters, as strcasecmp has it.
bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace rdmakv::proxy
