// A client of @discordjs/ws as any user would write it, driven over stdin and heard on stdout.
//
// usage: node client.mjs URL < commands
// The first line of stdin is the token. Then: {"do": "send", "payload": {...}}, {"do": "cut"}
// (the socket is destroyed without a closing handshake), {"do": "end"}.
// Each event of the library is a JSON line: {"event", ...}.

import { createInterface } from 'node:readline';
import { WebSocketManager, WebSocketShardEvents } from '@discordjs/ws';

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
const url = process.argv[2];
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const token = (await lines.next()).value;

const gateway = {
  url,
  shards: 1,
  session_start_limit: { total: 1000, remaining: 1000, reset_after: 1000, max_concurrency: 1 },
};
const manager = new WebSocketManager({
  token,
  intents: 0,
  rest: { get: async () => gateway }, // in the place of GET /gateway/bot
});
const shard = () => manager.strategy.shards.get(0);

manager
  .on(WebSocketShardEvents.Ready, (data) => say('ready', { data, to: shard().connection.url }))
  .on(WebSocketShardEvents.Resumed, () => say('resumed', { to: shard().connection.url }))
  .on(WebSocketShardEvents.Dispatch, (payload) => say('dispatch', { payload }))
  .on(WebSocketShardEvents.Closed, (code) => say('closed', { code }))
  .on(WebSocketShardEvents.HeartbeatComplete, (stats) => say('heartbeat', stats))
  .on(WebSocketShardEvents.SocketError, (error) => say('socket_error', { message: String(error) }))
  .on(WebSocketShardEvents.Error, (error) => say('error', { message: String(error) }))
  .on(WebSocketShardEvents.Debug, (message) => say('debug', { message }));

manager.connect().catch((error) => say('error', { message: String(error) }));
for await (const line of lines) {
  const command = JSON.parse(line);
  if (command.do === 'send') await manager.send(0, command.payload);
  else if (command.do === 'cut') shard().connection.terminate();
  else break;
}
await manager.destroy();
say('ended');
process.exit(0);
