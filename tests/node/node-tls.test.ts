/**
 * TLS between nodes: two real endpoints on loopback, and every peer that must be refused. A refused peer receives the
 * server's handshake and nothing after it, counted in bytes on the raw socket.
 */
import assert from "node:assert/strict"
import { createPrivateKey, createPublicKey, sign, X509Certificate } from "node:crypto"
import { once } from "node:events"
import { readFile, writeFile } from "node:fs/promises"
import { connect as connectPlainly, createServer as createRelay, type AddressInfo, type Socket } from "node:net"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { connect, createServer, type ConnectionOptions, type Server, type TLSSocket } from "node:tls"
import type { NodeFingerprint } from "@hayloft/base/ids.js"
import {
  encodeCertificate,
  encodeCertificateToSign,
  fingerprintOf,
} from "@hayloft/engine/format/nodes/node-certificate.js"
import { makeIdentity, type NodeIdentity } from "@hayloft/node/identity/node-identity.js"
import { PeerConnections, tlsClientOptions, tlsServerOptions } from "@hayloft/base/seams/net/real-tls.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { findProgram, runOk } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"

/** A peer that should be refused and is not waits for ever. */
const HUNG_MS = 60_000
const SECRET = Buffer.from("application bytes of the cluster")

const identityOf = (seed: number): NodeIdentity => makeIdentity(new SimRandom(seed))

/** Another key under the same names, with the same serial number. */
function impostorOf({ certificatePem }: NodeIdentity, { privateKeyPem }: NodeIdentity): NodeIdentity {
  const serial = Buffer.from(new X509Certificate(certificatePem).serialNumber, "hex")
  const key = createPrivateKey(privateKeyPem)
  const toSign = encodeCertificateToSign(createPublicKey(key).export({ format: "der", type: "spki" }), serial)
  const certificate = encodeCertificate(toSign, sign(null, toSign, key))
  return {
    fingerprint: fingerprintOf(certificate),
    certificatePem: new X509Certificate(certificate).toString(),
    privateKeyPem,
  }
}

/** Also after an error, unlike `once`. */
const closed = (socket: Socket) => new Promise<void>(resolve => void socket.once("close", () => resolve()))

interface Attempt {
  /** Plain bytes that the client received. */
  readonly received: number
  /** Bytes that the raw socket received after the client saw the end of the handshake. */
  readonly afterHandshake: number | undefined
  readonly error: string | undefined
}

describe("TLS between nodes", { timeout: HUNG_MS }, () => {
  const admitted = new Set<NodeFingerprint>()
  const connections = new PeerConnections(fingerprint => admitted.has(fingerprint))
  const accepted: (NodeFingerprint | undefined)[] = []
  const sockets = new Set<Socket>()
  let gotByServer = ""
  const [ours, peer, stranger] = [identityOf(1), identityOf(2), identityOf(3)] as const
  let server: Server
  let port = 0

  before(async () => {
    server = createServer(tlsServerOptions(ours), socket => {
      const fingerprint = connections.admit(socket)
      accepted.push(fingerprint)
      if (fingerprint === undefined) return
      socket.on("error", () => undefined)
      socket.on("data", (bytes: Buffer) => {
        gotByServer += String(bytes)
        socket.write(bytes)
      })
      socket.write(SECRET)
    })
    server.on("connection", (socket: Socket) => sockets.add(socket.unref()))
    await once(server.listen(0, "127.0.0.1"), "listening")
    port = (server.address() as AddressInfo).port
    // The end of the tests does not wait for it.
    server.unref()
  })

  after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })

  /** Connects as a client that sends a request at once, until the server closes the connection. */
  async function attempt(options: ConnectionOptions): Promise<Attempt> {
    const raw = connectPlainly(port, "127.0.0.1")
    const socket = connect({ rejectUnauthorized: false, servername: "", ...options, socket: raw })
    let [received, atHandshake, error]: [number, number | undefined, string | undefined] = [0, undefined, undefined]
    socket.once("secureConnect", () => {
      atHandshake = raw.bytesRead
      socket.write("let me in")
    })
    socket.on("data", (bytes: Buffer) => {
      received += bytes.length
      socket.destroy()
    })
    socket.on("error", (failure: Error) => (error = failure.message))
    await closed(raw)
    socket.destroy()
    return { received, afterHandshake: atHandshake === undefined ? undefined : raw.bytesRead - atHandshake, error }
  }

  /** A connection of a node that may connect, checked on both sides. */
  async function connected(identity = peer, expected = ours.fingerprint): Promise<TLSSocket> {
    const socket = connect({ ...tlsClientOptions(identity), port, host: "127.0.0.1" })
    socket.on("error", () => undefined)
    await once(socket, "secureConnect")
    const mine = new PeerConnections(() => true)
    assert.equal(mine.admit(socket, expected), expected === ours.fingerprint ? expected : undefined)
    return socket
  }

  async function assertRefused(options: ConnectionOptions): Promise<void> {
    const before = { accepted: accepted.filter(Boolean).length, got: gotByServer }
    const { received, afterHandshake } = await attempt(options)
    assert.equal(received, 0)
    assert.equal(afterHandshake ?? 0, 0, "the server sends nothing after its handshake")
    assert.deepEqual({ accepted: accepted.filter(Boolean).length, got: gotByServer }, before)
  }

  const onlyPeer = () => {
    admitted.clear()
    admitted.add(peer.fingerprint)
  }

  test("two nodes that list each other's fingerprint are connected, with TLS 1.3 and both certificates", async () => {
    onlyPeer()
    const socket = await connected()
    const [bytes] = (await once(socket, "data")) as [Buffer]
    assert.deepEqual(bytes, SECRET)
    assert.equal(socket.getProtocol(), "TLSv1.3")
    assert.equal(accepted.at(-1), peer.fingerprint)
    socket.destroy()
  })

  test("a peer with a certificate that is not listed receives nothing after the handshake", async () => {
    onlyPeer()
    await assertRefused(tlsClientOptions(stranger))
  })

  test("a peer without a certificate receives nothing after the handshake", async () => {
    onlyPeer()
    await assertRefused({ minVersion: "TLSv1.3" })
  })

  test("a peer with the names and serial number of another, and a key of its own, is refused", async () => {
    onlyPeer()
    const impostor = impostorOf(peer, stranger)
    assert.notEqual(impostor.fingerprint, peer.fingerprint)
    await assertRefused(tlsClientOptions(impostor))
  })

  test("a peer with a certificate of another algorithm fails in the handshake", async t => {
    const openssl = findProgram("openssl")
    if (openssl === undefined) return t.skip("openssl is not installed")
    onlyPeer()
    await withFolder(async folder => {
      const [key, cert] = [join(folder, "key"), join(folder, "certificate")]
      const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=node"]
      await runOk(openssl, ["req", "-x509", ...kind, "-keyout", key, "-out", cert, "-days", "1"])
      await assertRefused({ key: await readFile(key), cert: await readFile(cert), minVersion: "TLSv1.3" })
    })
  })

  test("TLS 1.2 and bytes that are no TLS fail in the handshake", async () => {
    onlyPeer()
    const { certificatePem: cert, privateKeyPem: key } = peer
    const { received, afterHandshake, error } = await attempt({ cert, key, maxVersion: "TLSv1.2" })
    assert.deepEqual({ received, afterHandshake }, { received: 0, afterHandshake: undefined })
    assert.match(error ?? "", /protocol version/)
    const before = accepted.length
    const raw = connectPlainly(port, "127.0.0.1")
    raw.on("error", () => undefined)
    raw.write("GET / HTTP/1.1\r\nHost: node\r\n\r\n")
    const bytes = await allOf(raw)
    assert.ok(bytes.length <= 7, "a TLS alert at most")
    assert.equal(accepted.length, before)
  })

  test("a certificate without its key is of no use: neither loaded with another key, nor replayed from the wire", async () => {
    onlyPeer()
    const stolen = { ...peer, privateKeyPem: stranger.privateKeyPem }
    assert.throws(() => connect({ ...tlsClientOptions(stolen), port, host: "127.0.0.1" }), /key values mismatch/)

    const recorded = await recordClient()
    const before = accepted.length
    const raw = connectPlainly(port, "127.0.0.1")
    raw.on("error", () => undefined)
    raw.write(recorded)
    const bytes = await allOf(raw)
    assert.equal(accepted.length, before)
    assert.ok(!bytes.includes(SECRET))
  })

  /** Returns what an admitted client sends from its first byte to its first request, as seen on the wire. */
  async function recordClient(): Promise<Buffer> {
    const relay = createRelay()
    await once(relay.listen(0, "127.0.0.1"), "listening")
    const sent: Buffer[] = []
    relay.once("connection", client => {
      const onward = connectPlainly(port, "127.0.0.1")
      client.on("data", (bytes: Buffer) => sent.push(bytes)).pipe(onward)
      onward.pipe(client)
      for (const one of [client, onward]) {
        sockets.add(one)
        one.on("error", () => undefined)
      }
    })
    const relayed = (relay.address() as AddressInfo).port
    const socket = connect({ ...tlsClientOptions(peer), port: relayed, host: "127.0.0.1" })
    await once(socket, "data")
    socket.destroy()
    relay.close()
    return Buffer.concat(sent)
  }

  async function allOf(raw: Socket): Promise<Buffer> {
    const parts: Buffer[] = []
    raw.on("data", (bytes: Buffer) => parts.push(bytes))
    await closed(raw)
    return Buffer.concat(parts)
  }

  test("a client closes a connection to a node that is not the one it expects, although that one is listed", async () => {
    onlyPeer()
    const socket = await connected(peer, stranger.fingerprint)
    assert.ok(socket.destroyed)
  })

  test("revoking a fingerprint closes the open connections of that peer and of no other, and its next is refused", async () => {
    onlyPeer()
    admitted.add(stranger.fingerprint)
    const [revoked, stays] = [await connected(), await connected(stranger)]
    await Promise.all([once(revoked, "data"), once(stays, "data")])
    admitted.delete(peer.fingerprint)
    connections.closeRevoked()
    await closed(revoked)
    assert.ok(!stays.destroyed)
    stays.destroy()
    await assertRefused(tlsClientOptions(peer))
  })

  test("a session cannot be resumed, so every connection proves its key again", async () => {
    onlyPeer()
    const sessions: Buffer[] = []
    const again = async (session?: Buffer): Promise<boolean> => {
      const options = session === undefined ? {} : { session }
      const socket = connect({ ...tlsClientOptions(peer), ...options, port, host: "127.0.0.1" })
      socket.on("session", (offered: Buffer) => sessions.push(offered))
      await once(socket, "data")
      socket.write("ping")
      // A server offers its sessions before it reads the client's first bytes.
      assert.equal(String(((await once(socket, "data")) as [Buffer])[0]), "ping")
      const isResumed = socket.isSessionReused()
      socket.destroy()
      return isResumed
    }
    await again()
    for (const session of [...sessions]) assert.equal(await again(session), false)
  })
})

const openssl = findProgram("openssl")
test(
  "openssl reads a certificate and finds its signature valid",
  { skip: openssl ? false : "openssl is not installed" },
  () =>
    withFolder(async folder => {
      assert.ok(openssl)
      const path = join(folder, "certificate")
      await writeFile(path, identityOf(1).certificatePem)
      const stdout = await runOk(openssl, ["x509", "-in", path, "-noout", "-text", "-certopt", "no_sigdump,no_pubkey"])
      assert.match(stdout, /Version: 3 \(0x2\)/)
      assert.match(stdout, /Signature Algorithm: ED25519/)
      assert.match(stdout, /Issuer: CN ?= ?node/)
      assert.match(stdout, /Not Before: Jan {2}1 00:00:00 1970 GMT\s+Not After ?: Dec 31 23:59:59 9999 GMT/)
      assert.match(stdout, /X509v3 Key Usage: critical\s+Digital Signature\s*$/)
      await runOk(openssl, ["verify", "-x509_strict", "-check_ss_sig", "-partial_chain", "-CAfile", path, path])
    }),
)
