// A bare `ws` server: who connects is in the room, and `P` publishes what follows.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false, backlog: 4096,
});
const members = new Set();

server.on("connection", (socket) => {
  socket.on("close", () => members.delete(socket));
  socket.on("error", () => members.delete(socket));
  socket.on("message", (message) => {
    const text = message.toString();
    if (text === "J") {
      members.add(socket);
      socket.send("J");
    } else if (text[0] === "P") {
      const event = text.slice(1);
      for (const member of members) member.send(event);
    }
  });
});
