// Copies from and to memory that others may read and write at the same time, as an adapter makes
// them over a network: what was copied is judged afterwards, by checksum and generation. So
// ThreadSanitizer, which knows no such judgement, is asked to look away from the shared side of
// the copy, and only from that.
#pragma once

#include <cstddef>
#include <cstring>

#ifdef __SANITIZE_THREAD__
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace rdmakv {

inline void copy_from_shared(std::byte* to, const std::byte* from, size_t bytes) {
#ifdef __SANITIZE_THREAD__
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
#endif
  std::memcpy(to, from, bytes);
#ifdef __SANITIZE_THREAD__
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
}

inline void copy_to_shared(std::byte* to, const std::byte* from, size_t bytes) {
#ifdef __SANITIZE_THREAD__
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
  std::memcpy(to, from, bytes);
#ifdef __SANITIZE_THREAD__
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
}

}  // namespace rdmakv
