// Histories in files: what a writer wrote is what a reader finds, even when the writer was killed.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/linearizability/checker.h"
#include "tests/linearizability/explanation.h"
#include "tests/linearizability/history_file.h"
#include "tests/linearizability/report_line.h"

namespace rdmakv::linearizability {
namespace {

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() {
    char name[] = "/tmp/history_test.XXXXXX";
    folder = mkdtemp(name);
  }
  ~HistoryTest() override { std::filesystem::remove_all(folder); }
  std::string path(const char* name) const { return folder + "/" + name; }

  std::string folder;
};

Record put_of(uint64_t key, uint64_t value) {
  Record record;
  record.kind = Kind::kPut;
  record.key = key;
  record.value = value;
  record.value_bytes = 8;
  return record;
}

TEST_F(HistoryTest, ComesBackAsItWasWritten) {
  Result<HistoryWriter> writer = HistoryWriter::create(path("a"), 7, 3);
  ASSERT_TRUE(writer) << writer.status().to_string();
  Record* first = writer->begin(put_of(1, 10));
  Record get;
  get.kind = Kind::kGet;
  get.key = 1;
  Record* second = writer->begin(get);
  EXPECT_FALSE(writer->full());
  Record answer;
  answer.outcome = Outcome::kOk;
  answer.version_out = 4;
  answer.value = 11;  // a GET's; a PUT keeps the value it asked for
  answer.path = Path::kRpc;
  HistoryWriter::finish(first, answer);
  HistoryWriter::finish(second, answer);
  writer->begin(put_of(2, 12));
  EXPECT_TRUE(writer->full());

  Result<HistoryFile> file = HistoryFile::open(path("a"));
  ASSERT_TRUE(file) << file.status().to_string();
  EXPECT_EQ(file->client(), 7u);
  ASSERT_EQ(file->records().size(), 3u);
  const Record& put = file->records()[0];
  EXPECT_EQ(put.value, 10u);
  EXPECT_EQ(put.version_out, 4u);
  EXPECT_EQ(put.outcome, Outcome::kOk);
  EXPECT_EQ(put.path, Path::kRpc);
  EXPECT_GE(put.return_ns, put.invoke_ns);
  EXPECT_EQ(file->records()[1].value, 11u);
  EXPECT_EQ(file->records()[2].outcome, Outcome::kOpen);
  EXPECT_TRUE(is_unknown(file->records()[2]));
}

TEST_F(HistoryTest, SurvivesItsWriter) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Result<HistoryWriter> writer = HistoryWriter::create(path("killed"), 1, 1000);
    if (!writer) _exit(1);
    for (uint64_t i = 1; i <= 10; ++i) writer->begin(put_of(1, i));
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  Result<HistoryFile> file = HistoryFile::open(path("killed"));
  ASSERT_TRUE(file) << file.status().to_string();
  ASSERT_EQ(file->records().size(), 10u);
  EXPECT_EQ(file->records()[9].value, 10u);
  EXPECT_TRUE(is_unknown(file->records()[9]));
}

TEST_F(HistoryTest, RefusesWhatIsNoHistory) {
  EXPECT_FALSE(HistoryFile::open(path("missing")));
  std::ofstream(path("short")) << "RKVHIST1";
  const Result<HistoryFile> too_short = HistoryFile::open(path("short"));
  ASSERT_FALSE(too_short);
  EXPECT_NE(too_short.status().message().find("too short"), std::string::npos);
  std::ofstream(path("other")) << std::string(200, 'x');
  const Result<HistoryFile> other = HistoryFile::open(path("other"));
  ASSERT_FALSE(other);
  EXPECT_NE(other.status().message().find("not a history"), std::string::npos);
}

TEST_F(HistoryTest, RefusesImpossibleTimes) {
  std::vector<Record> records(2, put_of(1, 10));
  records[0].invoke_ns = 5;
  records[1].invoke_ns = 4;
  History unordered;
  unordered.add(records, 3);
  const Status status = unordered.prepare();
  ASSERT_FALSE(status);
  EXPECT_NE(status.message().find("client 3: record 1"), std::string::npos) << status.message();
  records[1].invoke_ns = 6;
  records[1].return_ns = 5;
  records[1].outcome = Outcome::kOk;
  History backwards;
  backwards.add(records, 3);
  EXPECT_FALSE(backwards.prepare());
}

TEST_F(HistoryTest, MergesByInvocation) {
  std::vector<Record> threads[3];
  for (uint64_t i = 1; i <= 30; ++i) {
    Record record = put_of(1, i);
    record.invoke_ns = i;
    threads[i % 3].push_back(record);
  }
  History history;
  for (uint32_t i = 0; i < 3; ++i) history.add(threads[i], i);
  ASSERT_TRUE(history.prepare());
  History::Cursor cursor(history);
  Entry entry;
  for (uint64_t i = 1; i <= 30; ++i) {
    ASSERT_TRUE(cursor.next(entry));
    EXPECT_EQ(entry.record->value, i);
    EXPECT_EQ(entry.client, i % 3);
  }
  EXPECT_FALSE(cursor.next(entry));
}

TEST_F(HistoryTest, AViolationIsExplained) {
  std::vector<Record> records;
  const auto add = [&](Record record, uint64_t from, uint64_t to, uint64_t version) {
    record.invoke_ns = from * 1000;
    record.return_ns = to * 1000;
    record.outcome = Outcome::kOk;
    record.version_out = version;
    records.push_back(record);
  };
  const uint64_t old_value = (3ull << 32) | 17;
  const uint64_t new_value = (4ull << 32) | 1;
  Record get;
  get.kind = Kind::kGet;
  get.key = 9;
  add(put_of(9, old_value), 1, 2, 1);
  get.value = old_value;
  add(get, 3, 4, 1);
  add(put_of(9, new_value), 5, 6, 2);
  get.value = new_value;
  add(get, 8, 30, 2);
  get.value = old_value;
  add(get, 10, 20, 1);  // stale
  History history;
  for (uint32_t i = 0; i < records.size(); ++i) history.add({&records[i], 1}, i);
  ASSERT_TRUE(history.prepare());
  const Report report = check(history, {});
  ASSERT_EQ(report.violations(), 1u);
  const std::string text = explain(history, report.findings[0], {});
  EXPECT_NE(text.find("client 4: GET -> version 1, value 3:17"), std::string::npos) << text;
  EXPECT_NE(text.find("stale: version 2 had been acknowledged 4.0 us before"), std::string::npos)
      << text;
  EXPECT_NE(text.find("left the key at: version 2, value 4:1"), std::string::npos) << text;
  EXPECT_NE(text.find("  client 2    [       4.0 ..        5.0]  PUT 4:1"), std::string::npos)
      << text;
  // The concurrent GET of the new value has nothing to do with it.
  EXPECT_EQ(text.find("client 3 "), std::string::npos) << text;
  EXPECT_NE(report_line(report, 1).find("violations: 1"), std::string::npos);
}

}  // namespace
}  // namespace rdmakv::linearizability
