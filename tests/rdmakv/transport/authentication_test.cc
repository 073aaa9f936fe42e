#include "rdmakv/transport/authentication.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace rdmakv {
namespace {

class Authentication : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_nonce(client_nonce_));
    ASSERT_TRUE(make_nonce(server_nonce_));
  }
  std::string proof(std::string_view secret, Role role) {
    std::string bytes(wire::kProofBytes, '\0');
    EXPECT_TRUE(make_proof(secret, role, client_nonce_, server_nonce_,
                           reinterpret_cast<uint8_t*>(bytes.data())));
    return bytes;
  }
  uint8_t client_nonce_[wire::kNonceBytes] = {};
  uint8_t server_nonce_[wire::kNonceBytes] = {};
};

TEST_F(Authentication, NoncesDiffer) {
  EXPECT_NE(std::memcmp(client_nonce_, server_nonce_, wire::kNonceBytes), 0);
}

TEST_F(Authentication, TheSameSecretProvesTheSame) {
  const std::string a = proof("secret", Role::kClient);
  const std::string b = proof("secret", Role::kClient);
  EXPECT_TRUE(proof_matches(reinterpret_cast<const uint8_t*>(a.data()),
                            reinterpret_cast<const uint8_t*>(b.data())));
}

TEST_F(Authentication, AnotherSecretRoleOrNonceDoesNot) {
  const std::string right = proof("secret", Role::kClient);
  EXPECT_NE(proof("Secret", Role::kClient), right);
  EXPECT_NE(proof("secret", Role::kServer), right);
  server_nonce_[0] ^= 1;
  EXPECT_NE(proof("secret", Role::kClient), right);
}

// RFC 4231 has no case with this message, so the vector is Python's: hmac.new(b"key",
// b"rdmakv client" + bytes(32) + b"\x01" * 32, "sha256").
TEST_F(Authentication, IsHmacSha256) {
  std::memset(client_nonce_, 0, sizeof(client_nonce_));
  std::memset(server_nonce_, 1, sizeof(server_nonce_));
  const std::string bytes = proof("key", Role::kClient);
  std::string hex;
  for (const char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", static_cast<uint8_t>(c));
    hex += digits;
  }
  EXPECT_EQ(hex, "0e0263becc0291ca234c893806732805f5c3faad9d1c4b180058201161361fc3");
}

class SecretFile : public ::testing::Test {
 protected:
  void write(std::string_view content, mode_t mode = 0600) {
    char path[] = "/tmp/rdmakv-secret-XXXXXX";
    const int fd = mkstemp(path);
    ASSERT_GE(fd, 0);
    path_ = path;
    ASSERT_EQ(::write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
    ASSERT_EQ(fchmod(fd, mode), 0);
    close(fd);
  }
  void TearDown() override {
    if (!path_.empty()) unlink(path_.c_str());
  }
  std::string path_;
};

TEST_F(SecretFile, DropsOneNewline) {
  write("s3cret\n");
  EXPECT_EQ(*read_secret_file(path_), "s3cret");
}

TEST_F(SecretFile, RefusesWhatEverybodyCanRead) {
  write("s3cret", 0644);
  EXPECT_NE(read_secret_file(path_).status().message().find("readable by everybody"),
            std::string::npos);
}

TEST_F(SecretFile, RefusesEmptyAndOverlong) {
  write("\n");
  EXPECT_NE(read_secret_file(path_).status().message().find("empty"), std::string::npos);
  unlink(path_.c_str());
  write(std::string(5000, 'x'));
  EXPECT_NE(read_secret_file(path_).status().message().find("4096"), std::string::npos);
}

TEST_F(SecretFile, NamesAMissingFile) {
  EXPECT_NE(read_secret_file("/nowhere/secret").status().message().find("/nowhere/secret"),
            std::string::npos);
}

}  // namespace
}  // namespace rdmakv
