/* The C API from C, against a kv_server that is there already:
 *   c_api_test ADDRESS PORT cm|socket
 * Prints what is wrong and ends with 1, or prints "ok". */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv_store.h"

#define CHECK(condition)                                                                   \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, kv_client_error(client)); \
      exit(1);                                                                             \
    }                                                                                      \
  } while (0)

static kv_client_t* client;

static void the_example(void) {
  char buf[100];
  size_t len = sizeof buf;
  uint64_t ver = 0;
  kv_client_del(client, "key", 3);
  CHECK(kv_client_put(client, "key", 3, "value", 5) == KV_OK);
  CHECK(kv_client_get_version(client, "key", 3, buf, &len, &ver) == KV_OK);
  CHECK(len == 5 && memcmp(buf, "value", 5) == 0);
  CHECK(kv_client_cas(client, "key", 3, ver, "new", 3, &ver) == KV_OK);
  len = sizeof buf;
  CHECK(kv_client_get(client, "key", 3, buf, &len) == KV_OK);
  CHECK(len == 3 && memcmp(buf, "new", 3) == 0);
}

static void answers(void) {
  char buf[8];
  size_t len = sizeof buf;
  uint64_t ver = 77, now = 0;
  CHECK(kv_client_get(client, "nobody", 6, buf, &len) == KV_ERR_NOT_FOUND);
  CHECK(kv_client_error(client)[0] != '\0');
  CHECK(kv_client_del(client, "nobody", 6) == KV_ERR_NOT_FOUND);
  CHECK(kv_client_cas(client, "nobody", 6, 5, "x", 1, &ver) == KV_ERR_VERSION_MISMATCH && ver == 0);
  CHECK(kv_client_cas(client, "fresh", 5, 0, "x", 1, &ver) == KV_OK && ver > 0);
  CHECK(kv_client_cas(client, "fresh", 5, 0, "y", 1, &now) == KV_ERR_VERSION_MISMATCH &&
        now == ver);
  CHECK(kv_client_put(client, "fresh", 5, "0123456789", 10) == KV_OK);
  len = sizeof buf;
  CHECK(kv_client_get(client, "fresh", 5, buf, &len) == KV_ERR_TOO_LARGE && len == 10);
  len = 0;
  CHECK(kv_client_get(client, "fresh", 5, NULL, &len) == KV_ERR_TOO_LARGE && len == 10);
  CHECK(kv_client_put(client, "empty", 5, NULL, 0) == KV_OK);
  len = 0;
  CHECK(kv_client_get(client, "empty", 5, NULL, &len) == KV_OK && len == 0);
  CHECK(kv_client_del(client, "fresh", 5) == KV_OK);
  CHECK(kv_client_error(client)[0] == '\0');
}

static void bad_arguments(void) {
  size_t len = 1;
  CHECK(kv_client_put(client, NULL, 3, "x", 1) == KV_ERR_INVALID);
  CHECK(kv_client_put(client, "k", 1, NULL, 1) == KV_ERR_INVALID);
  CHECK(kv_client_get(client, "k", 1, NULL, &len) == KV_ERR_INVALID);
  CHECK(kv_client_get(client, "k", 1, &len, NULL) == KV_ERR_INVALID);
  CHECK(kv_client_put(NULL, "k", 1, "v", 1) == KV_ERR_INVALID);
  CHECK(kv_client_create((kv_conn_mode_t)7) == NULL);
  CHECK(kv_strerror(12345) != NULL && kv_strerror(KV_ERR_REFUSED) != NULL);
}

static void large_values(void) {
  const size_t size = 20u << 20;
  char *value = malloc(size), *back = malloc(size);
  size_t i, len = size;
  CHECK(value != NULL && back != NULL);
  for (i = 0; i < size; ++i) value[i] = (char)(i * 31 + i / 4099);
  CHECK(kv_client_put(client, "large", 5, value, size) == KV_OK);
  CHECK(kv_client_get(client, "large", 5, back, &len) == KV_OK);
  CHECK(len == size && memcmp(value, back, size) == 0);
  CHECK(kv_client_del(client, "large", 5) == KV_OK);
  free(value);
  free(back);
}

static void transactions(void) {
  char buf[8];
  size_t len = sizeof buf, done = 7;
  uint64_t ver = 0, now = 0;
  kv_client_del(client, "{t}a", 4);
  CHECK(kv_client_put(client, "{t}b", 4, "5", 1) == KV_OK);
  CHECK(kv_client_watch(client, "{t}a", 4, &ver) == KV_OK && ver == 0);
  CHECK(kv_client_watch(client, "{t}b", 4, &ver) == KV_OK && ver > 0);
  CHECK(kv_client_queue_put(client, "{t}a", 4, "1", 1) == KV_OK);
  CHECK(kv_client_queue_get(client, "{t}b", 4) == KV_OK);
  CHECK(kv_client_queue_del(client, "{t}b", 4) == KV_OK);
  CHECK(kv_client_queue_get(client, "{t}b", 4) == KV_OK);
  CHECK(kv_client_get(client, "{t}a", 4, buf, &len) == KV_ERR_NOT_FOUND);
  CHECK(kv_client_exec(client, &done) == KV_OK && done == 4);
  CHECK(kv_client_result(client, 0, NULL, NULL, &now) == KV_OK && now > 0);
  CHECK(kv_client_result(client, 1, buf, &len, &now) == KV_OK && len == 1 && buf[0] == '5');
  CHECK(now == ver);
  len = 0;
  CHECK(kv_client_result(client, 1, NULL, &len, NULL) == KV_ERR_TOO_LARGE && len == 1);
  CHECK(kv_client_result(client, 2, NULL, NULL, NULL) == KV_OK);
  CHECK(kv_client_result(client, 3, NULL, NULL, NULL) == KV_ERR_NOT_FOUND);
  CHECK(kv_client_result(client, 4, NULL, NULL, NULL) == KV_ERR_INVALID);
  /* It came and went. */
  CHECK(kv_client_watch(client, "{t}b", 4, NULL) == KV_OK);
  CHECK(kv_client_put(client, "{t}b", 4, "x", 1) == KV_OK);
  CHECK(kv_client_del(client, "{t}b", 4) == KV_OK);
  CHECK(kv_client_queue_put(client, "{t}a", 4, "2", 1) == KV_OK);
  CHECK(kv_client_exec(client, &done) == KV_ERR_VERSION_MISMATCH && done == 0);
  CHECK(kv_client_error(client)[0] != '\0');
  len = sizeof buf;
  CHECK(kv_client_get(client, "{t}a", 4, buf, &len) == KV_OK && len == 1 && buf[0] == '1');
  /* Nothing is left of it. */
  CHECK(kv_client_exec(client, &done) == KV_OK && done == 0);
  CHECK(kv_client_queue_put(client, "{t}a", 4, "3", 1) == KV_OK);
  CHECK(kv_client_queue_put(client, "{u}a", 4, "3", 1) == KV_OK);
  CHECK(kv_client_exec(client, NULL) == KV_ERR_INVALID);
  CHECK(strstr(kv_client_error(client), "slot") != NULL);
  CHECK(kv_client_queue_put(client, "{t}a", 4, "4", 1) == KV_OK);
  kv_client_discard(client);
  CHECK(kv_client_exec(client, &done) == KV_OK && done == 0);
  len = sizeof buf;
  CHECK(kv_client_get(client, "{t}a", 4, buf, &len) == KV_OK && len == 1 && buf[0] == '1');
  CHECK(kv_client_queue_put(client, "k", 1, NULL, 1) == KV_ERR_INVALID);
  CHECK(kv_client_queue_get(client, NULL, 1) == KV_ERR_INVALID);
  CHECK(kv_client_watch(client, NULL, 1, NULL) == KV_ERR_INVALID);
}

static void* many_puts(void* name) {
  int i;
  for (i = 0; i < 300; ++i) {
    char buf[16];
    size_t len = sizeof buf;
    CHECK(kv_client_put(client, name, strlen(name), name, strlen(name)) == KV_OK);
    CHECK(kv_client_get(client, name, strlen(name), buf, &len) == KV_OK);
    CHECK(len == strlen(name) && memcmp(buf, name, len) == 0);
  }
  return NULL;
}

static void several_threads(void) {
  pthread_t one, other;
  CHECK(pthread_create(&one, NULL, many_puts, "one") == 0);
  CHECK(pthread_create(&other, NULL, many_puts, "other") == 0);
  pthread_join(one, NULL);
  pthread_join(other, NULL);
}

static int connect_to(const char* address, uint16_t port, kv_conn_mode_t mode) {
  return mode == CONN_MODE_CM ? kv_client_connect(client, address, port)
                              : kv_client_connect_socket(client, address, port, NULL);
}

static void connecting(const char* address, uint16_t port, kv_conn_mode_t mode) {
  const kv_conn_mode_t other = mode == CONN_MODE_CM ? CONN_MODE_SOCKET : CONN_MODE_CM;
  CHECK(kv_client_set_timeout_ms(client, 0) == KV_ERR_INVALID);
  CHECK(kv_client_set_timeout_ms(client, 60000) == KV_OK);
  CHECK(kv_client_put(client, "k", 1, "v", 1) == KV_ERR_UNAVAILABLE);
  CHECK(connect_to("", port, mode) == KV_ERR_INVALID);
  CHECK(connect_to(address, 0, mode) == KV_ERR_INVALID);
  CHECK(connect_to(address, port, other) == KV_ERR_INVALID);
  CHECK(connect_to(address, port, mode) == KV_OK);
  CHECK(connect_to(address, port, mode) == KV_ERR_INVALID);
}

int main(int argc, char** argv) {
  const int port = argc == 4 ? atoi(argv[2]) : 0;
  kv_conn_mode_t mode = CONN_MODE_CM;
  if (port <= 0 || port > 65535) {
    fprintf(stderr, "usage: c_api_test ADDRESS PORT cm|socket\n");
    return 2;
  }
  if (strcmp(argv[3], "socket") == 0) mode = CONN_MODE_SOCKET;
  client = kv_client_create(mode);
  CHECK(client != NULL);
  connecting(argv[1], (uint16_t)port, mode);
  the_example();
  answers();
  bad_arguments();
  large_values();
  transactions();
  several_threads();
  kv_client_disconnect(client);
  CHECK(kv_client_put(client, "k", 1, "v", 1) == KV_ERR_UNAVAILABLE);
  CHECK(connect_to(argv[1], (uint16_t)port, mode) == KV_OK);
  the_example();
  kv_client_destroy(client);
  kv_client_destroy(NULL);
  puts("ok");
  return 0;
}
