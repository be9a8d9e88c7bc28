// Socket.IO 4, WebSocket alone: who connects is in the room, and `publish` goes to all of it.
const http = require("http");
const { Server } = require("socket.io");

const server = http.createServer();
const io = new Server(server, {
  transports: ["websocket"], perMessageDeflate: false, serveClient: false, pingInterval: 25000,
});

io.on("connection", (socket) => {
  socket.join("bench");
  socket.on("publish", (data) => io.to("bench").emit("event", data));
});
server.listen(Number(process.argv[2]), "127.0.0.1", 4096);
