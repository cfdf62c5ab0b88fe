/** Connections between nodes over TLS: who may speak, and what others learn. */
import assert from "node:assert/strict"
import { test } from "node:test"
import * as tls from "node:tls"
import { isFailure } from "@hayloft/base/failures.js"
import { TEST_CERTIFICATES } from "@hayloft/protocols/http/testing-certificates.js"
import { RealNet } from "@hayloft/base/seams/net/real.js"

const LOOPBACK = { host: "127.0.0.1", port: 0 }
const never = new AbortController().signal

test("TLS connects only peers that are admitted, and says nothing to the others", async () => {
  const { first, second } = TEST_CERTIFICATES
  const rejected: string[] = []
  const securityOf = (own: { cert: string; key: string }, admitted: string) => ({
    serverOptions: () => ({ ...own, requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.3" as const }),
    clientOptions: () => ({ ...own, rejectUnauthorized: false, servername: "" }),
    admit: (socket: tls.TLSSocket) => {
      const certificate = socket.getPeerX509Certificate()
      if (certificate?.subject?.includes(admitted) === true) return certificate.fingerprint256
      rejected.push(certificate?.subject ?? "none")
      return undefined
    },
  })
  const server = new RealNet(securityOf(first, "second"))
  const received: string[] = []
  const listener = await server.listen(LOOPBACK, connection => {
    connection.start({ bytes: chunk => received.push(Buffer.from(chunk).toString()), closed: () => undefined })
    connection.write([Buffer.from("welcome")], () => undefined)
  })
  const greet = async (net: RealNet): Promise<string> => {
    const connection = await net.connect(listener.address, never)
    return new Promise(resolve => {
      connection.start({
        bytes: chunk => {
          resolve(Buffer.from(chunk).toString())
          connection.reset()
        },
        closed: () => resolve("closed"),
      })
      connection.write([Buffer.from("hello")], () => undefined)
    })
  }
  assert.equal(await greet(new RealNet(securityOf(second, "first"))), "welcome")
  // The server does not admit its own certificate, nor a client without one.
  assert.equal(await greet(new RealNet(securityOf(first, "first"))), "closed")
  assert.match(rejected.join(), /first/)
  const bare = await new Promise<string>(resolve => {
    const socket = tls.connect({ ...listener.address, rejectUnauthorized: false })
    socket.on("data", (data: Buffer) => resolve(`data ${data.length}`))
    socket.on("error", () => undefined)
    socket.on("close", () => resolve("nothing"))
  })
  assert.equal(bare, "nothing")
  // A client does not speak to a server that it does not expect either.
  await assert.rejects(greet(new RealNet(securityOf(second, "third"))), error => isFailure(error, "peerUnreachable"))
  await listener.close()
})
