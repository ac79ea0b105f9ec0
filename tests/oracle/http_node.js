// SPDX-License-Identifier: MIT
// What Node's http sees in a connection's bytes: answers each request with what it saw, as conformance_server does.
// Prints its port, and ends when its standard input does.
'use strict';
const http = require('http');

function answer(request, response) {
  let hash = 2166136261, length = 0;
  request.on('data', (bytes) => {
    length += bytes.length;
    for (const b of bytes) hash = Math.imul(hash ^ b, 16777619);
  });
  request.on('end', () => {
    const text = (hash >>> 0).toString(16).padStart(8, '0');
    response.writeHead(200, {'X-Saw': `${request.method} ${length} ${text}`, 'Content-Length': 0});
    response.end();
  });
}

const server = http.createServer({keepAliveTimeout: 60000, maxHeaderSize: 65536}, answer);
server.on('checkContinue', (request, response) => {
  response.writeContinue();
  answer(request, response);
});
// Without these, Node drops the connection with the answers that are due, or takes the request for an ordinary one, but
// not always what follows it.
for (const event of ['upgrade', 'connect']) {
  server.on(event, (request, socket) => {
    setImmediate(() => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'));
  });
}
server.on('checkExpectation', (request, response) => {
  response.writeHead(417, {'Connection': 'close', 'Content-Length': 0});
  response.end();
});
server.on('clientError', (error, socket) => {
  if (socket.refused) return;
  socket.refused = true;
  // Behind the answers to the requests before it, which are made in this turn of the loop.
  setImmediate(() => {
    if (socket.writable) {
      socket.end(`HTTP/1.1 400 Bad Request\r\nConnection: close\r\nX-Code: ${error.code}\r\nContent-Length: 0\r\n\r\n`);
    } else {
      socket.destroy();
    }
  });
});
server.httpAllowHalfOpen = true;  // the client's FIN comes with its last request
server.listen(0, '127.0.0.1', 4096, () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
