#include "tools/resp_replies.h"

#include <gtest/gtest.h>

namespace rdmakv {
namespace {

const std::string kStream = "+OK\r\n:12\r\n$5\r\nab\r\nc\r\n$-1\r\n$0\r\n\r\n-ERR no\r\n+PONG\r\n";

TEST(RespReplies, AreCountedWhereverTheStreamIsCut) {
  RespReplies whole;
  EXPECT_EQ(whole.take(kStream), 7u);
  for (size_t piece = 1; piece < kStream.size(); ++piece) {
    RespReplies replies;
    size_t count = 0;
    for (size_t at = 0; at < kStream.size(); at += piece) {
      count += replies.take(std::string_view(kStream).substr(at, piece));
    }
    EXPECT_EQ(count, 7u) << piece;
    EXPECT_EQ(replies.errors(), 1u);
    EXPECT_EQ(replies.first_error(), "ERR no");
    EXPECT_FALSE(replies.broken());
  }
}

TEST(RespReplies, AReplyThatHasNotEndedDoesNotCount) {
  RespReplies replies;
  EXPECT_EQ(replies.take("$5\r\nhello\r"), 0u);
  EXPECT_EQ(replies.take("\n"), 1u);
}

TEST(RespReplies, WhatIsNoneBreaksTheStream) {
  for (const std::string bad :
       {"*1\r\n+OK\r\n", "hello\r\n", "\r\n", "+OK\n", "$\r\n", "$-2\r\n", "$5x\r\n"}) {
    RespReplies replies;
    EXPECT_EQ(replies.take("+OK\r\n" + bad + "+OK\r\n"), 1u) << bad;
    EXPECT_TRUE(replies.broken()) << bad;
    EXPECT_EQ(replies.take("+OK\r\n"), 0u) << bad;
  }
  RespReplies endless;
  EXPECT_EQ(endless.take(std::string(5000, 'x')), 0u);
  EXPECT_TRUE(endless.broken());
}

}  // namespace
}  // namespace rdmakv
