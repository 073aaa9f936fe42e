// The command table is consistent with itself, and redis-compat.md says what it does; likewise the
// table of parameters and docs/configuration.md.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <string>

#include "proxy/command_table.h"
#include "proxy/config_parameters.h"
#include "proxy/refused_commands.h"

namespace rdmakv::proxy {
namespace {

const CommandTable& table() {
  return CommandTable::instance();
}

TEST(CommandTable, NamesAreUniqueAndFound) {
  std::set<std::string_view> names;
  for (const Command& row : table().rows()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(table().find(row.name), &row);
  }
}

TEST(CommandTable, AnyCaseIsFound) {
  EXPECT_EQ(table().find("GeT"), table().find("get"));
  EXPECT_EQ(table().find("gett"), nullptr);
  EXPECT_EQ(table().find(""), nullptr);
}

TEST(CommandTable, ARenamedCommandHasOneNameOnly) {
  const CommandTable renamed({{"GET", "fetch"}, {"config", ""}});
  EXPECT_EQ(renamed.find("get"), nullptr);
  ASSERT_NE(renamed.find("FETCH"), nullptr);
  EXPECT_EQ(renamed.find("fetch")->name, "get");
  EXPECT_EQ(renamed.find("config"), nullptr);
  EXPECT_EQ(renamed.find("config|get"), nullptr);
  EXPECT_EQ(renamed.find_original("get"), renamed.find("fetch"));
  EXPECT_EQ(renamed.top_level_count(), table().top_level_count() - 1);
}

TEST(CommandTable, BadRenamesAreToldApart) {
  EXPECT_EQ(CommandTable::check_renames({{"get", "fetch"}, {"set", "get"}}), "");
  EXPECT_EQ(CommandTable::check_renames({{"nosuch", "x"}}),
            "rename-command: there is no command 'nosuch'");
  EXPECT_EQ(CommandTable::check_renames({{"get", "SET"}}),
            "rename-command: there is a command 'SET' already");
  EXPECT_EQ(CommandTable::check_renames({{"get", ""}, {"get", "x"}}),
            "rename-command: there is no command 'get'");
}

TEST(CommandTable, KeyAccessDependsOnOptions) {
  const std::string_view set[] = {"set", "k", "v"}, set_get[] = {"set", "k", "v", "GET"};
  EXPECT_EQ(key_access(*table().find("set"), set, 1), kWritesKey);
  EXPECT_EQ(key_access(*table().find("set"), set_get, 1), kReadsKey | kWritesKey);
  const std::string_view get[] = {"get", "k"};
  EXPECT_EQ(key_access(*table().find("get"), get, 1), kReadsKey);
  EXPECT_EQ(key_access(*table().find("exists"), get, 1), 0u);
  const std::string_view rename[] = {"rename", "a", "b"};
  EXPECT_EQ(key_access(*table().find("rename"), rename, 1), kReadsKey | kWritesKey);
  EXPECT_EQ(key_access(*table().find("rename"), rename, 2), kWritesKey);
}

TEST(CommandTable, EveryRowCanBeExecutedOrContains) {
  for (const Command& row : table().rows()) {
    EXPECT_TRUE(row.handler != nullptr || !row.subcommands.empty()) << row.name;
    EXPECT_NE(row.arity, 0) << row.name;
    EXPECT_FALSE(row.summary.empty() || row.since.empty() || row.group.empty()) << row.name;
    EXPECT_NE(row.categories & (acl::kFast | acl::kSlow), 0u) << row.name;
  }
}

TEST(CommandTable, WhatHasKeysReadsOrWrites) {
  for (const Command& row : table().rows()) {
    if (row.first_key == 0) continue;
    const bool only_watches = (row.categories & acl::kTransaction) != 0;
    EXPECT_EQ((row.flags & (kReadonly | kWrite)) == 0, only_watches) << row.name;
    EXPECT_GT(row.key_step, 0) << row.name;
    EXPECT_FALSE(row.key_flags.empty()) << row.name;
  }
}

TEST(CommandTable, StreamedValuesBelongToWritesOfOneKey) {
  for (const Command& row : table().rows()) {
    if (row.value_argument == 0) continue;
    EXPECT_NE(row.flags & kWrite, 0u) << row.name;
    EXPECT_EQ(row.first_key, 1) << row.name;
    EXPECT_EQ(row.last_key, 1) << row.name;
    EXPECT_GT(row.value_argument, 1u) << row.name;
  }
}

TEST(CommandTable, Resolves) {
  const std::string_view id[] = {"CLIENT", "id"}, alone[] = {"client"}, bad[] = {"client", "x"};
  const Command* container = nullptr;
  EXPECT_EQ(table().resolve(id)->name, "client|id");
  EXPECT_EQ(table().resolve(alone)->name, "client");
  EXPECT_EQ(table().resolve(bad, &container), nullptr);
  ASSERT_NE(container, nullptr);
  EXPECT_EQ(container->name, "client");
}

TEST(CommandTable, KeyPositions) {
  using Words = std::vector<std::string_view>;
  const auto positions = [](const Words& words) {
    return key_positions(*table().find(words[0]), words);
  };
  EXPECT_EQ(positions({"mset", "a", "1", "b", "2"}), (std::vector<size_t>{1, 3}));
  EXPECT_EQ(positions({"del", "a", "b", "c"}), (std::vector<size_t>{1, 2, 3}));
  EXPECT_EQ(positions({"get", "a"}), (std::vector<size_t>{1}));
  EXPECT_TRUE(positions({"ping", "a"}).empty());
  EXPECT_EQ(positions({"msetex", "2", "a", "1", "b", "2", "EX", "9"}), (std::vector<size_t>{2, 4}));
  EXPECT_TRUE(positions({"msetex", "x", "a", "1"}).empty());
  EXPECT_TRUE(positions({"msetex", "99", "a", "1"}).empty());
}

// "| `GET` | supported | ... |" of a page: name in lower case -> second column. Options are left
// out.
std::map<std::string, std::string> rows_of(const std::string& path) {
  std::ifstream page(RDMAKV_SOURCE_DIR "/" + path);
  std::map<std::string, std::string> rows;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| `") || line.starts_with("| `-")) continue;
    const size_t name_end = line.find('`', 3);
    const size_t status = line.find("| ", name_end) + 2;
    std::string name = line.substr(3, name_end - 3);
    for (char& c : name) c = c == ' ' ? '|' : static_cast<char>(std::tolower(c));
    EXPECT_TRUE(rows.emplace(name, line.substr(status, line.find(" |", status) - status)).second)
        << name << " has two rows";
  }
  return rows;
}

std::map<std::string, std::string> page_rows() {
  return rows_of("redis-compat.md");
}

TEST(ConfigurationPage, HasEveryParameterAndSaysWhetherItChanges) {
  std::map<std::string, std::string> rows = rows_of("docs/configuration.md");
  for (const Parameter& parameter : parameters()) {
    const auto found = rows.find(std::string(parameter.name));
    ASSERT_NE(found, rows.end()) << parameter.name << " is missing";
    EXPECT_EQ(found->second, parameter.can_change() ? "yes" : "no") << parameter.name;
    rows.erase(found);
  }
  for (const auto& [name, changes] : rows) ADD_FAILURE() << "there is no parameter " << name;
}

TEST(CompatPage, EverySupportedCommandIsInTheTable) {
  for (const auto& [name, status] : page_rows()) {
    if (status == "supported") {
      EXPECT_NE(table().find(name), nullptr) << name;
    } else {
      EXPECT_EQ(table().find(name), nullptr) << name << " is said to be " << status;
      EXPECT_TRUE(status == "not yet" || status == "not planned" || status == "refused")
          << name << ": " << status;
    }
    if (name.find('|') == std::string::npos) {
      EXPECT_EQ(find_refused(name) != nullptr, status == "refused") << name;
    }
  }
}

TEST(CompatPage, EveryCommandOfTheTableIsOnThePage) {
  const std::map<std::string, std::string> rows = page_rows();
  for (const Command& row : table().rows()) {
    const auto found = rows.find(std::string(row.name));
    ASSERT_NE(found, rows.end()) << row.name;
    EXPECT_EQ(found->second, "supported") << row.name;
  }
}

// 240 commands and the subcommands of Redis 7.0.15, and ours.
TEST(CompatPage, CoversAllOfRedis) {
  EXPECT_GE(page_rows().size(), 366u);
}

// What Redis 7.2, 7.4, 8.0, 8.2 and 8.4 have added, modules left out.
TEST(CompatPage, CoversWhatNewerVersionsHaveAdded) {
  constexpr std::string_view kAdded[] = {
      "client|maint_notifications",
      "client|no-touch",
      "client|setinfo",
      "cluster|migration",
      "cluster|myshardid",
      "cluster|slot-stats",
      "delex",
      "digest",
      "hexpire",
      "hexpireat",
      "hexpiretime",
      "hgetdel",
      "hgetex",
      "hpersist",
      "hpexpire",
      "hpexpireat",
      "hpexpiretime",
      "hpttl",
      "hsetex",
      "httl",
      "msetex",
      "vadd",
      "vcard",
      "vdim",
      "vemb",
      "vgetattr",
      "vinfo",
      "vismember",
      "vlinks",
      "vrandmember",
      "vrange",
      "vrem",
      "vsetattr",
      "vsim",
      "waitaof",
      "xackdel",
      "xdelex",
  };
  const std::map<std::string, std::string> rows = page_rows();
  for (const std::string_view name : kAdded) {
    EXPECT_TRUE(rows.contains(std::string(name))) << name;
  }
}

}  // namespace
}  // namespace rdmakv::proxy
