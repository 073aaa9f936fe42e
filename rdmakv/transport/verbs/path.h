// How packets find a queue pair whose address is known without the RDMA CM: in Socket mode, where
// the two ends told each other, and for a queue pair connected to itself. Set-up only; thread-safe.
#pragma once

#include "rdmakv/transport/verbs/connect_messages.h"
#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/queue_pair.h"

namespace rdmakv::verbs {

// What a peer has to know to reach `pair` of `device` at `gid`: with a random PSN, so that packets
// of an earlier connection between the same two are not taken for this one's, and the port's active
// MTU.
Result<QueuePairAddress> address_of(const QueuePair& pair, const Device& device, const Gid& gid);

// The way from `own`, a GID of `device`, to `peer`.
Path path_to(const QueuePairAddress& peer, const Device& device, const Gid& own, uint8_t max_reads,
             ibv_mtu mtu);

}  // namespace rdmakv::verbs
