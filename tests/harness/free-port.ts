/** Free loopback ports for servers of tests. */
import { randomInt } from "node:crypto"
import { createServer, type Server } from "node:net"

/** Below the ports that the system assigns to outgoing connections, of which tests open thousands. */
const PORTS = { first: 12_000, last: 21_999 } as const
/** A listener this far above a port reserves the port, even while nothing listens on the port itself. */
const CLAIM_ABOVE = 10_000
const PORT_TRIES_MAX = 50

function listenOn(port: number): Promise<Server | undefined> {
  return new Promise(resolve => {
    const server = createServer()
    server.once("error", () => resolve(undefined))
    server.listen(port, "127.0.0.1", () => resolve(server))
  })
}

/** Returns a free port that no other call returns, in this process or another, while this process runs. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES_MAX; tries += 1) {
    const port = randomInt(PORTS.first, PORTS.last + 1)
    const claim = await listenOn(port + CLAIM_ABOVE)
    if (claim === undefined) continue
    claim.unref()
    const server = await listenOn(port)
    if (server === undefined) claim.close()
    else return new Promise(resolve => server.close(() => resolve(port)))
  }
  throw new Error("no free port was found")
}
