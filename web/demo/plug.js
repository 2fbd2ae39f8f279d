// The plug of this tab's network: every hub connection goes through it, so that
// it can be pulled.

import { DefaultHttpClient, NullLogger } from "@microsoft/signalr";

/** A private close code (RFC 6455 §7.4.2). The client comes back after any code. */
const PULLED = 4000;

const open = new Set();
let pulled = false;

/** A WebSocket that can be cut, and cannot be opened while the plug is out. */
class Socket extends WebSocket {
  constructor(...args) {
    refuseIfPulled();
    super(...args);
    open.add(this);
    this.addEventListener("close", () => open.delete(this));
  }
}

/** Negotiation is refused as well: without network there is none. */
class Client extends DefaultHttpClient {
  async send(request) {
    refuseIfPulled();
    return super.send(request);
  }
}

function refuseIfPulled() {
  if (pulled) throw new Error("The plug is pulled.");
}

/** For HubConnectionBuilder.withUrl. */
export const through = () => ({ WebSocket: Socket, httpClient: new Client(NullLogger.instance) });

/** Cuts the sockets and keeps them cut until the time is over. */
export async function pull(ms) {
  pulled = true;
  for (const socket of open) socket.close(PULLED, "plug pulled");
  await new Promise((resolve) => { setTimeout(resolve, ms); });
  pulled = false;
}

export const isPulled = () => pulled;
