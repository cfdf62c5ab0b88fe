/** Calls over real TCP on loopback: what simulated time cannot show. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealNet } from "@hayloft/base/seams/net/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Peer, RPC_LIMITS, RpcMetrics, RpcServer } from "./index.js"
import { LentMemory, METHODS, OWN, patternOf } from "./testing-nodes.js"

const CALL = { callClass: "client", deadlineMs: 120_000 } as const

async function loopback() {
  const telemetry = new SimTelemetry()
  const seams = {
    net: new RealNet(),
    clock: new RealClock(),
    random: new RealRandom(),
    metrics: new RpcMetrics(telemetry),
  }
  const memory = new LentMemory()
  const server = new RpcServer(seams, { own: { ...OWN, node: "server" }, limits: RPC_LIMITS })
  server.handle(METHODS.echo, request => ({ value: request }))
  server.handle(METHODS.put, async (_, { body }) => ({ value: String((await body.whole(64 * MIB)).length) }))
  server.handle(METHODS.get, request => ({ value: request, body: memory.body(Number(request), 1 * MIB) }))
  const address = await server.listen({ host: "127.0.0.1", port: 0 })
  const peer = new Peer(seams, { address, own: { ...OWN, node: "client" }, limits: RPC_LIMITS })
  return { server, peer, memory, telemetry }
}

test("loopback: large bodies in both directions arrive as they were sent, beside small calls", async () => {
  const { server, peer, memory, telemetry } = await loopback()
  const length = 24 * MIB
  const [stored, got, ...echoed] = await Promise.all([
    peer.call(METHODS.put, "", { ...CALL, body: memory.body(length, 1 * MIB) }),
    peer.call(METHODS.get, String(length), CALL).then(({ body }) => body.whole(length)),
    ...Array.from({ length: 300 }, (_, i) => peer.call(METHODS.echo, String(i), CALL)),
  ])
  assert.equal(stored.value, String(length))
  assert.ok(Buffer.from(got).equals(patternOf(0, length)))
  assert.deepEqual(
    echoed.map(({ value }) => Number(value)),
    Array.from({ length: 300 }, (_, i) => i),
  )
  assert.equal(telemetry.metric("hayloft_rpc_calls_total", { method: "echo", class: "client", outcome: "ok" }), 300)
  assert.ok(telemetry.metric("hayloft_rpc_received_bytes_total") > 2 * length)
  peer.close()
  await server.close()
  assert.equal(memory.given, memory.taken)
})

test("loopback: a server that ends takes its connections with it, and calls fail with a reason", async () => {
  const { server, peer } = await loopback()
  assert.equal((await peer.call(METHODS.echo, "a", CALL)).value, "a")
  await server.close()
  await assert.rejects(peer.call(METHODS.echo, "b", CALL), error => isFailure(error, "stopping", "peerUnreachable"))
  peer.close()
})
