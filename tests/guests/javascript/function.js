// A wasi:http 0.2 handler as componentize-js makes it of a script: a whole engine in a component.

import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from 'wasi:http/types@0.2.12';

export const incomingHandler = {
  handle(request, out) {
    const path = request.pathWithQuery() ?? '';
    const response = new OutgoingResponse(new Fields());
    const body = response.body();
    ResponseOutparam.set(out, { tag: 'ok', val: response });
    const stream = body.write();
    stream.blockingWriteAndFlush(new TextEncoder().encode(`JavaScript ${path}`));
    stream[Symbol.dispose]();
    OutgoingBody.finish(body, undefined);
  },
};
