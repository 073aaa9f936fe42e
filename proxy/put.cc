#include "proxy/put.h"

#include "proxy/connection.h"
#include "proxy/upload.h"

namespace rdmakv::proxy {

void submit_put(Request& request, Arguments arguments, size_t value_index,
                Request::Continuation then) {
  Operation& operation = request.operation;
  operation.kind = OperationKind::kPut;
  LargeArgument* large = request.large_argument(value_index);
  if (large == nullptr) {
    request.set_key_and_value(arguments[1], arguments[value_index]);
    return request.submit(then);
  }
  switch (large->kind()) {
    case LargeArgument::Kind::kRegistered:
      request.set_key(arguments[1]);
      operation.input_buffer = large->take_buffer();
      return request.submit(then);
    case LargeArgument::Kind::kUpload:
      request.set_key(arguments[1]);
      // Nothing else is issued before the commit is: the key's order is that of the commands.
      request.connection().block(Connection::kUpload);
      return large->take_upload()->commit(request, then);
    case LargeArgument::Kind::kHeap: {
      request.set_key(arguments[1]);
      const std::string_view value = large->view();
      request.keep(large->take_heap());
      operation.input = std::as_bytes(std::span(value));
      return request.submit(then);
    }
    case LargeArgument::Kind::kDiscarded:
      // It was not to be stored when it began to come in, and is gone.
      return request.finish_error("ERR permissions changed while the value came; send it again");
  }
}

}  // namespace rdmakv::proxy
