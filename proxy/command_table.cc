#include "proxy/command_table.h"

#include "protocol/resp_parser.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <iterator>

namespace rdmakv::proxy {
namespace {

constexpr size_t kBuckets = 1024;  // at most a quarter full, so that probes are short

inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

// Of the length and the first and last eight bytes, whose bit 0x20 is set: so letters of either
// case are alike, and what else becomes alike only shares a bucket.
uint64_t CommandTable::hash(std::string_view name) {
  constexpr uint64_t kCase = 0x2020202020202020ull;
  uint64_t first = 0;
  uint64_t last = 0;
  if (name.size() >= sizeof(first)) {
    std::memcpy(&first, name.data(), sizeof(first));
    std::memcpy(&last, name.data() + name.size() - sizeof(last), sizeof(last));
  } else {
    for (size_t i = 0; i < name.size(); ++i) first = first << 8 | static_cast<uint8_t>(name[i]);
  }
  const uint64_t mixed =
      ((first | kCase) ^ ((last | kCase) << 1) ^ name.size()) * 0x9e3779b97f4a7c15ull;
  return mixed >> 40;
}

namespace {

std::vector<Command> all_rows() {
  std::vector<Command> rows;
  for (const std::vector<Command>& group :
       {string_command_rows(), bitmap_command_rows(), key_command_rows(), version_command_rows(),
        connection_command_rows(), server_command_rows()}) {
    rows.insert(rows.end(), group.begin(), group.end());
  }
  return rows;
}

}  // namespace

namespace acl {
namespace {

constexpr NamedCategory kCategories[] = {
    {kKeyspace, "keyspace"},
    {kRead, "read"},
    {kWrite, "write"},
    {kSet, "set"},
    {kSortedSet, "sortedset"},
    {kList, "list"},
    {kHash, "hash"},
    {kString, "string"},
    {kBitmap, "bitmap"},
    {kHyperloglog, "hyperloglog"},
    {kGeo, "geo"},
    {kStream, "stream"},
    {kPubsub, "pubsub"},
    {kAdmin, "admin"},
    {kFast, "fast"},
    {kSlow, "slow"},
    {kBlocking, "blocking"},
    {kDangerous, "dangerous"},
    {kConnection, "connection"},
    {kTransaction, "transaction"},
    {kScripting, "scripting"},
};

}  // namespace

std::span<const NamedCategory> categories() {
  return kCategories;
}

uint32_t category(std::string_view name) {
  for (const NamedCategory& one : kCategories) {
    if (equals_ignoring_case(one.name, name)) return one.bit;
  }
  return 0;
}

}  // namespace acl

const CommandTable& CommandTable::instance() {
  static const CommandTable table(Renames{});
  return table;
}

CommandTable::CommandTable(const Renames& renames)
    : renames_(renames), rows_(all_rows()), buckets_(kBuckets, 0) {
  assert(rows_.size() * 4 <= kBuckets);
  for (Command& row : rows_) {
    row.called = row.name;
    row.flags |= kEveryCommand;
  }
  for (const auto& [name, called] : renames_) rename(name, called);
  for (size_t i = 0; i < rows_.size(); ++i) {
    rows_[i].index = static_cast<uint32_t>(i);
    if (rows_[i].called.empty()) continue;
    size_t at = hash(rows_[i].called) % kBuckets;
    while (buckets_[at] != 0) at = (at + 1) % kBuckets;
    buckets_[at] = static_cast<uint16_t>(i + 1);
  }
  for (Command& row : rows_) {
    const size_t bar = row.name.find('|');
    if (bar == std::string_view::npos) {
      if (!row.called.empty()) ++top_level_count_;
      continue;
    }
    const Command* parent = find_original(row.name.substr(0, bar));
    assert(parent != nullptr);
    row.parent = parent;
    rows_[parent->index].subcommands.push_back(&row);
  }
}

// The subcommands of a disabled command go with it.
void CommandTable::rename(std::string_view name, std::string_view called) {
  const std::string prefix = std::string(name) + "|";
  for (Command& row : rows_) {
    if (equals_ignoring_case(row.called, name)) row.called = called;
    if (called.empty() && equals_ignoring_case(row.called.substr(0, prefix.size()), prefix)) {
      row.called = {};
    }
  }
}

std::string CommandTable::check_renames(const Renames& renames) {
  std::vector<std::string> names;
  for (const Command& row : instance().rows()) names.emplace_back(row.name);
  const auto same_as = [](std::string_view name) {
    return [name](const std::string& other) { return equals_ignoring_case(name, other); };
  };
  for (const auto& [from, to] : renames) {
    const auto found = std::find_if(names.begin(), names.end(), same_as(from));
    if (found == names.end() || from.find('|') != std::string::npos) {
      return "rename-command: there is no command '" + from + "'";
    }
    if (!to.empty() && std::any_of(names.begin(), names.end(), same_as(to))) {
      return "rename-command: there is a command '" + to + "' already";
    }
    if (to.find('|') != std::string::npos) return "rename-command: '" + to + "' has a '|'";
    *found = to;
  }
  return {};
}

const Command* CommandTable::find(std::string_view name) const {
  for (size_t at = hash(name) % kBuckets; buckets_[at] != 0; at = (at + 1) % kBuckets) {
    const Command& row = rows_[buckets_[at] - 1];
    if (equals_ignoring_case(row.called, name)) return &row;
  }
  return nullptr;
}

const Command* CommandTable::find_original(std::string_view name) const {
  for (const Command& row : rows_) {
    if (equals_ignoring_case(row.name, name)) return &row;
  }
  return nullptr;
}

const Command* CommandTable::resolve(Arguments arguments, const Command** container) const {
  if (container != nullptr) *container = nullptr;
  const Command* command = find(arguments[0]);
  // A subcommand is not called by its full name.
  if (command == nullptr || command->parent != nullptr) return nullptr;
  if (command->subcommands.empty() || arguments.size() == 1) return command;
  for (const Command* subcommand : command->subcommands) {
    if (equals_ignoring_case(subcommand->own_name(), arguments[1])) return subcommand;
  }
  if (container != nullptr) *container = command;
  return nullptr;
}

std::string_view key_flags(const Command& command, Arguments arguments, size_t key) {
  const auto has = [arguments](std::initializer_list<std::string_view> options, size_t from) {
    return std::any_of(arguments.begin() + static_cast<ptrdiff_t>(std::min(from, arguments.size())),
                       arguments.end(), [options](std::string_view argument) {
                         return std::any_of(options.begin(), options.end(), [&](auto option) {
                           return equals_ignoring_case(argument, option);
                         });
                       });
  };
  if (command.key_flags.find("variable_flags") == std::string_view::npos) {
    std::string_view flags = command.key_flags;
    for (size_t at = static_cast<size_t>(command.first_key); at < key;
         at += static_cast<size_t>(command.key_step)) {
      const size_t bar = flags.find('|');
      if (bar == std::string_view::npos) break;
      flags.remove_prefix(bar + 1);
    }
    return flags.substr(0, flags.find('|'));
  }
  if (command.name == "set") return has({"get"}, 3) ? "RW access update" : "OW update";
  if (command.name == "bitfield")
    return has({"set", "incrby"}, 2) ? "RW access update" : "RO access";
  return command.key_flags;
}

uint32_t key_access(const Command& command, Arguments arguments, size_t key) {
  const std::string_view flags = key_flags(command, arguments, key);
  const auto has = [flags](std::string_view flag) {
    return flags.find(flag) != std::string_view::npos;
  };
  return (has("access") ? kReadsKey : 0u) |
         (has("insert") || has("delete") || has("update") ? kWritesKey : 0u);
}

std::vector<size_t> key_positions(const Command& command, Arguments arguments) {
  std::vector<size_t> positions;
  if (command.first_key == 0) return positions;
  const auto count = static_cast<int64_t>(arguments.size());
  int64_t last = command.last_key >= 0 ? command.last_key : count + command.last_key;
  if (command.count_argument != 0) {
    const int64_t keys = resp::parse_integer(arguments[command.count_argument]).value_or(0);
    if (keys < 1 || keys > count) return positions;
    last = command.first_key + (keys - 1) * command.key_step;
  }
  for (int64_t at = command.first_key; at <= last && at < count; at += command.key_step) {
    positions.push_back(static_cast<size_t>(at));
  }
  return positions;
}

}  // namespace rdmakv::proxy
