// LD_PRELOADed into a program, counts the locks that it and its libraries take: in the first eight
// bytes of the file that LOCK_COUNTER_FILE names. (Locks inside libc, such as malloc's, are not
// seen.)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t* counter;

__attribute__((constructor)) static void open_counter(void) {
  const char* const path = getenv("LOCK_COUNTER_FILE");
  if (path == NULL) return;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void* const page = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) abort();
  close(fd);
  counter = page;
}

#define COUNTED(name, type)                                                \
  int name(type* lock) {                                                   \
    static int (*next)(type*);                                             \
    int (*known)(type*) = __atomic_load_n(&next, __ATOMIC_RELAXED);        \
    if (known == NULL) {                                                   \
      known = (int (*)(type*))dlsym(RTLD_NEXT, #name);                     \
      __atomic_store_n(&next, known, __ATOMIC_RELAXED);                    \
    }                                                                      \
    if (counter != NULL) __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); \
    return known(lock);                                                    \
  }

COUNTED(pthread_mutex_lock, pthread_mutex_t)
COUNTED(pthread_mutex_trylock, pthread_mutex_t)
COUNTED(pthread_rwlock_rdlock, pthread_rwlock_t)
COUNTED(pthread_rwlock_wrlock, pthread_rwlock_t)
COUNTED(pthread_rwlock_tryrdlock, pthread_rwlock_t)
COUNTED(pthread_rwlock_trywrlock, pthread_rwlock_t)
COUNTED(pthread_cond_signal, pthread_cond_t)
COUNTED(pthread_cond_broadcast, pthread_cond_t)
