#include "proxy/acl_user.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

namespace rdmakv::proxy {
namespace {

bool is_hash(std::string_view text) {
  return text.size() == size_t{2} * SHA256_DIGEST_LENGTH &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string sha256_hex(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  std::string hex;
  for (const unsigned char byte : digest) hex.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return hex;
}

bool merge_selectors(Arguments words, std::vector<std::string>& rules, std::string& problem) {
  bool open = false;
  std::string selector;
  for (const std::string_view word : words) {
    if (!open && word.starts_with('(') && !word.ends_with(')')) {
      open = true;
      problem = selector = word;
    } else if (open) {
      selector.append(" ").append(word);
      if (!word.ends_with(')')) continue;
      open = false;
      rules.push_back(std::exchange(selector, {}));
    } else {
      rules.emplace_back(word);
    }
  }
  return !open;
}

AclUser::AclUser(const CommandTable& table, std::string name)
    : table_(&table), name_(std::move(name)), selectors_{AclSelector(table)} {}

AclUser AclUser::make_default(const CommandTable& table) {
  AclUser user(table, "default");
  for (const std::string_view rule : {"+@all", "~*", "&*", "on", "nopass"}) user.apply(rule);
  return user;
}

// Whoever measures the time learns nothing about the passwords.
bool AclUser::accepts(std::string_view password) const {
  if (!enabled_) return false;
  if (no_password_) return true;
  const std::string hash = sha256_hex(password);
  bool found = false;
  for (const std::string& known : passwords_) {
    found |= CRYPTO_memcmp(known.data(), hash.data(), hash.size()) == 0;
  }
  return found;
}

AclRuleError AclUser::apply(std::string_view rule) {
  const auto is = [rule](std::string_view name) { return equals_ignoring_case(rule, name); };
  if (rule.empty()) return AclRuleError::kNone;
  if (is("on") || is("off")) {
    enabled_ = is("on");
  } else if (is("sanitize-payload") || is("skip-sanitize-payload")) {
    payload_ = is("sanitize-payload") ? "sanitize-payload" : "skip-sanitize-payload";
  } else if (is("nopass") || is("resetpass")) {
    no_password_ = is("nopass");
    passwords_.clear();
  } else if (rule.front() == '>' || rule.front() == '#') {
    return add_password(rule);
  } else if (rule.front() == '<' || rule.front() == '!') {
    return remove_password(rule);
  } else if (rule.front() == '(' && rule.back() == ')' && rule.size() > 1) {
    return add_selector(rule.substr(1, rule.size() - 2));
  } else if (is("clearselectors")) {
    selectors_.erase(selectors_.begin() + 1, selectors_.end());
  } else if (is("reset")) {
    reset();
  } else {
    return selectors_.front().apply(rule);
  }
  return AclRuleError::kNone;
}

// ">clear text" or "#hash".
AclRuleError AclUser::add_password(std::string_view rule) {
  const std::string_view text = rule.substr(1);
  if (rule.front() == '#' && !is_hash(text)) return AclRuleError::kBadHash;
  std::string hash = rule.front() == '>' ? sha256_hex(text) : std::string(text);
  if (std::find(passwords_.begin(), passwords_.end(), hash) == passwords_.end()) {
    passwords_.push_back(std::move(hash));
  }
  no_password_ = false;
  return AclRuleError::kNone;
}

// "<clear text" or "!hash".
AclRuleError AclUser::remove_password(std::string_view rule) {
  const std::string_view text = rule.substr(1);
  if (rule.front() == '!' && !is_hash(text)) return AclRuleError::kBadHash;
  const std::string hash = rule.front() == '<' ? sha256_hex(text) : std::string(text);
  return std::erase(passwords_, hash) > 0 ? AclRuleError::kNone : AclRuleError::kNoSuchPassword;
}

AclRuleError AclUser::add_selector(std::string_view rules) {
  AclSelector selector(*table_);
  while (!rules.empty()) {
    const std::string_view rule = rules.substr(0, rules.find(' '));
    rules.remove_prefix(std::min(rule.size() + 1, rules.size()));
    if (rule.empty()) continue;
    const AclRuleError error = selector.apply(rule);
    if (error != AclRuleError::kNone) return error;
  }
  selectors_.push_back(std::move(selector));
  return AclRuleError::kNone;
}

void AclUser::reset() {
  *this = AclUser(*table_, std::move(name_));
  apply("sanitize-payload");
}

// When none allows the command, the nearest miss is the one to tell: a key that no selector matched
// rather than the command, and the last such key.
AclVerdict AclUser::check(const Command& command, Arguments arguments) const {
  AclVerdict worst{AclVerdict::kCommandDenied, 0};
  for (const AclSelector& selector : selectors_) {
    const AclVerdict verdict = selector.check(command, arguments);
    if (verdict.kind == AclVerdict::kAllowed) return verdict;
    if (verdict.kind > worst.kind ||
        (verdict.kind == worst.kind && verdict.argument > worst.argument)) {
      worst = verdict;
    }
  }
  return worst;
}

bool AclUser::unrestricted() const {
  return std::any_of(selectors_.begin(), selectors_.end(),
                     [](const AclSelector& selector) { return selector.unrestricted(); });
}

std::vector<std::string_view> AclUser::flags() const {
  std::vector<std::string_view> flags{enabled_ ? "on" : "off"};
  if (no_password_) flags.emplace_back("nopass");
  if (!payload_.empty()) flags.push_back(payload_);
  return flags;
}

std::string AclUser::describe() const {
  std::string text;
  for (const std::string_view flag : flags()) text.append(flag).append(" ");
  for (const std::string& password : passwords_) text.append("#").append(password).append(" ");
  text += selectors_.front().describe();
  for (size_t i = 1; i < selectors_.size(); ++i) {
    text.append(" (").append(selectors_[i].describe()).append(")");
  }
  return text;
}

}  // namespace rdmakv::proxy
