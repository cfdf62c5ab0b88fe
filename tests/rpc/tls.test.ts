/** Connections between nodes over TLS: who may speak, and what others learn. */
import assert from "node:assert/strict"
import { once } from "node:events"
import * as net from "node:net"
import { test } from "node:test"
import * as tls from "node:tls"
import { isFailure } from "@hayloft/base/failures.js"
import { TEST_CERTIFICATES } from "@hayloft/protocols/http/testing-certificates.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import type { Connection } from "@hayloft/base/seams/net/contract.js"
import { HANDSHAKES_MAX, RealNet } from "@hayloft/base/seams/net/real.js"

const LOOPBACK = { host: "127.0.0.1", port: 0 }
const never = new AbortController().signal

const securityOf = (own: { cert: string; key: string }, admitted: string, rejected: string[] = []) => ({
  serverOptions: () => ({ ...own, requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.3" as const }),
  clientOptions: () => ({ ...own, rejectUnauthorized: false, servername: "" }),
  admit: (socket: tls.TLSSocket) => {
    const certificate = socket.getPeerX509Certificate()
    if (certificate?.subject?.includes(admitted) === true) return certificate.fingerprint256
    rejected.push(certificate?.subject ?? "none")
    return undefined
  },
})

test("TLS connects only peers that are admitted, and says nothing to the others", async () => {
  const { first, second } = TEST_CERTIFICATES
  const rejected: string[] = []
  const server = new RealNet(securityOf(first, "second", rejected))
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

test("connections that do not prove who they are end each other, and no peer is kept out", async () => {
  const { first, second } = TEST_CERTIFICATES
  const server = new RealNet(securityOf(first, "second"))
  const listener = await server.listen(LOOPBACK, connection => {
    connection.start({ bytes: chunk => connection.write([chunk], () => undefined), closed: () => undefined })
  })
  const client = new RealNet(securityOf(second, "first"))
  const echoed = async (connection: Connection): Promise<string> => {
    const { promise, resolve } = settledLater()
    connection.start({ bytes: chunk => resolve(Buffer.from(chunk).toString()), closed: () => resolve("closed") })
    connection.write([Buffer.from("hello")], () => undefined)
    return promise
  }
  const before = await client.connect(listener.address, never)
  let closed = 0
  const open = async (): Promise<net.Socket> => {
    const socket = net.connect(listener.address)
    socket.on("error", () => undefined).on("close", () => (closed += 1))
    await once(socket, "connect")
    return socket
  }
  const silent = []
  for (let i = 0; i < HANDSHAKES_MAX + 50; i += 1) silent.push(await open())
  await until("the oldest have been ended", () => closed === 50)
  const after = await client.connect(listener.address, never)
  assert.deepEqual([await echoed(before), await echoed(after)], ["hello", "hello"])
  for (const socket of silent) socket.destroy()
  for (const connection of [before, after]) connection.reset()
  await listener.close()
})

function settledLater() {
  let resolve: (text: string) => void = () => undefined
  const promise = new Promise<string>(onText => (resolve = onText))
  return { promise, resolve }
}
