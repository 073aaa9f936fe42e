#include "proxy/command_table.h"

#include <algorithm>
#include <cassert>

namespace rdmakv::proxy {
namespace {

constexpr size_t kBuckets = 512;  // at most a quarter full, so that probes are short

inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

const CommandTable& CommandTable::instance() {
  static const CommandTable table(command_rows());
  return table;
}

// FNV-1a of the name in lower case.
uint64_t CommandTable::hash(std::string_view name) {
  uint64_t value = 0xcbf29ce484222325ull;
  for (const char c : name) value = (value ^ static_cast<uint8_t>(lower(c))) * 0x100000001b3ull;
  return value ^ (value >> 32);
}

CommandTable::CommandTable(std::vector<Command> rows)
    : rows_(std::move(rows)), buckets_(kBuckets, 0) {
  assert(rows_.size() * 4 <= kBuckets);
  for (size_t i = 0; i < rows_.size(); ++i) {
    rows_[i].index = static_cast<uint32_t>(i);
    size_t at = hash(rows_[i].name) % kBuckets;
    while (buckets_[at] != 0) at = (at + 1) % kBuckets;
    buckets_[at] = static_cast<uint16_t>(i + 1);
  }
  for (Command& row : rows_) {
    const size_t bar = row.name.find('|');
    if (bar == std::string_view::npos) {
      ++top_level_count_;
      continue;
    }
    const Command* parent = find(row.name.substr(0, bar));
    assert(parent != nullptr);
    row.parent = parent;
    rows_[parent->index].subcommands.push_back(&row);
  }
}

const Command* CommandTable::find(std::string_view name) const {
  for (size_t at = hash(name) % kBuckets; buckets_[at] != 0; at = (at + 1) % kBuckets) {
    const Command& row = rows_[buckets_[at] - 1];
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

std::vector<size_t> key_positions(const Command& command, size_t arguments) {
  std::vector<size_t> positions;
  if (command.first_key == 0) return positions;
  const int last =
      command.last_key >= 0 ? command.last_key : static_cast<int>(arguments) + command.last_key;
  for (int at = command.first_key; at <= last && at < static_cast<int>(arguments);
       at += command.key_step) {
    positions.push_back(static_cast<size_t>(at));
  }
  return positions;
}

}  // namespace rdmakv::proxy
