import assert from "node:assert/strict"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { test } from "node:test"
import { breakSocket } from "./real-break.js"

const closeOf = (socket: Socket): Promise<void> =>
  new Promise(resolve => socket.on("error", () => undefined).once("close", () => resolve()))

test("a broken connection is closed at both ends, also if it was just about to end", async () => {
  const server = createServer()
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  for (const isEnding of [false, true]) {
    const client = connect(address.port, "127.0.0.1")
    const accepted = once(server, "connection")
    await once(client, "connect")
    const [peer] = (await accepted) as [Socket]
    const closed = [closeOf(client), closeOf(peer)]
    peer.resume()
    if (isEnding) client.end()
    breakSocket(client)
    await Promise.all(closed)
  }
  server.close()
})
