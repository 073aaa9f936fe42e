// The connections of a queue, in two parts, so that a poll need not look at the rings of hundreds
// of clients of which a few are busy:
//
//   [ active: looked at by every poll | idle: some of them by each poll, in turn ]
//
// One that has something becomes active, and idle again when it has had nothing for as long as it
// takes from one settle() to the next. Before the thread sleeps all are to be looked at.
//
// Where a connection stands is kept in it (ShmEndpoint::turn), so everything but settle() takes the
// same time for however many. The queue's thread's.
#pragma once

#include <cstddef>
#include <vector>

namespace rdmakv::shm {

class ShmEndpoint;

class EndpointTurns {
 public:
  // Of the idle ones a poll looks at so many, or at this share if that is more: with 500 clients at
  // 31, and at each of them within 16 polls.
  static constexpr size_t kLeast = 16;
  static constexpr size_t kShare = 16;

  static constexpr size_t kNowhere = ~size_t{0};
  struct Turn {
    size_t place = kNowhere;
    bool had = false;  // something, since the last settle()
  };

  void add(ShmEndpoint& endpoint);
  void remove(ShmEndpoint& endpoint);  // nothing, if it is not here
  // It has something. Nothing, if it is not here.
  void stir(ShmEndpoint& endpoint);
  // Looks which of the idle ones have something: of some, or of all.
  void look_around(bool all);
  void settle();

  size_t active() const { return active_; }
  ShmEndpoint& operator[](size_t place) const { return *endpoints_[place]; }
  const std::vector<ShmEndpoint*>& all() const { return endpoints_; }

 private:
  void exchange(size_t a, size_t b);

  std::vector<ShmEndpoint*> endpoints_;
  size_t active_ = 0;
  size_t next_idle_ = 0;  // whose turn it is
};

}  // namespace rdmakv::shm
