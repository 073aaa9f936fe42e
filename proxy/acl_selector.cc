#include "proxy/acl_selector.h"

#include <algorithm>
#include <cctype>

#include "proxy/glob.h"

namespace rdmakv::proxy {
namespace {

std::string pattern_text(uint32_t access, const std::string& glob) {
  if (access == (kReadsKey | kWritesKey)) return "~" + glob;
  return (access == kReadsKey ? "%R~" : "%W~") + glob;
}

}  // namespace

std::string_view acl_rule_error_text(AclRuleError error) {
  switch (error) {
    case AclRuleError::kUnknownCommand:
      return "Unknown command or category name in ACL";
    case AclRuleError::kPatternAfterAllKeys:
      return "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does "
             "not have any effect. Try 'resetkeys' to start with an empty list of patterns";
    case AclRuleError::kPatternAfterAllChannels:
      return "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and "
             "does not have any effect. Try 'resetchannels' to start with an empty list of "
             "channels";
    case AclRuleError::kNoSuchPassword:
      return "The password you are trying to remove from the user does not exist";
    case AclRuleError::kBadHash:
      return "The password hash must be exactly 64 characters and contain only lowercase "
             "hexadecimal characters";
    case AclRuleError::kFirstArgumentOfSubcommand:
      return "Allowing first-arg of a subcommand is not supported";
    case AclRuleError::kNone:
    case AclRuleError::kSyntax:
      break;
  }
  return "Syntax error";
}

bool has_blanks(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return c == '\0' || std::isspace(static_cast<unsigned char>(c)) != 0;
  });
}

AclSelector::AclSelector(const CommandTable& table)
    : table_(&table), allowed_(table.rows().size(), false) {}

// ---- rules -------------------------------------------------------------------------------------

AclRuleError AclSelector::apply(std::string_view rule) {
  const auto is = [rule](std::string_view name) { return equals_ignoring_case(rule, name); };
  if (is("allkeys") || is("~*")) {
    all_keys_ = true;
    keys_.clear();
  } else if (is("resetkeys")) {
    all_keys_ = false;
    keys_.clear();
  } else if (is("allchannels") || is("&*")) {
    all_channels_ = true;
    channels_.clear();
  } else if (is("resetchannels")) {
    all_channels_ = false;
    channels_.clear();
  } else if (is("allcommands") || is("+@all")) {
    set_all_commands(true);
  } else if (is("nocommands") || is("-@all")) {
    set_all_commands(false);
  } else if (rule.starts_with('~') || rule.starts_with('%')) {
    return add_key_pattern(rule);
  } else if (rule.starts_with('&')) {
    return add_channel(rule.substr(1));
  } else if (rule.starts_with("+@") || rule.starts_with("-@")) {
    const uint32_t category = acl::category(rule.substr(2));
    if (category == 0) return AclRuleError::kUnknownCommand;
    set_category(category, rule.front() == '+');
  } else if (rule.starts_with('+')) {
    return allow_command(rule.substr(1));
  } else if (rule.starts_with('-')) {
    const Command* command = table_->find_original(rule.substr(1));
    if (command == nullptr) return AclRuleError::kUnknownCommand;
    set_command(*command, false);
  } else {
    return AclRuleError::kSyntax;
  }
  return AclRuleError::kNone;
}

// "~glob", "%R~glob", "%W~glob", "%RW~glob".
AclRuleError AclSelector::add_key_pattern(std::string_view rule) {
  if (all_keys_) return AclRuleError::kPatternAfterAllKeys;
  uint32_t access = 0;
  if (rule.front() == '~') {
    access = kReadsKey | kWritesKey;
    rule.remove_prefix(1);
  } else {
    rule.remove_prefix(1);
    while (!rule.empty() && rule.front() != '~') {
      const char letter = static_cast<char>(std::toupper(static_cast<unsigned char>(rule.front())));
      const uint32_t bit = letter == 'R' ? kReadsKey : letter == 'W' ? kWritesKey : 0u;
      if (bit == 0 || (access & bit) != 0) return AclRuleError::kSyntax;
      access |= bit;
      rule.remove_prefix(1);
    }
    if (access == 0) return AclRuleError::kSyntax;
    if (!rule.empty()) rule.remove_prefix(1);
  }
  if (has_blanks(rule)) return AclRuleError::kSyntax;
  for (KeyPattern& pattern : keys_) {
    if (pattern.glob != rule) continue;
    pattern.access |= access;
    return AclRuleError::kNone;
  }
  keys_.push_back({access, std::string(rule)});
  return AclRuleError::kNone;
}

AclRuleError AclSelector::add_channel(std::string_view glob) {
  if (all_channels_) return AclRuleError::kPatternAfterAllChannels;
  if (has_blanks(glob)) return AclRuleError::kSyntax;
  if (std::find(channels_.begin(), channels_.end(), glob) == channels_.end()) {
    channels_.emplace_back(glob);
  }
  return AclRuleError::kNone;
}

// "get", "config|get", or "select|0": a command that is allowed with that first argument only.
AclRuleError AclSelector::allow_command(std::string_view name) {
  const size_t bar = name.rfind('|');
  const Command* command = table_->find_original(name);
  if (bar == std::string_view::npos) {
    if (command == nullptr) return AclRuleError::kUnknownCommand;
    set_command(*command, true);
    return AclRuleError::kNone;
  }
  const Command* parent = table_->find_original(name.substr(0, bar));
  const std::string_view argument = name.substr(bar + 1);
  if (parent == nullptr) return AclRuleError::kUnknownCommand;
  if (parent->parent != nullptr) return AclRuleError::kFirstArgumentOfSubcommand;
  if (argument.empty()) return AclRuleError::kSyntax;
  if (!parent->subcommands.empty()) {
    if (command == nullptr) return AclRuleError::kUnknownCommand;
    set_command(*command, true);
    return AclRuleError::kNone;
  }
  std::vector<std::string>& known = first_arguments_[parent->index];
  const auto same = [argument](const std::string& other) {
    return equals_ignoring_case(other, argument);
  };
  if (std::none_of(known.begin(), known.end(), same)) known.emplace_back(argument);
  return AclRuleError::kNone;
}

void AclSelector::set_all_commands(bool allowed) {
  allowed_.assign(allowed_.size(), allowed);
  all_commands_ = future_commands_ = allowed;
  first_arguments_.clear();
}

void AclSelector::set_command(const Command& command, bool allowed) {
  allowed_[command.index] = allowed;
  if (!allowed) all_commands_ = false;
  first_arguments_.erase(command.index);
  for (const Command* subcommand : command.subcommands) set_command(*subcommand, allowed);
}

void AclSelector::set_category(uint32_t category, bool allowed) {
  for (const Command& row : table_->rows()) {
    if ((row.categories & category) != 0) set_command(row, allowed);
  }
}

// ---- checks ------------------------------------------------------------------------------------

bool AclSelector::allows_command(const Command& command, Arguments arguments) const {
  if (all_commands_ || (command.flags & kNoAuth) != 0 || allowed_[command.index]) return true;
  const auto found = first_arguments_.find(command.index);
  if (found == first_arguments_.end() || arguments.size() < 2) return false;
  return std::any_of(found->second.begin(), found->second.end(), [&](const std::string& first) {
    return equals_ignoring_case(first, arguments[1]);
  });
}

bool AclSelector::allows_key(std::string_view key, uint32_t access) const {
  return std::any_of(keys_.begin(), keys_.end(), [&](const KeyPattern& pattern) {
    return (pattern.access & access) == access && glob_matches(pattern.glob, key, false);
  });
}

AclVerdict AclSelector::check(const Command& command, Arguments arguments) const {
  if (!allows_command(command, arguments)) return {AclVerdict::kCommandDenied, 0};
  if (all_keys_ || command.first_key == 0) return {};
  for (const size_t position : key_positions(command, arguments)) {
    const uint32_t access = key_access(command, arguments, position);
    if (!allows_key(arguments[position], access)) return {AclVerdict::kKeyDenied, position};
  }
  return {};
}

// ---- descriptions ------------------------------------------------------------------------------

std::string AclSelector::describe_keys() const {
  if (all_keys_) return "~*";
  std::string text;
  for (const KeyPattern& pattern : keys_) {
    if (!text.empty()) text += ' ';
    text += pattern_text(pattern.access, pattern.glob);
  }
  return text;
}

std::string AclSelector::describe_channels() const {
  if (all_channels_) return "&*";
  std::string text;
  for (const std::string& glob : channels_) {
    if (!text.empty()) text += ' ';
    text.append("&").append(glob);
  }
  return text;
}

std::string AclSelector::describe() const {
  std::string text = describe_keys();
  if (!text.empty()) text += ' ';
  if (!all_channels_) text += "resetchannels ";
  const std::string channels = describe_channels();
  if (!channels.empty()) text.append(channels).append(" ");
  return text + describe_commands();
}

void AclSelector::count_category(uint32_t category, size_t& on, size_t& off) const {
  on = off = 0;
  for (const Command& row : table_->rows()) {
    if ((row.categories & category) != 0) ++(allowed_[row.index] ? on : off);
  }
}

// Beginning with all or nothing, whole categories come first, each time the one that is the most
// alike; then single commands for what still differs. As Redis does it, so the texts are alike.
std::string AclSelector::describe_commands() const {
  const bool additive = !future_commands_;
  std::string rules = additive ? "-@all" : "+@all";
  AclSelector described(*table_);
  described.set_all_commands(!additive);
  AclSelector left = *this;
  uint32_t applied = 0;
  for (;;) {
    const acl::NamedCategory* best = nullptr;
    size_t fewest_different = SIZE_MAX, most_same = 0;
    for (const acl::NamedCategory& category : acl::categories()) {
      if ((applied & category.bit) != 0) continue;
      size_t on = 0, off = 0;
      left.count_category(category.bit, on, off);
      const size_t different = additive ? off : on, same = additive ? on : off;
      if (same > different &&
          (different < fewest_different || (different == fewest_different && same > most_same))) {
        best = &category;
        fewest_different = different;
        most_same = same;
      }
    }
    if (best == nullptr) break;
    described.set_category(best->bit, additive);
    left.set_category(best->bit, !additive);
    rules.append(additive ? " +@" : " -@").append(best->name);
    applied |= best->bit;
  }
  describe_differences(described, rules);
  return rules;
}

void AclSelector::describe_differences(AclSelector& described, std::string& rules) const {
  const auto describe_one = [&](const Command& row) {
    const bool wanted = allowed_[row.index];
    if (wanted != described.allowed_[row.index]) {
      rules.append(wanted ? " +" : " -").append(row.name);
      described.set_command(row, wanted);
    }
  };
  for (const Command& row : table_->rows()) {
    if (row.parent != nullptr) continue;
    describe_one(row);
    for (const Command* subcommand : row.subcommands) describe_one(*subcommand);
    const auto first = first_arguments_.find(row.index);
    if (allowed_[row.index] || first == first_arguments_.end()) continue;
    for (const std::string& argument : first->second) {
      rules.append(" +").append(row.name).append("|").append(argument);
    }
  }
}

}  // namespace rdmakv::proxy
