#include "rdmakv/transport/authentication.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace rdmakv {

Status make_nonce(uint8_t* nonce) {
  if (RAND_bytes(nonce, wire::kNonceBytes) != 1) {
    return {Code::kSystemError, "the system gave no random bytes"};
  }
  return Status::ok();
}

Status make_proof(std::string_view secret, Role role, const uint8_t* client_nonce,
                  const uint8_t* server_nonce, uint8_t* proof) {
  std::string text = role == Role::kServer ? "rdmakv server" : "rdmakv client";
  text.append(reinterpret_cast<const char*>(client_nonce), wire::kNonceBytes);
  text.append(reinterpret_cast<const char*>(server_nonce), wire::kNonceBytes);
  unsigned int length = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const uint8_t*>(text.data()), text.size(), proof, &length) == nullptr ||
      length != wire::kProofBytes) {
    return {Code::kSystemError, "HMAC-SHA256 failed"};
  }
  return Status::ok();
}

bool proof_matches(const uint8_t* a, const uint8_t* b) {
  return CRYPTO_memcmp(a, b, wire::kProofBytes) == 0;
}

uint64_t random_u64() {
  uint64_t number = 0;
  while (number == 0) {
    if (RAND_bytes(reinterpret_cast<uint8_t*>(&number), sizeof(number)) != 1) number = 0;
  }
  return number;
}

Result<std::string> read_secret_file(const std::string& path) {
  constexpr size_t kLongest = 4096;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Status::from_errno("secret file " + path, errno);
  struct stat about {};
  std::string secret(kLongest + 2, '\0');
  const bool known = fstat(fd, &about) == 0;
  const ssize_t length = read(fd, secret.data(), secret.size());
  const int read_error = errno;
  close(fd);
  if (!known || length < 0) return Status::from_errno("secret file " + path, read_error);
  if ((about.st_mode & S_IROTH) != 0) {
    return {Code::kInvalidArgument,
            "secret file " + path + " is readable by everybody: chmod o-r it"};
  }
  secret.resize(static_cast<size_t>(length));
  if (!secret.empty() && secret.back() == '\n') secret.pop_back();
  if (secret.empty()) return {Code::kInvalidArgument, "secret file " + path + " is empty"};
  if (secret.size() > kLongest) {
    return {Code::kInvalidArgument, "secret file " + path + " has more than 4096 bytes"};
  }
  return secret;
}

}  // namespace rdmakv
