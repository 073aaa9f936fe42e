// What the model is run on: small sets of clients, each with a program, that together bring about
// what the protocol has to stand.
#pragma once

#include <optional>
#include <vector>

#include "tests/model/world.h"

namespace rdmakv::model {

struct Scenario {
  const char* name;
  const char* what;
  Setup setup;
};
const std::vector<Scenario>& scenarios();

// A Scenario as it is, or without one of the rules: then there has to be a violation.
struct Case {
  const char* scenario;
  std::optional<Rule> without;
  bool small = true;  // takes seconds at most
};
const std::vector<Case>& cases();

}  // namespace rdmakv::model
