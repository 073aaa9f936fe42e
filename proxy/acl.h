// Who may do what: the users, the ACL file, and the log of what was refused.
//
// Users are immutable once they are here: a change makes a new one, and each connection holds the
// one it was authenticated as. So checking a command touches nothing that threads share. Whoever
// changes users has the workers look again (Worker::refresh_users). Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/acl_user.h"

namespace rdmakv::proxy {

using AclUserPointer = std::shared_ptr<const AclUser>;

struct AclLogEntry {
  uint64_t count = 1;
  std::string reason;                     // "command", "key", "auth"
  std::string_view context = "toplevel";  // "multi": when it was queued, or by EXEC
  std::string object;                     // the command, the key, or "AUTH"
  std::string user;
  int64_t time_ms = 0;      // of the latest one, wall clock
  std::string client_info;  // as CLIENT INFO, of the latest one
};

class AccessControl {
 public:
  explicit AccessControl(const CommandTable& table);

  AclUserPointer find(std::string_view name) const;  // null: none
  AclUserPointer default_user() const { return find("default"); }
  // Null: no such user, a wrong password, or the user is off.
  AclUserPointer authenticate(std::string_view name, std::string_view password) const;
  std::vector<AclUserPointer> users() const;  // by name

  // ACL SETUSER: all of the rules or none. What Redis replies when one is wrong; empty: done.
  std::string set_user(std::string_view name, Arguments rules);
  // How many of them there were.
  size_t delete_users(Arguments names);

  // requirepass: the password of `default`; empty: none.
  void set_default_password(std::string_view password);
  std::string default_password() const;  // as set by that

  // A user as --user and the ACL file have it, without the first word: "NAME RULES". Replaces one
  // of that name. What is wrong, or empty.
  std::string load_user(std::string_view line);
  // An ACL file: one "user NAME RULES" a line. All of it or nothing; what is wrong, or empty.
  std::string load(const std::string& path);
  // Replaces the file. What is wrong, or empty.
  std::string save(const std::string& path) const;

  // Entries that are alike within a minute are counted in one.
  void log(AclLogEntry entry);
  std::vector<AclLogEntry> log_entries(size_t most) const;
  void clear_log();
  void limit_log(size_t most);

 private:
  using Users = std::map<std::string, AclUserPointer, std::less<>>;

  std::string load_line(std::string_view line, Users& users) const;

  const CommandTable& table_;
  mutable std::mutex mutex_;
  Users users_;
  std::string default_password_;
  std::deque<AclLogEntry> log_;  // the latest first
  size_t log_limit_ = 128;
};

}  // namespace rdmakv::proxy
