// Ends of TCP connections.

/**
 * Ends a TCP connection with RST, at once. The resetAndDestroy of node says
 * FIN first, and never lets the process end if the peer closes at that moment
 * (seen with 20.20: the handle is taken for closed, and is not).
 */
export function breakOff(socket) {
  const handle = socket._handle;
  if (handle && !socket.connecting && !socket.writableEnded && handle.reset(() => {}) === 0) socket._handle = null;
  socket.destroy();
}
