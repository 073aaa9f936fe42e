#include "tests/proxy/harness.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace rdmakv::proxy {
namespace {

Options test_options(Options options = {}) {
  options.tcp = false;
  options.spin_us = 0;
  return options;
}

}  // namespace

TestClient::~TestClient() {
  close();
}

void TestClient::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void TestClient::close_sending() {
  ::shutdown(fd_, SHUT_WR);
}

size_t TestClient::send_some(std::string_view bytes) {
  const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return sent > 0 ? static_cast<size_t>(sent) : 0;
}

void TestClient::receive() {
  char buffer[65536];
  for (;;) {
    const ssize_t bytes = ::read(fd_, buffer, sizeof(buffer));
    if (bytes > 0) {
      received_.append(buffer, static_cast<size_t>(bytes));
      continue;
    }
    if (bytes == 0 || errno == ECONNRESET) ended_ = true;
    return;
  }
}

std::string TestClient::take() {
  receive();
  return std::exchange(received_, {});
}

ProxyTest::ProxyTest(const fakes::FakeClient::Options& options) : proxy_(test_options()) {
  auto fake = std::make_unique<fakes::FakeClient>(options);
  fake_ = fake.get();
  worker_ = &proxy_.add_worker(std::move(fake));
}

ProxyTest::ProxyTest(const Options& options) : proxy_(test_options(options)) {
  auto fake = std::make_unique<fakes::FakeClient>();
  fake_ = fake.get();
  worker_ = &proxy_.add_worker(std::move(fake));
}

ProxyTest::~ProxyTest() = default;

TestClient ProxyTest::connect() {
  int pair[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
  EXPECT_TRUE(proxy_.client_arrives());
  worker_->adopt(pair[0]);
  return TestClient(pair[1]);
}

// What a turn leads to may need another one; no chain of steps here is longer than this.
void ProxyTest::run() {
  for (int i = 0; i < 40; ++i) worker_->turn(false);
}

void ProxyTest::send(TestClient& client, std::string_view bytes) {
  for (int idle = 0; !bytes.empty() && idle < 100;) {
    const size_t sent = client.send_some(bytes);
    bytes.remove_prefix(sent);
    idle = sent == 0 ? idle + 1 : 0;
    worker_->turn(false);
    client.receive();
  }
  EXPECT_TRUE(bytes.empty()) << bytes.size() << " bytes were not taken";
  run();
}

std::string ProxyTest::call(TestClient& client, std::initializer_list<std::string_view> arguments) {
  send(client, command(arguments));
  return client.take();
}

std::string ProxyTest::call(TestClient& client, std::string_view inline_command) {
  send(client, std::string(inline_command) + "\r\n");
  return client.take();
}

std::string ProxyTest::read(TestClient& client, size_t bytes) {
  std::string all;
  for (int idle = 0; all.size() < bytes && idle < 50;) {
    worker_->turn(false);
    const std::string more = client.take();
    idle = more.empty() ? idle + 1 : 0;
    all += more;
  }
  return all;
}

std::string command(std::initializer_list<std::string_view> arguments) {
  std::string text = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string_view argument : arguments) text += bulk(argument);
  return text;
}

std::string bulk(std::string_view value) {
  return "$" + std::to_string(value.size()) + "\r\n" + std::string(value) + "\r\n";
}

std::string pattern(size_t length, uint32_t seed) {
  std::string text(length, '\0');
  for (char& c : text) {
    seed = seed * 1664525 + 1013904223;
    c = static_cast<char>(seed >> 24);
  }
  return text;
}

}  // namespace rdmakv::proxy
