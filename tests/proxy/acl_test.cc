// ACL rules: what they allow, how they are described, and the ACL file.
#include "proxy/acl.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace rdmakv::proxy {
namespace {

const CommandTable& table() {
  return CommandTable::instance();
}

AclUser user_of(std::initializer_list<std::string_view> rules) {
  AclUser user(table(), "u");
  for (const std::string_view rule : rules) {
    EXPECT_EQ(user.apply(rule), AclRuleError::kNone) << rule;
  }
  return user;
}

AclVerdict::Kind verdict(const AclUser& user, std::vector<std::string_view> arguments) {
  return user.check(*table().resolve(arguments), arguments).kind;
}

TEST(AclUser, ANewOneMayNothing) {
  const AclUser user(table(), "u");
  EXPECT_EQ(verdict(user, {"get", "a"}), AclVerdict::kCommandDenied);
  EXPECT_EQ(user.describe(), "off resetchannels -@all");
  EXPECT_FALSE(user.accepts(""));
}

TEST(AclUser, WhatEverybodyMaySayIsNeverDenied) {
  EXPECT_EQ(verdict(AclUser(table(), "u"), {"auth", "x"}), AclVerdict::kAllowed);
}

TEST(AclUser, CommandsAndCategories) {
  const AclUser user = user_of({"~*", "+@string", "-set", "+del"});
  EXPECT_EQ(verdict(user, {"get", "a"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"set", "a", "b"}), AclVerdict::kCommandDenied);
  EXPECT_EQ(verdict(user, {"del", "a"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"ttl", "a"}), AclVerdict::kCommandDenied);
}

TEST(AclUser, SubcommandsAndFirstArguments) {
  const AclUser user = user_of({"+config|get", "+select|0", "+client", "-client|kill"});
  EXPECT_EQ(verdict(user, {"config", "get", "x"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"config", "set", "x", "y"}), AclVerdict::kCommandDenied);
  EXPECT_EQ(verdict(user, {"select", "0"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"select", "1"}), AclVerdict::kCommandDenied);
  EXPECT_EQ(verdict(user, {"client", "list"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"client", "kill", "x"}), AclVerdict::kCommandDenied);
}

TEST(AclUser, KeyPatternsTellReadingFromWriting) {
  const AclUser user = user_of({"+@all", "~both:*", "%R~read:*", "%W~write:?"});
  EXPECT_EQ(verdict(user, {"get", "both:1"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"set", "both:1", "x"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"get", "read:1"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"set", "read:1", "x"}), AclVerdict::kKeyDenied);
  EXPECT_EQ(verdict(user, {"set", "write:1", "x"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"set", "write:1", "x", "GET"}), AclVerdict::kKeyDenied);
  EXPECT_EQ(verdict(user, {"get", "write:1"}), AclVerdict::kKeyDenied);
  EXPECT_EQ(verdict(user, {"exists", "write:1"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"mget", "both:1", "other"}), AclVerdict::kKeyDenied);
}

TEST(AclUser, ASelectorAllowsAWholeCommandOrNothingOfIt) {
  const AclUser user = user_of({"+get", "~a*", "(+set ~b*)"});
  EXPECT_EQ(verdict(user, {"get", "a"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"set", "b", "x"}), AclVerdict::kAllowed);
  EXPECT_EQ(verdict(user, {"get", "b"}), AclVerdict::kKeyDenied);
  EXPECT_EQ(verdict(user, {"set", "a", "x"}), AclVerdict::kKeyDenied);
  EXPECT_EQ(verdict(user, {"del", "a"}), AclVerdict::kCommandDenied);
}

TEST(AclUser, OnlyAllOfEverythingIsUnrestricted) {
  EXPECT_TRUE(AclUser::make_default(table()).unrestricted());
  EXPECT_FALSE(user_of({"+@all", "~a*"}).unrestricted());
  EXPECT_FALSE(user_of({"+@all", "-flushall", "~*"}).unrestricted());
}

TEST(AclUser, Passwords) {
  AclUser user = user_of({"on", ">one", ">two"});
  EXPECT_TRUE(user.accepts("one"));
  EXPECT_TRUE(user.accepts("two"));
  EXPECT_FALSE(user.accepts("three"));
  EXPECT_EQ(user.apply("<one"), AclRuleError::kNone);
  EXPECT_FALSE(user.accepts("one"));
  EXPECT_EQ(user.apply("<one"), AclRuleError::kNoSuchPassword);
  EXPECT_EQ(user.apply("#abc"), AclRuleError::kBadHash);
  EXPECT_EQ(user.apply("#" + sha256_hex("four")), AclRuleError::kNone);
  EXPECT_TRUE(user.accepts("four"));
  EXPECT_EQ(user.apply("off"), AclRuleError::kNone);
  EXPECT_FALSE(user.accepts("two"));
  EXPECT_EQ(sha256_hex("pw"), "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4");
}

TEST(AclUser, ARuleThatIsWrongIsToldApart) {
  AclUser user(table(), "u");
  EXPECT_EQ(user.apply("foo"), AclRuleError::kSyntax);
  EXPECT_EQ(user.apply("+nosuch"), AclRuleError::kUnknownCommand);
  EXPECT_EQ(user.apply("+@nosuch"), AclRuleError::kUnknownCommand);
  EXPECT_EQ(user.apply("+config|nosuch"), AclRuleError::kUnknownCommand);
  EXPECT_EQ(user.apply("+config|get|x"), AclRuleError::kFirstArgumentOfSubcommand);
  EXPECT_EQ(user.apply("%X~a"), AclRuleError::kSyntax);
  EXPECT_EQ(user.apply("~a b"), AclRuleError::kSyntax);
  EXPECT_EQ(user.apply("~*"), AclRuleError::kNone);
  EXPECT_EQ(user.apply("~a"), AclRuleError::kPatternAfterAllKeys);
}

// Whatever rules made a user, the description makes one that may do the same.
TEST(AclUser, ADescriptionMakesTheSameUserAgain) {
  for (const auto& rules : std::vector<std::vector<std::string_view>>{
           {"+@all", "-@dangerous", "+info"},
           {"+@read", "+@connection", "-ping", "~x", "%R~y"},
           {"allcommands", "-@admin", "+config", "allkeys"},
           {"+get", "+config|get", "+select|0", "&chan", "(+set ~b*)", "(-@all +del %W~q)"}}) {
    AclUser user(table(), "u");
    for (const std::string_view rule : rules) ASSERT_EQ(user.apply(rule), AclRuleError::kNone);
    AccessControl access(table());
    ASSERT_EQ(access.load_user("u " + user.describe()), "") << user.describe();
    const AclUserPointer again = access.find("u");
    EXPECT_EQ(again->describe(), user.describe());
    for (const Command& row : table().rows()) {
      std::vector<std::string_view> call{row.own_name(), "0", "b", "c", "d"};
      EXPECT_EQ(again->check(row, call).kind, user.check(row, call).kind) << row.name;
    }
  }
}

TEST(AccessControl, AllRulesOfAUserOrNone) {
  AccessControl access(table());
  const std::vector<std::string_view> good{"on", "+get"}, bad{"+set", "+nosuch"},
      open{"+get", "(+set", "~a"};
  EXPECT_EQ(access.set_user("u", good), "");
  EXPECT_EQ(access.set_user("u", bad),
            "ERR Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL");
  EXPECT_EQ(access.find("u")->describe(), "on resetchannels -@all +get");
  EXPECT_EQ(access.set_user("u", open),
            "ERR Unmatched parenthesis in acl selector starting at '(+set'.");
  EXPECT_EQ(access.set_user("a b", good), "ERR Usernames can't contain spaces or null characters");
}

class AclFile : public ::testing::Test {
 protected:
  ~AclFile() override { ::unlink(path_.c_str()); }
  void write(const std::string& text) { std::ofstream(path_) << text; }

  const std::string path_ = ::testing::TempDir() + "acl-" + std::to_string(::getpid());
  AccessControl access_{table()};
};

TEST_F(AclFile, IsSavedAndLoadedAgain) {
  const std::vector<std::string_view> rules{"on", ">pw", "~a*", "+@read", "(+set ~b*)"};
  ASSERT_EQ(access_.set_user("alice", rules), "");
  ASSERT_EQ(access_.save(path_), "");
  AccessControl other(table());
  ASSERT_EQ(other.load(path_), "");
  EXPECT_EQ(other.find("alice")->describe(), access_.find("alice")->describe());
  EXPECT_NE(other.authenticate("alice", "pw"), nullptr);
  EXPECT_EQ(other.authenticate("alice", "no"), nullptr);
  EXPECT_NE(other.default_user(), nullptr);
}

TEST_F(AclFile, OneBadLineAndNothingChanges) {
  write("user alice on +@all\n\nuser bob on +nosuch\nfoo\nuser alice off\n");
  const std::string problem = access_.load(path_);
  EXPECT_NE(problem.find(path_ + ":3: Unknown command or category name in ACL"), std::string::npos)
      << problem;
  EXPECT_NE(problem.find(path_ + ":4 should start with user keyword"), std::string::npos);
  EXPECT_NE(problem.find(path_ + ":5: WARNING: Duplicate user 'alice'"), std::string::npos);
  EXPECT_EQ(access_.find("alice"), nullptr);
}

TEST_F(AclFile, WithoutADefaultUserThereIsTheUsualOne) {
  write("user alice on +@all ~*\n");
  const std::vector<std::string_view> rules{"resetpass", ">pw"};
  ASSERT_EQ(access_.set_user("default", rules), "");
  ASSERT_EQ(access_.load(path_), "");
  EXPECT_TRUE(access_.default_user()->no_password());
}

TEST_F(AclFile, ThatIsNotThereIsAnError) {
  EXPECT_EQ(access_.load(path_),
            "Error loading ACLs, opening file '" + path_ + "': No such file or directory");
  EXPECT_NE(access_.load("/").find("Error loading ACLs"), std::string::npos);
}

TEST(AclLog, AlikeEntriesAreCounted) {
  AccessControl access(table());
  const auto entry = [](std::string object) {
    AclLogEntry made;
    made.reason = "key";
    made.object = std::move(object);
    made.user = "u";
    return made;
  };
  for (int i = 0; i < 3; ++i) access.log(entry("a"));
  access.log(entry("b"));
  const std::vector<AclLogEntry> entries = access.log_entries(10);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].object, "b");
  EXPECT_EQ(entries[1].count, 3u);
  access.limit_log(1);
  EXPECT_EQ(access.log_entries(10).size(), 1u);
}

}  // namespace
}  // namespace rdmakv::proxy
