// One set of ACL permissions: which commands on which keys and channels. A user has one, and any
// number of further ones in parentheses; a command is allowed when one of them allows all of it.
//
// Value type. Not thread-safe while it is changed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/command_table.h"

namespace rdmakv::proxy {

// What became of a rule; the texts are Redis's.
enum class AclRuleError : uint8_t {
  kNone,
  kSyntax,
  kUnknownCommand,
  kPatternAfterAllKeys,
  kPatternAfterAllChannels,
  kNoSuchPassword,
  kBadHash,
  kFirstArgumentOfSubcommand,
};
std::string_view acl_rule_error_text(AclRuleError error);

// Blanks or a NUL: not allowed in user names and patterns.
bool has_blanks(std::string_view text);

struct AclVerdict {
  enum Kind : uint8_t { kAllowed, kCommandDenied, kKeyDenied } kind = kAllowed;
  size_t argument = 0;  // the key that was denied
};

class AclSelector {
 public:
  explicit AclSelector(const CommandTable& table);  // allows nothing

  AclRuleError apply(std::string_view rule);
  AclVerdict check(const Command& command, Arguments arguments) const;
  // Allows everything.
  bool unrestricted() const { return all_commands_ && all_keys_; }

  // As rules that lead to the same permissions.
  std::string describe() const;
  std::string describe_commands() const;
  std::string describe_keys() const;
  std::string describe_channels() const;

 private:
  struct KeyPattern {
    uint32_t access;  // KeyAccess
    std::string glob;
  };

  AclRuleError add_key_pattern(std::string_view rule);
  AclRuleError add_channel(std::string_view glob);
  AclRuleError allow_command(std::string_view name);
  void set_all_commands(bool allowed);
  void set_command(const Command& command, bool allowed);
  void set_category(uint32_t category, bool allowed);
  bool allows_command(const Command& command, Arguments arguments) const;
  bool allows_key(std::string_view key, uint32_t access) const;
  void count_category(uint32_t category, size_t& on, size_t& off) const;
  void describe_differences(AclSelector& described, std::string& rules) const;

  const CommandTable* table_;
  bool all_keys_ = false, all_channels_ = false;
  bool all_commands_ = false;                                     // every bit below is set
  bool future_commands_ = false;                                  // began with +@all
  std::vector<bool> allowed_;                                     // by Command::index
  std::map<uint32_t, std::vector<std::string>> first_arguments_;  // "+select|0"
  std::vector<KeyPattern> keys_;
  std::vector<std::string> channels_;
};

}  // namespace rdmakv::proxy
