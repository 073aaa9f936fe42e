// Between an Operation and the messages of the wire (protocol/kv_message.h).
#pragma once

#include "protocol/kv_message.h"
#include "rdmakv/client/operation.h"

namespace rdmakv {

// The request that asks for it, but for its ids and lengths, its ticket and its landing buffer.
wire::RequestHeader request_of(const Operation& operation);

Code code_of(wire::ReplyStatus status);

bool has_function(OperationKind kind);
// The value of the request, in parts that lie in the operation and what it refers to.
wire::ValueParts value_parts(Operation& operation);

// What the header tells, but for where a value lies.
void take_header(Operation& operation, const wire::ReplyHeader& header);
// Gives the operation, a part of a transaction, what came of it. A value is lent: it lies in the
// reply.
void take_reply(Operation& operation, const wire::ReplyView& reply);

}  // namespace rdmakv
