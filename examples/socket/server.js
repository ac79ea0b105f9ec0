// SPDX-License-Identifier: MIT
// A server in Node that answers with the client's SYN. Node has no getsockopt(), so it lends the connection to the
// program synfp, which prints JSON. Usage: node server.js [SYNFP]
'use strict';
const { spawn } = require('child_process');
const net = require('net');

const synfp = process.argv[2] || 'synfp';

function synOf(connection) {
  return new Promise((resolve, reject) => {
    // As descriptor 3: one of 0 to 2 would make the connection blocking, here too.
    const child = spawn(synfp, ['socket', '--fd', '3'], { stdio: ['ignore', 'pipe', 'inherit', connection] });
    let json = '';
    child.stdout.on('data', (some) => { json += some; });
    child.on('error', reject);
    child.on('close', (status) => {
      if (status === 0 || status === 1) resolve(JSON.parse(json));
      else reject(new Error(`synfp ended with status ${status}`));
    });
  });
}

net.createServer({ pauseOnConnect: true }, (connection) => {
  connection.on('error', () => {});  // the client left
  synOf(connection).then(
    (syn) => connection.end(JSON.stringify(syn) + '\n'),
    (why) => { console.error(why.message); connection.destroy(); });
}).listen(8080);
