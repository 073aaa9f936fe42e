#include "proxy/put.h"

#include "proxy/connection.h"
#include "proxy/upload.h"

namespace rdmakv::proxy {

void submit_put(Request& request, Arguments arguments, size_t value_index,
                Request::Continuation then) {
  request.operation.kind = OperationKind::kPut;
  submit_with_input(request, arguments, value_index, then);
}

void submit_with_input(Request& request, Arguments arguments, size_t input_index,
                       Request::Continuation then, std::string_view comparison) {
  Operation& operation = request.operation;
  LargeArgument* large = request.large_argument(input_index);
  if (large == nullptr) {
    request.set_key_and_value(arguments[1], arguments[input_index], comparison);
    return request.submit(then);
  }
  request.set_key_and_value(arguments[1], {}, comparison);
  switch (large->kind()) {
    case LargeArgument::Kind::kRegistered:
      operation.input_buffer = large->take_buffer();
      request.submit(then);
      return request.connection().put_submitted(request, large->length());
    case LargeArgument::Kind::kUpload:
      // Nothing else is issued before the commit is: the key's order is that of the commands.
      request.connection().block(Connection::kUpload);
      return large->take_upload()->commit(request, then);
    case LargeArgument::Kind::kHeap: {
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
