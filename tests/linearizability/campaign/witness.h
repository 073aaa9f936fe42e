// What a process that does not end is at. Asked by its parent, each of its threads writes to stderr
// where it is (its stack) and, if it has something to tell, that; the parent adds what the kernel
// knows of the thread, such as what it sleeps on.
//
// Only for processes that will be killed in any case: a thread that is asked within malloc may
// never come back from telling.
#pragma once

#include <sys/types.h>

namespace rdmakv::linearizability {

// In the process, before its threads are started.
void become_witness();

// For the calling thread: called when it is asked, within a signal handler. One at a time; it must
// be gone from before `context` is.
using Testimony = void (*)(void* context);
void set_testimony(Testimony tell, void* context);

// In the parent. Takes some seconds, whatever the process does.
void question(pid_t pid);

}  // namespace rdmakv::linearizability
