// A user: a name, passwords, and one or more sets of permissions.
//
// Value type; connections hold users as immutable snapshots (acl.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/acl_selector.h"

namespace rdmakv::proxy {

class AclUser {
 public:
  AclUser(const CommandTable& table, std::string name);  // off, without permissions
  // Who everybody is at first: on, without a password, all permissions.
  static AclUser make_default(const CommandTable& table);

  const std::string& name() const { return name_; }
  bool enabled() const { return enabled_; }
  bool no_password() const { return no_password_; }
  bool accepts(std::string_view password) const;

  // As ACL SETUSER has them.
  AclRuleError apply(std::string_view rule);
  AclVerdict check(const Command& command, Arguments arguments) const;
  // Nothing has to be checked for this user.
  bool unrestricted() const;

  // The user in the rules that make it, without "user NAME".
  std::string describe() const;
  std::vector<std::string_view> flags() const;
  const std::vector<std::string>& passwords() const { return passwords_; }  // SHA-256, in hex
  // The first is the user's own.
  const std::vector<AclSelector>& selectors() const { return selectors_; }

 private:
  AclRuleError add_password(std::string_view rule);
  AclRuleError remove_password(std::string_view rule);
  AclRuleError add_selector(std::string_view rules);
  void reset();

  const CommandTable* table_;
  std::string name_;
  bool enabled_ = false, no_password_ = false;
  std::string_view payload_;  // kept for those who set it; there is no payload to sanitize
  std::vector<std::string> passwords_;
  std::vector<AclSelector> selectors_;
};

// Rules in which a selector may be spread over several words become one word each. False: a
// parenthesis is never closed; `problem` is then the word that opens it.
bool merge_selectors(Arguments words, std::vector<std::string>& rules, std::string& problem);

std::string sha256_hex(std::string_view text);

}  // namespace rdmakv::proxy
