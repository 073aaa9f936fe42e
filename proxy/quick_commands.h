// What quick_gets.h and quick_sets.h have in common.
#pragma once

#include "proxy/command_table.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

// The command that is named; looked up unless `quick` holds commands of the same name. Null: there
// is none.
template <typename Quick>
const Command* find_quick(Worker& worker, const Quick& quick, Arguments arguments) {
  if (!quick.empty() && quick.name() == arguments[0]) return &quick.command();
  return worker.commands().resolve(arguments, nullptr);
}

}  // namespace rdmakv::proxy
