#include "tests/linearizability/campaign/witness.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "tests/linearizability/campaign/child.h"

namespace rdmakv::linearizability {
namespace {

using testing::HasSubstr;

constexpr uint64_t kPatienceNs = 60'000'000'000;

std::string contents(std::FILE* file) {
  std::rewind(file);
  std::string text;
  char piece[4096];
  for (size_t got = 0; (got = std::fread(piece, 1, sizeof(piece), file)) > 0;) {
    text.append(piece, got);
  }
  return text;
}

// A process that waits for what never comes.
TEST(Witness, TellsWhereAProcessHangs) {
  std::FILE* told = std::tmpfile();
  ASSERT_NE(told, nullptr);
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  Result<pid_t> child = start_child([&] {
    dup2(fileno(told), STDERR_FILENO);
    become_witness();
    set_testimony(
        [](void* what) { std::fprintf(stderr, "I wait for %s\n", static_cast<const char*>(what)); },
        const_cast<char*>("Godot"));
    if (write(ready[1], "r", 1) != 1) return 1;
    for (;;) pause();
  });
  ASSERT_TRUE(child) << child.status().to_string();
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);

  testing::internal::CaptureStderr();
  question(*child);
  const std::string known = testing::internal::GetCapturedStderr();
  EXPECT_THAT(known, HasSubstr("process " + std::to_string(*child) + ", thread"));

  // The thread tells when it is scheduled.
  std::string text;
  for (int i = 0; i < 6000 && text.find("Godot") == std::string::npos; ++i) {
    usleep(10'000);
    text = contents(told);
  }
  EXPECT_THAT(text, HasSubstr("I wait for Godot"));
  EXPECT_THAT(text, HasSubstr("linearizability_test(")) << "its stack";
  EXPECT_TRUE(end_child(*child, kPatienceNs));
  close(ready[0]);
  close(ready[1]);
  std::fclose(told);
}

}  // namespace
}  // namespace rdmakv::linearizability
