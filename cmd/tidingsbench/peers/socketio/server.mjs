// Socket.IO with its in-memory adapter, as its documentation advises for
// throughput: WebSocket alone, no compression, a room for each channel.
//
//   PORT      where to listen on 127.0.0.1; 0 or unset = any free port
//   RECOVERY  1 = connection state recovery: 10 minutes of packets are kept
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { Server } from "socket.io";

const name = "socketio";
const version = createRequire(import.meta.url)("socket.io/package.json").version;

const http = createServer(async (request, response) => {
  switch (`${request.method} ${request.url}`) {
    case "GET /who":
      return answer(response, 200, { name, version });
    case "POST /publish":
      return publish(request, response);
    default:
      return answer(response, 404, { error: "not found" });
  }
});

const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  perMessageDeflate: false,
  httpCompression: false,
  ...(process.env.RECOVERY === "1" && { connectionStateRecovery: { maxDisconnectionDuration: 600_000 } }),
});

// A socket has joined its rooms before its CONNECT packet is written.
io.on("connection", (socket) => {
  const { user, channels } = socket.handshake.query;
  socket.join(["everyone", `user/${user}`, ...(channels ? channels.split(",") : [])]);
});

async function publish(request, response) {
  let events;
  try {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    events = JSON.parse(Buffer.concat(chunks));
    if (!Array.isArray(events) || !events.every((e) => e?.to && typeof e.to === "string" && isObject(e.data))) {
      throw new Error("want a list of channels and objects");
    }
  } catch (error) {
    return answer(response, 400, { error: error.message });
  }
  for (const { to, data } of events) io.to(to).emit("n", data);
  answer(response, 200, { accepted: events.length });
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function answer(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));

http.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`ready name=${name} version=${version} http=127.0.0.1:${http.address().port}`);
});
