#include "proxy/acl.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "proxy/trimmed.h"

namespace rdmakv::proxy {
namespace {

constexpr int64_t kSameEntryMs = 60'000;
constexpr size_t kCompared = 10;  // entries looked at for one that is alike

std::vector<std::string_view> split_words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(word.size() + 1, line.size()));
    if (const std::string_view clean = trimmed(word); !clean.empty()) words.push_back(clean);
  }
  return words;
}

}  // namespace

AccessControl::AccessControl(const CommandTable& table) : table_(table) {
  users_["default"] = std::make_shared<const AclUser>(AclUser::make_default(table));
}

AclUserPointer AccessControl::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : found->second;
}

AclUserPointer AccessControl::authenticate(std::string_view name, std::string_view password) const {
  AclUserPointer user = find(name);
  return user != nullptr && user->accepts(password) ? user : nullptr;
}

std::vector<AclUserPointer> AccessControl::users() const {
  const std::lock_guard lock(mutex_);
  std::vector<AclUserPointer> users;
  for (const auto& [name, user] : users_) users.push_back(user);
  return users;
}

std::string AccessControl::set_user(std::string_view name, Arguments rules) {
  if (has_blanks(name)) return "ERR Usernames can't contain spaces or null characters";
  std::vector<std::string> merged;
  std::string problem;
  if (!merge_selectors(rules, merged, problem)) {
    return "ERR Unmatched parenthesis in acl selector starting at '" + problem + "'.";
  }
  const std::lock_guard lock(mutex_);
  const auto found = users_.find(name);
  AclUser user = found == users_.end() ? AclUser(table_, std::string(name)) : *found->second;
  for (const std::string& rule : merged) {
    const AclRuleError error = user.apply(rule);
    if (error == AclRuleError::kNone) continue;
    return "ERR Error in ACL SETUSER modifier '" + std::string(until_nul(rule)) +
           "': " + std::string(acl_rule_error_text(error));
  }
  users_.insert_or_assign(std::string(name), std::make_shared<const AclUser>(std::move(user)));
  return {};
}

size_t AccessControl::delete_users(Arguments names) {
  const std::lock_guard lock(mutex_);
  size_t deleted = 0;
  for (const std::string_view name : names) {
    const auto found = users_.find(name);
    if (found == users_.end()) continue;
    users_.erase(found);
    ++deleted;
  }
  return deleted;
}

void AccessControl::set_default_password(std::string_view password) {
  const std::lock_guard lock(mutex_);
  AclUser user = *users_.at("default");
  user.apply("resetpass");
  user.apply(password.empty() ? "nopass" : ">" + std::string(password));
  users_["default"] = std::make_shared<const AclUser>(std::move(user));
  default_password_ = password;
}

std::string AccessControl::default_password() const {
  const std::lock_guard lock(mutex_);
  return default_password_;
}

// ---- the ACL file ------------------------------------------------------------------------------

// What is wrong with the line; empty: nothing, and its user is among `users`.
std::string AccessControl::load_line(std::string_view line, Users& users) const {
  const std::vector<std::string_view> words = split_words(line);
  if (words.size() < 2 || words[0] != "user") {
    return " should start with user keyword followed by the username. ";
  }
  const std::string name(words[1]);
  if (users.contains(name)) return ": WARNING: Duplicate user '" + name + "' found. ";
  std::vector<std::string> rules;
  std::string problem;
  if (!merge_selectors(Arguments(words).subspan(2), rules, problem)) {
    return ": Unmatched parenthesis in selector definition. ";
  }
  AclUser user(table_, name);
  for (const std::string& rule : rules) {
    const AclRuleError error = user.apply(rule);
    if (error != AclRuleError::kNone) {
      return ": " + std::string(acl_rule_error_text(error)) + " ('" + rule + "'). ";
    }
  }
  users[name] = std::make_shared<const AclUser>(std::move(user));
  return {};
}

std::string AccessControl::load_user(std::string_view line) {
  Users one;
  std::string problem = load_line("user " + std::string(line), one);
  if (!problem.empty()) return problem;
  const std::lock_guard lock(mutex_);
  for (auto& [name, user] : one) users_.insert_or_assign(name, std::move(user));
  return {};
}

std::string AccessControl::load(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return "Error loading ACLs, opening file '" + path + "': " + std::strerror(errno);
  }
  Users users;
  std::string problems;
  size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const std::string_view clean = trimmed(line);
    if (clean.empty()) continue;
    const std::string problem = load_line(clean, users);
    if (problem.empty()) continue;
    problems.append(path).append(":").append(std::to_string(number)).append(problem);
  }
  if (file.bad()) {
    return "Error loading ACLs, reading file '" + path + "': " + std::strerror(errno);
  }
  if (!problems.empty()) {
    return problems +
           "WARNING: ACL errors detected, no change to the previously active ACL rules was "
           "performed";
  }
  if (!users.contains("default")) {
    users["default"] = std::make_shared<const AclUser>(AclUser::make_default(table_));
  }
  const std::lock_guard lock(mutex_);
  users_ = std::move(users);
  return {};
}

// By way of a new file beside the old one, so that there is always a whole one. It holds hashes of
// passwords: nobody else reads it.
std::string AccessControl::save(const std::string& path) const {
  std::string text;
  for (const AclUserPointer& user : users()) {
    text.append("user ").append(user->name()).append(" ").append(user->describe()).append("\n");
  }
  const std::string temporary = path + ".tmp-" + std::to_string(getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return "cannot write " + temporary + ": " + std::strerror(errno);
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (written && ::rename(temporary.c_str(), path.c_str()) == 0) return {};
  std::string problem = "cannot write " + path + ": " + std::strerror(written ? errno : error);
  ::unlink(temporary.c_str());
  return problem;
}

// ---- the log -----------------------------------------------------------------------------------

void AccessControl::log(AclLogEntry entry) {
  const std::lock_guard lock(mutex_);
  const auto end = log_.begin() + static_cast<ptrdiff_t>(std::min(kCompared, log_.size()));
  const auto same = std::find_if(log_.begin(), end, [&](const AclLogEntry& old) {
    return old.reason == entry.reason && old.context == entry.context &&
           old.object == entry.object && old.user == entry.user &&
           entry.time_ms - old.time_ms <= kSameEntryMs;
  });
  if (same != end) {
    entry.count = same->count + 1;
    log_.erase(same);
  }
  log_.push_front(std::move(entry));
  if (log_.size() > log_limit_) log_.resize(log_limit_);
}

std::vector<AclLogEntry> AccessControl::log_entries(size_t most) const {
  const std::lock_guard lock(mutex_);
  return {log_.begin(), log_.begin() + static_cast<ptrdiff_t>(std::min(most, log_.size()))};
}

void AccessControl::clear_log() {
  const std::lock_guard lock(mutex_);
  log_.clear();
}

void AccessControl::limit_log(size_t most) {
  const std::lock_guard lock(mutex_);
  log_limit_ = most;
  if (log_.size() > most) log_.resize(most);
}

}  // namespace rdmakv::proxy
