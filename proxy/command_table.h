// The one table of commands: everything known about a command is in its row, and COMMAND, COMMAND
// INFO, DOCS, LIST and GETKEYS, arity checks, barriers and the statistics all come from there.
// Immutable after start; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rdmakv::proxy {

class Request;
using Arguments = std::span<const std::string_view>;  // the command's name is the first
// Executes a command: writes its reply and finishes the request, at once or after operations.
// The arguments are gone when it returns.
using Handler = void (*)(Request& request, Arguments arguments);

// Command::flags, in the order in which Redis lists them.
enum CommandFlag : uint32_t {
  kWrite = 1u << 0,
  kReadonly = 1u << 1,
  kDenyoom = 1u << 2,
  kAdmin = 1u << 3,
  kPubsub = 1u << 4,
  kNoscript = 1u << 5,
  kBlocking = 1u << 6,
  kLoading = 1u << 7,
  kStale = 1u << 8,
  kSkipMonitor = 1u << 9,
  kSkipSlowlog = 1u << 10,
  kAsking = 1u << 11,
  kFast = 1u << 12,
  kNoAuth = 1u << 13,
  kNoMandatoryKeys = 1u << 14,
  kNoAsyncLoading = 1u << 15,
  kNoMulti = 1u << 16,
  kMovableKeys = 1u << 17,
  kAllowBusy = 1u << 18,
  // Not Redis's: runs when all earlier commands of its connection are done, and before any later
  // one.
  kRunsAlone = 1u << 31,
  // Not Redis's, and every command has it: so CLIENT PAUSE can be one test of the flags.
  kEveryCommand = 1u << 30,
};

// ACL categories, in the order in which Redis lists them.
namespace acl {
enum Category : uint32_t {
  kKeyspace = 1u << 0,
  kRead = 1u << 1,
  kWrite = 1u << 2,
  kSet = 1u << 3,
  kSortedSet = 1u << 4,
  kList = 1u << 5,
  kHash = 1u << 6,
  kString = 1u << 7,
  kBitmap = 1u << 8,
  kHyperloglog = 1u << 9,
  kGeo = 1u << 10,
  kStream = 1u << 11,
  kPubsub = 1u << 12,
  kAdmin = 1u << 13,
  kFast = 1u << 14,
  kSlow = 1u << 15,
  kBlocking = 1u << 16,
  kDangerous = 1u << 17,
  kConnection = 1u << 18,
  kTransaction = 1u << 19,
  kScripting = 1u << 20,
};

struct NamedCategory {
  uint32_t bit;
  std::string_view name;  // without the @
};
// All of them.
std::span<const NamedCategory> categories();
// 0: there is none of that name, in any case.
uint32_t category(std::string_view name);
}  // namespace acl

struct Command {
  std::string_view name = {};  // lower case; "client|id" for a subcommand
  int arity = 0;               // arguments, the name included; negative: at least so many
  uint32_t flags = 0;
  int first_key = 0, last_key = 0, key_step = 0;  // negative last_key: counted from the end
  // Which argument says how many keys there are; 0: none does, they go on to last_key.
  uint32_t count_argument = 0;
  uint32_t categories = 0;
  // Which argument is the value to be stored, so that a large one can go straight from the socket
  // into registered memory; 0: none. The key is then argument 1.
  uint32_t value_argument = 0;
  std::string_view tips = {};  // separated by commas
  // Of the key specification, separated by spaces. Where keys differ, several, separated by bars:
  // each of one key, the last one of all the others.
  std::string_view key_flags = {};
  std::string_view key_notes = {};
  std::string_view summary = {}, since = {}, group = {}, complexity = {};
  Handler handler = nullptr;  // null: a container of subcommands only

  // Filled in by the table:
  uint32_t index = 0;                            // its row
  std::string_view called = {};                  // what clients call it; empty: nothing (renamed)
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

// rename-command: a command and what clients call it from now on; empty: nothing, it is disabled.
using Renames = std::vector<std::pair<std::string, std::string>>;

class CommandTable {
 public:
  // The commands of this proxy, under their own names.
  static const CommandTable& instance();
  // `renames` as check_renames() accepts them.
  explicit CommandTable(const Renames& renames);
  CommandTable(const CommandTable&) = delete;
  CommandTable& operator=(const CommandTable&) = delete;

  // What is wrong with `renames`; empty: nothing.
  static std::string check_renames(const Renames& renames);

  // By what clients call it ("client|id" for a subcommand), in any case; null if there is none.
  const Command* find(std::string_view name) const;
  // By its own name, however clients call it: for ACL rules. Slow.
  const Command* find_original(std::string_view name) const;
  // The command that `arguments` call: the subcommand where there are such. Null: unknown, and then
  // `container` (if asked for) is the command whose subcommand it was to be, or null.
  const Command* resolve(Arguments arguments, const Command** container = nullptr) const;

  std::span<const Command> rows() const { return rows_; }
  size_t top_level_count() const { return top_level_count_; }

 private:
  static uint64_t hash(std::string_view name);
  void rename(std::string_view name, std::string_view called);

  const Renames renames_;
  std::vector<Command> rows_;
  std::vector<uint16_t> buckets_;  // open addressing; row + 1
  size_t top_level_count_ = 0;
};

// The rows: command_rows_GROUP.cc has those of a group, in the order of redis-compat.md.
std::vector<Command> string_command_rows();
std::vector<Command> bitmap_command_rows();
std::vector<Command> key_command_rows();
std::vector<Command> version_command_rows();
std::vector<Command> connection_command_rows();
std::vector<Command> server_command_rows();

// What a command does to its keys, as ACL key patterns tell reading from writing; a mix of both is
// possible, and neither (EXISTS).
enum KeyAccess : uint32_t { kReadsKey = 1, kWritesKey = 2 };
// The flags of the key that is argument `key`, which for some commands depend on the options.
std::string_view key_flags(const Command& command, Arguments arguments, size_t key);
uint32_t key_access(const Command& command, Arguments arguments, size_t key);

// Indices into `arguments` of the keys of `command`; none where their number is none.
std::vector<size_t> key_positions(const Command& command, Arguments arguments);

// Equal but for the case of ASCII letters, as strcasecmp has it.
bool equals_ignoring_case(std::string_view a, std::string_view b);

// What Redis's error texts, which are made with C's formats, show of an argument.
inline std::string_view until_nul(std::string_view argument) {
  return argument.substr(0, argument.find('\0'));
}

}  // namespace rdmakv::proxy
