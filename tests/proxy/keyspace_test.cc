// SCAN, KEYS, RANDOMKEY, and renaming from one worker to another, with a client library that fails
// when told to.
#include <gtest/gtest.h>
#include <liblzf/lzf.h>

#include <random>

#include "proxy/dump_format.h"
#include "proxy/scan_cursor.h"
#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

class KeysTest : public ProxyTest {
 protected:
  using ProxyTest::ProxyTest;
  TestClient client_ = connect();
  // Many steps may lie between the command and its reply.
  std::string call(std::string_view line) {
    send(client_, std::string(line) + "\r\n");
    for (int i = 0; i < 10; ++i) run();
    return client_.take();
  }
};

TEST(ScanCursor, KeepsItsParts) {
  for (const uint32_t rank : {0u, 1u, 63u, 2047u}) {
    for (const uint32_t worker : {0u, 1u, 1023u, 4095u}) {
      for (const uint64_t place : {uint64_t{0}, uint64_t{7}, (uint64_t{1} << 40) - 1}) {
        const uint64_t number = ScanCursor{rank, worker, place}.encode();
        EXPECT_LT(number, uint64_t{1} << 63);
        const ScanCursor back = ScanCursor::decode(number);
        EXPECT_EQ(back.rank, rank);
        EXPECT_EQ(back.worker, worker);
        EXPECT_EQ(back.place, place);
      }
    }
  }
}

TEST_F(KeysTest, AServerThatIsAwayIsAnErrorAndNoEnd) {
  call("MSET a 1 b 2");
  fake_->fault = [](const Operation& operation) {
    return operation.kind == OperationKind::kScan ? Code::kUnavailable : Code::kOk;
  };
  EXPECT_EQ(call("SCAN 0"), "-ERR server fake:1 is not reachable: fake error\r\n");
  EXPECT_EQ(call("KEYS *"), "-ERR server fake:1 is not reachable: fake error\r\n");
  fake_->fault = nullptr;
  EXPECT_EQ(call("KEYS a"), "*1\r\n$1\r\na\r\n");
}

TEST_F(KeysTest, ACursorBeyondEverythingIsTheEnd) {
  call("SET a 1");
  EXPECT_EQ(call("SCAN 9223372036854775807"), "*2\r\n$1\r\n0\r\n*0\r\n");
  EXPECT_EQ(call("SCAN -1"), "*2\r\n$1\r\n0\r\n*0\r\n");
}

TEST_F(KeysTest, ScanSeesWhatItsConnectionDidBefore) {
  send(client_, "SET a 1\r\nSCAN 0\r\nDEL a\r\nKEYS *\r\n");
  EXPECT_EQ(client_.take(), "+OK\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n:1\r\n*0\r\n");
}

TEST_F(KeysTest, AClientThatLeavesInTheMiddleLeavesNothing) {
  for (int i = 0; i < 100; ++i) call("SET key" + std::to_string(i) + " v");
  fake_->hold();
  send(client_, "KEYS *\r\n");
  client_.close();
  run();
  fake_->release();
  run();
  EXPECT_EQ(fake_->held(), 0u);
}

class RenameTest : public KeysTest {
 protected:
  explicit RenameTest(const fakes::FakeClient::Options& options = {}) : KeysTest(options) {
    fake_->different_workers = true;
  }
};

TEST_F(RenameTest, GoesFromWorkerToWorker) {
  call("SET a hello PX 5000");
  EXPECT_EQ(call("RENAME a b"), "+OK\r\n");
  EXPECT_EQ(call("GET b"), "$5\r\nhello\r\n");
  EXPECT_EQ(call("PTTL b"), ":5000\r\n");
  EXPECT_EQ(call("EXISTS a"), ":0\r\n");
  EXPECT_EQ(call("RENAME a b"), "-ERR no such key\r\n");
  EXPECT_EQ(call("RENAMENX b c"), ":1\r\n");
  call("SET b x");
  EXPECT_EQ(call("RENAMENX b c"), ":0\r\n");
  EXPECT_EQ(call("GET b"), "$1\r\nx\r\n");
  EXPECT_EQ(call("COPY b d"), ":1\r\n");
  EXPECT_EQ(call("COPY b c"), ":0\r\n");
  EXPECT_EQ(call("COPY nosuch c REPLACE"), ":0\r\n");
}

TEST_F(RenameTest, TakesTairsFlagsAlong) {
  const std::string large = pattern(300'000);
  for (const std::string& value : {std::string("v"), large}) {
    call("FLUSHALL");
    fake_->store["a"] = {value, 7, 0, 65535};
    EXPECT_EQ(call("COPY a b"), ":1\r\n");
    EXPECT_EQ(call("RENAME b c"), "+OK\r\n");
    EXPECT_EQ(call("RENAMENX c d"), ":1\r\n");
    for (const char* key : {"a", "d"}) {
      EXPECT_EQ(fake_->store[key].value, value);
      EXPECT_EQ(fake_->store[key].user_flags, 65535) << key;
    }
  }
  EXPECT_EQ(fake_->pins(), 0u);
  EXPECT_EQ(fake_->uploads(), 0u);
  // What has none takes none over.
  call("SET plain v");
  call("COPY plain a REPLACE");
  EXPECT_EQ(call("EXGET a WITHFLAGS").substr(0, 4), "*3\r\n");
}

// Another client stores something between the copy and the removal: that is what is renamed.
TEST_F(RenameTest, WhatIsStoredMeanwhileIsNotLost) {
  for (const std::string_view words : {"RENAME a b", "RENAMENX a b"}) {
    call("FLUSHALL");
    call("SET a old");
    int deletes = 0;
    fake_->fault = [&](const Operation& operation) {
      if (operation.kind == OperationKind::kDelete && deletes++ == 0) {
        fake_->store["a"].value = "new";
        ++fake_->store["a"].version;
      }
      return Code::kOk;
    };
    const std::string reply = call(words);
    fake_->fault = nullptr;
    EXPECT_EQ(reply, words[6] == 'N' ? ":1\r\n" : "+OK\r\n");
    EXPECT_EQ(deletes, 2);
    EXPECT_EQ(call("GET b"), "$3\r\nnew\r\n");
    EXPECT_EQ(call("EXISTS a"), ":0\r\n");
  }
}

TEST_F(RenameTest, GivesUpOnAKeyThatChangesForEver) {
  call("SET a v");
  fake_->fault = [&](const Operation& operation) {
    if (operation.kind == OperationKind::kDelete) ++fake_->store["a"].version;
    return Code::kOk;
  };
  EXPECT_EQ(call("RENAME a b").substr(0, 31), "-ERR the key changes too often ");
  fake_->fault = nullptr;
  EXPECT_EQ(call("GET a"), "$1\r\nv\r\n");
}

TEST_F(RenameTest, WhatFailsLeavesTheOldKey) {
  const std::string large = pattern(300'000);
  for (const OperationKind failing :
       {OperationKind::kPut, OperationKind::kUploadBegin, OperationKind::kUploadChunk,
        OperationKind::kUploadCommit, OperationKind::kReadPinned}) {
    for (const std::string& value : {std::string("small"), large}) {
      ProxyTest::call(client_, {"SET", "a", value});
      fake_->fault = [failing](const Operation& operation) {
        return operation.kind == failing ? Code::kNoSpace : Code::kOk;
      };
      const size_t uploads = fake_->uploads();
      const std::string reply = call("RENAME a b");
      fake_->fault = nullptr;
      if (reply == "+OK\r\n") {  // it did not need what fails
        EXPECT_TRUE(fake_->store["b"].value == value);
        continue;
      }
      EXPECT_EQ(reply, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
      EXPECT_TRUE(fake_->store["a"].value == value);
      // A commit that fails here has not reached the server, which would have ended the upload.
      EXPECT_EQ(fake_->uploads() - uploads, failing == OperationKind::kUploadCommit ? 1u : 0u);
    }
  }
  run();
  EXPECT_EQ(fake_->pins(), 0u);
}

TEST_F(RenameTest, LargeValuesGoInPieces) {
  const std::string large = pattern(3'000'001);
  ProxyTest::call(client_, {"SET", "a", large});
  const uint64_t free = fake_->free_bytes();
  EXPECT_EQ(call("COPY a b"), ":1\r\n");
  EXPECT_EQ(call("RENAME a c"), "+OK\r\n");
  EXPECT_TRUE(fake_->store["b"].value == large);
  EXPECT_TRUE(fake_->store["c"].value == large);
  EXPECT_FALSE(fake_->store.contains("a"));
  run();
  EXPECT_EQ(fake_->pins(), 0u);
  EXPECT_EQ(fake_->uploads(), 0u);
  EXPECT_EQ(fake_->free_bytes(), free);
}

// ---- the format of DUMP ------------------------------------------------------------------------

// From redis-server 7.0.15.
TEST(DumpFormat, AsRedisWritesIt) {
  EXPECT_EQ(crc64(0, "123456789"), 0xe9c6d914c4b8d9caull);
  EXPECT_EQ(crc64(crc64(0, "1234"), "56789"), 0xe9c6d914c4b8d9caull);
}

TEST(DumpFormat, ComesBack) {
  std::string random = pattern(100'000, 7);
  for (const std::string& value :
       {std::string(), std::string("0"), std::string("-129"), std::string("70000"),
        std::string("3000000000"), std::string("007"), std::string(64, 'x'), random,
        random.substr(0, 63), random.substr(0, 16384)}) {
    std::string_view back;
    std::string plain;
    const std::string payload = dump_string(value);
    ASSERT_EQ(restore_string(payload, back, plain), Restored::kOk);
    EXPECT_EQ(back, value);
    std::string in_pieces = dump_head(value.size()) + value;
    in_pieces += dump_footer(crc64(0, in_pieces));
    ASSERT_EQ(restore_string(in_pieces, back, plain), Restored::kOk);
    EXPECT_EQ(back, value);
  }
}

std::string sealed(std::string body) {
  return body + dump_footer(crc64(0, body));
}

TEST(DumpFormat, HostilePayloadsAreRefused) {
  std::string_view value;
  std::string plain;
  const auto restore = [&](const std::string& body) {
    return restore_string(sealed(body), value, plain);
  };
  EXPECT_EQ(restore_string("", value, plain), Restored::kWrongChecksum);
  EXPECT_EQ(restore_string("xxxxxxxxxx", value, plain), Restored::kWrongChecksum);
  EXPECT_EQ(restore(""), Restored::kBadFormat);
  EXPECT_EQ(restore({"\x01\x01x", 3}), Restored::kBadFormat);   // a list
  EXPECT_EQ(restore({"\0", 1}), Restored::kBadFormat);          // no length
  EXPECT_EQ(restore({"\0\x05xxxx", 6}), Restored::kBadFormat);  // shorter than it says
  EXPECT_EQ(restore({"\0\x80\xff\xff\xff\xffx", 7}), Restored::kBadFormat);
  EXPECT_EQ(restore({"\0\x81\xff\xff\xff\xff\xff\xff\xff\xff", 10}), Restored::kBadFormat);
  EXPECT_EQ(restore({"\0\x82\0\0\0\0", 6}), Restored::kBadFormat);              // no such length
  EXPECT_EQ(restore({"\0\xc2\x01", 3}), Restored::kBadFormat);                  // half an integer
  EXPECT_EQ(restore({"\0\xc5\x01", 3}), Restored::kBadFormat);                  // no such kind
  EXPECT_EQ(restore({"\0\xc3\x02\x80\x20\0\0\0xx", 9}), Restored::kBadFormat);  // 512 MB from two
  EXPECT_EQ(restore({"\0\xc3\x02\x05\x20\x01", 6}), Restored::kBadFormat);  // points before itself
}

// A payload of LZF that claims `length` bytes and gives 1 + 264 * `references`.
std::string runs_of_one_byte(uint32_t length, uint32_t references) {
  const auto append = [](std::string& to, uint32_t number) {
    to.push_back('\x80');
    for (int shift = 24; shift >= 0; shift -= 8) to.push_back(static_cast<char>(number >> shift));
  };
  std::string body("\0\xc3", 2);
  append(body, 2 + 3 * references);
  append(body, length);
  body.append({"\0x", 2});
  for (uint32_t i = 0; i < references; ++i) body.append({"\xe0\xff\0", 3});
  return sealed(body);
}

TEST(DumpFormat, WhatIsClaimedCostsNothing) {
  std::string plain;
  const auto claim = [&](uint32_t length, uint32_t references) {
    std::string_view value;
    std::string().swap(plain);
    return restore_string(runs_of_one_byte(length, references), value, plain);
  };
  constexpr uint32_t kMany = 10'000, kGiven = 1 + 264 * kMany;
  for (const uint32_t length : {kGiven + 1, kGiven - 1, kGiven * 2}) {
    EXPECT_EQ(claim(length, kMany), Restored::kBadFormat);
    EXPECT_LT(plain.capacity(), 100u);  // no memory was taken for what it cannot give
  }
  EXPECT_EQ(claim(kGiven, kMany), Restored::kOk);
  EXPECT_EQ(plain, std::string(kGiven, 'x'));
  constexpr uint32_t kBomb = 2'100'000;  // 554 MB from 6 MB
  EXPECT_EQ(claim(1 + 264 * kBomb, kBomb), Restored::kTooLarge);
  EXPECT_LT(plain.capacity(), 100u);
}

// What is well-formed, and how long it is, are the library's to say.
TEST(DumpFormat, TakesWhatTheLibraryDecompresses) {
  std::mt19937_64 dice(7);
  std::string room(1 << 16, '\0');
  size_t well_formed = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string packed = {3, 'a', 'b', 'c', 'd'};
    while (dice() % 4 != 0) packed.push_back(static_cast<char>(dice() >> (dice() % 2 * 61)));
    const unsigned length = lzf_decompress(packed.data(), static_cast<unsigned>(packed.size()),
                                           room.data(), static_cast<unsigned>(room.size()));
    if (packed.size() > 63 || length > 16383) continue;
    const unsigned claimed = length == 0 ? 40 : length;
    std::string body("\0\xc3", 2);
    body.push_back(static_cast<char>(packed.size()));
    body.push_back(static_cast<char>(0x40 | claimed >> 8));
    body.push_back(static_cast<char>(claimed));
    std::string_view value;
    std::string plain;
    const Restored restored = restore_string(sealed(body + packed), value, plain);
    ASSERT_EQ(restored == Restored::kOk, length > 0) << i;
    if (length == 0) continue;
    ASSERT_EQ(value, std::string_view(room).substr(0, length));
    ++well_formed;
  }
  EXPECT_GT(well_formed, 1000u);
}

}  // namespace
}  // namespace rdmakv::proxy
