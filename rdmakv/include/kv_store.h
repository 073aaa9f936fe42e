/* kv_store.h: the synchronous C API of the rdmakv client library.
 *
 *   kv_client_t *client = kv_client_create(CONN_MODE_CM);
 *   if (kv_client_connect(client, "192.168.1.100", 12345) != KV_OK)
 *     fprintf(stderr, "%s\n", kv_client_error(client));
 *   kv_client_put(client, "key", 3, "value", 5);
 *   char buf[100]; size_t len = sizeof buf;              // in: capacity, out: length
 *   kv_client_get(client, "key", 3, buf, &len);
 *   uint64_t ver; kv_client_cas(client, "key", 3, 1, "new", 3, &ver);
 *   kv_client_disconnect(client);
 *   kv_client_destroy(client);
 *
 * Several servers, among which the keys are spread as kv_proxy spreads them:
 *
 *   kv_client_add_server(client, "192.168.1.100:7000");   // the same list as everywhere else
 *   kv_client_add_server(client, "192.168.1.101:7000/2"); // with twice the share of the keys
 *   kv_client_connect_servers(client, NULL);
 *
 * Threads: a client may be used from several threads; its calls take turns. For parallel work give
 * each thread a client of its own. Every call blocks until the server answered or the timeout
 * passed.
 *
 * Keys are 1 to 65,536 bytes (0 is allowed too), values 0 bytes to 512 MB; both are any bytes.
 */
#ifndef RDMAKV_KV_STORE_H
#define RDMAKV_KV_STORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kv_client kv_client_t;

/* How connections are made. Both reach the server through shared memory instead when this machine
 * has no RDMA device and the address is one of this machine's own. */
typedef enum kv_conn_mode {
  CONN_MODE_CM = 0,    /* RDMA CM */
  CONN_MODE_SOCKET = 1 /* queue pairs set up by hand after a TCP exchange */
} kv_conn_mode_t;

/* What every call that can fail returns. KV_OK is 0, all others are negative. */
typedef enum kv_error {
  KV_OK = 0,
  KV_ERR_NOT_FOUND = -1,        /* no such key */
  KV_ERR_VERSION_MISMATCH = -2, /* cas: the key's version is another one */
  KV_ERR_CONDITION = -3,        /* a condition of the call was not met; nothing changed */
  KV_ERR_NO_SPACE = -4,         /* the server has no room; what was stored stays */
  KV_ERR_TOO_LARGE = -5,        /* key or value beyond its limit, or buffer too small */
  KV_ERR_INVALID = -6,          /* a bad argument */
  KV_ERR_UNAVAILABLE = -7, /* not connected, and the server can't be reached; nothing changed */
  KV_ERR_TIMEOUT = -8,     /* no answer in time; a change may still take place */
  KV_ERR_UNKNOWN = -9,   /* the connection broke before the answer; a change may have taken place */
  KV_ERR_REFUSED = -10,  /* the server refused: wrong version, wrong secret, too many clients */
  KV_ERR_PROTOCOL = -11, /* the peer does not speak this protocol */
  KV_ERR_SYSTEM = -12,   /* a system or device call failed */
  KV_ERR_NO_MEMORY = -13
} kv_error_t;

/* What an error code means, in a few words; static storage, never NULL. */
const char* kv_strerror(int error);

/* A client that is not connected yet; NULL when out of memory. */
kv_client_t* kv_client_create(kv_conn_mode_t mode);

/* Set before connecting. Each copies what it is given. */
int kv_client_set_secret(kv_client_t* client, const void* secret, size_t length);
int kv_client_set_timeout_ms(kv_client_t* client, uint32_t timeout_ms);

/* Connects by RDMA CM (CONN_MODE_CM). ip: name or address. */
int kv_client_connect(kv_client_t* client, const char* ip, uint16_t port);
/* Connects in Socket mode (CONN_MODE_SOCKET). device: as ibv_devices names it; NULL picks one. */
int kv_client_connect_socket(kv_client_t* client, const char* ip, uint16_t port,
                             const char* device);

/* Several servers. Before connecting, each is named: "HOST:PORT" (reached in the client's mode),
 * "rdma:HOST:PORT", "rdma+socket:HOST:PORT" or "shm:PORT", and perhaps "/WEIGHT", a positive
 * number, its share of the keys; or by a file, "ADDRESS" or "ADDRESS WEIGHT" a line, # for
 * comments. Every program that shares data must name the same servers, written alike, with the same
 * weights, in any order. */
int kv_client_add_server(kv_client_t* client, const char* server);
int kv_client_add_servers_file(kv_client_t* client, const char* path);
/* Connects to all of them; device as above, or NULL. KV_OK if at least one can be reached. One that
 * can't be fails its own keys only, at once, with KV_ERR_UNAVAILABLE and a text that names it,
 * until it is back: then the next call finds it (a call for one of its keys may wait a tenth of a
 * second to see whether it is). */
int kv_client_connect_servers(kv_client_t* client, const char* device);

/* Closes the connections; the client may connect again. Servers that were added stay. */
void kv_client_disconnect(kv_client_t* client);
/* Disconnects if needed, and frees. NULL is ignored. */
void kv_client_destroy(kv_client_t* client);

int kv_client_put(kv_client_t* client, const void* key, size_t key_length, const void* value,
                  size_t value_length);

/* *length: in, the capacity of buffer; out, the length of the value, also under KV_ERR_TOO_LARGE,
 * when buffer has too little room (its content is then undefined). */
int kv_client_get(kv_client_t* client, const void* key, size_t key_length, void* buffer,
                  size_t* length);
/* The same, with the version of the value; version may be NULL. */
int kv_client_get_version(kv_client_t* client, const void* key, size_t key_length, void* buffer,
                          size_t* length, uint64_t* version);

/* Stores value if the key's version is `expected` (0: if there is no such key). *version receives
 * the new version, or under KV_ERR_VERSION_MISMATCH the current one (0: no such key); it may be
 * NULL. */
int kv_client_cas(kv_client_t* client, const void* key, size_t key_length, uint64_t expected,
                  const void* value, size_t value_length, uint64_t* version);

/* KV_ERR_NOT_FOUND when there was no such key. */
int kv_client_del(kv_client_t* client, const void* key, size_t key_length);

/* Transactions: several commands in one step, if none of the watched keys has changed; what WATCH,
 * MULTI and EXEC are to Redis's clients. All keys are of one hash slot (CRC16 of the key or of its
 * {tag}, as in Redis Cluster): "{accounts}a" and "{accounts}b" are.
 *
 *   kv_client_watch(client, "{accounts}a", 12, NULL);  // from here on it must not change
 *   ... kv_client_get() ...
 *   kv_client_queue_put(client, "{accounts}a", 12, "90", 2);
 *   kv_client_queue_put(client, "{accounts}b", 12, "10", 2);
 *   size_t done;
 *   int result = kv_client_exec(client, &done);  // KV_OK: all of it; KV_ERR_VERSION_MISMATCH:
 * nothing
 *
 * A client has one transaction at a time; so threads that share a client must not share this. */

/* The key must be unchanged when kv_client_exec() is done, created, deleted and expired included;
 * so must its server not have been started anew. *version receives the present version, 0 if there
 * is no such key; it may be NULL. */
int kv_client_watch(kv_client_t* client, const void* key, size_t key_length, uint64_t* version);
/* Commands, done in this order by kv_client_exec(), not before. What they are given is copied. */
int kv_client_queue_get(kv_client_t* client, const void* key, size_t key_length);
int kv_client_queue_put(kv_client_t* client, const void* key, size_t key_length, const void* value,
                        size_t value_length);
int kv_client_queue_del(kv_client_t* client, const void* key, size_t key_length);
/* KV_OK: done, and kv_client_result() tells about each of *commands commands (may be NULL).
 * KV_ERR_VERSION_MISMATCH: a watched key has changed; nothing was done. KV_ERR_INVALID: the keys
 * are not of one hash slot; nothing was done. KV_ERR_TIMEOUT, KV_ERR_UNKNOWN: it may have been
 * done, all of it or nothing. Whatever is returned, nothing is watched or queued any more. */
int kv_client_exec(kv_client_t* client, size_t* commands);
/* Forgets what is watched and queued. */
void kv_client_discard(kv_client_t* client);
/* What became of command `number` (from 0) of the last kv_client_exec(), as if it had been called
 * alone. buffer, length: the value of a get, as kv_client_get() has them; both NULL: not wanted.
 * *version: the key's version after it; may be NULL. */
int kv_client_result(kv_client_t* client, size_t number, void* buffer, size_t* length,
                     uint64_t* version);

/* What went wrong in this client's last failed call, in words; "" when nothing did. Valid until the
 * client's next call. */
const char* kv_client_error(kv_client_t* client);

#ifdef __cplusplus
}
#endif

#endif
