/* The C API with several servers, for a script that starts and kills them:
 *   c_api_lines SERVER...        or    c_api_lines @FILE
 * Reads lines "get KEY", "put KEY VALUE", "watch KEY", "queue KEY VALUE", "exec", and answers each
 * by a line: the result's number and the value, or the error's text. */
#include <stdio.h>
#include <string.h>

#include "kv_store.h"

static void answer(kv_client_t* client, int result, const char* value) {
  printf("%d %s\n", result, result == KV_OK ? value : kv_client_error(client));
  fflush(stdout);
}

static int get(kv_client_t* client, const char* key, char* value, size_t room) {
  size_t length = room - 1;
  const int result = kv_client_get(client, key, strlen(key), value, &length);
  if (result == KV_OK) value[length] = '\0';
  return result;
}

int main(int argc, char** argv) {
  char line[512], command[16], key[200], value[200];
  int i, result = KV_OK;
  kv_client_t* client = kv_client_create(CONN_MODE_CM);
  kv_client_set_timeout_ms(client, 60000);
  for (i = 1; i < argc && result == KV_OK; ++i) {
    result = argv[i][0] == '@' ? kv_client_add_servers_file(client, argv[i] + 1)
                               : kv_client_add_server(client, argv[i]);
  }
  if (result == KV_OK) result = kv_client_connect_servers(client, NULL);
  answer(client, result, "connected");
  while (result == KV_OK && fgets(line, sizeof line, stdin) != NULL) {
    int done = KV_ERR_INVALID;
    const int words = sscanf(line, "%15s %199s %199s", command, key, value);
    if (words < 3) value[0] = '\0';
    if (words >= 2 && strcmp(command, "get") == 0) {
      done = get(client, key, value, sizeof value);
    } else if (words == 3 && strcmp(command, "put") == 0) {
      done = kv_client_put(client, key, strlen(key), value, strlen(value));
    } else if (words == 2 && strcmp(command, "watch") == 0) {
      done = kv_client_watch(client, key, strlen(key), NULL);
    } else if (words == 3 && strcmp(command, "queue") == 0) {
      done = kv_client_queue_put(client, key, strlen(key), value, strlen(value));
    } else if (words == 1 && strcmp(command, "exec") == 0) {
      done = kv_client_exec(client, NULL);
    }
    answer(client, done, value);
  }
  kv_client_destroy(client);
  return result == KV_OK ? 0 : 1;
}
