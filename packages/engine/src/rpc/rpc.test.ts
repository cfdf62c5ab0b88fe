/** Calls between two nodes on a simulated network, in virtual time. */
import assert from "node:assert/strict"
import { setMaxListeners } from "node:events"
import { test } from "node:test"
import type { LentBytes } from "@hayloft/base/memory/pieces.js"
import { fail, Failure, isFailure } from "@hayloft/base/failures.js"
import { TRACE_CONTEXT_BYTES, type Span } from "@hayloft/base/trace.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import {
  encodeAnswer,
  encodeCall,
  encodeCancel,
  encodeClose,
  encodeFailure,
  encodeHello,
  encodePing,
  encodeWindow,
  FrameDecoder,
  type Frame,
} from "../format/nodes/frame.js"
import { lentBody } from "./body-source.js"
import type { CallOptions, Handler, RpcMethod } from "./contract.js"
import { RPC_LIMITS } from "./limits.js"
import { ADDRESS, METHODS, OWN, patternOf, testNodes, type TestNodes } from "./testing-nodes.js"

const CALL: CallOptions = { callClass: "client", deadlineMs: 10_000 }
const { echo, add, put, get, unknown } = METHODS
const never = new AbortController().signal

async function firstOf(body: AsyncIterable<Uint8Array>): Promise<void> {
  const pieces = body[Symbol.asyncIterator]()
  await pieces.next()
  await pieces.return?.()
}

setMaxListeners(0, never)

const kindOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "ok",
    (error: unknown) => (error instanceof Failure ? error.kind : String(error)),
  )

const handlersOf = (...pairs: (readonly [RpcMethod<string, string>, Handler<string, string>])[]) => new Map(pairs)

/** Everything is released: no call, no memory, no timer except the watches of connections. */
async function isAtRest({ clock, peer, server, memory, network }: TestNodes): Promise<void> {
  peer.close()
  await clock.runUntil(server.close())
  await clock.advance(60_000)
  assert.equal(memory.given, memory.taken, "lent memory is given back")
  assert.equal(network.connections, 0)
  assert.equal(clock.sleepers, 0)
}

test("a call carries the trace of its request; the other node's step ends with the call, well or not", async () => {
  const seen: string[] = []
  const span = (name: string, context: Uint8Array): Span => ({
    traceId: "",
    context,
    begin: () => span("", context),
    end: ({ error } = {}) => void seen.push(`${name} ends${error === undefined ? "" : " badly"}`),
  })
  const beginCall = (name: string, context: Uint8Array): Span => {
    seen.push(`${name} ${context.join(".")}`)
    return span(name, context)
  }
  const tracer = { beginCall, beginRequest: () => undefined }
  const handlers = handlersOf([add, () => Promise.reject(fail("noSuchNeedle"))])
  const nodes = await testNodes({ tracer, handlers })
  const { clock, peer } = nodes
  const context = Uint8Array.from({ length: TRACE_CONTEXT_BYTES }, (_, i) => i)
  const traced = { ...CALL, trace: span("request", context) }
  await clock.runUntil(peer.call(echo, "not traced", CALL))
  assert.equal((await clock.runUntil(peer.call(echo, "traced", traced))).value, "traced")
  assert.equal(await clock.runUntil(kindOf(peer.call(add, "traced", traced))), "noSuchNeedle")
  const bytes = context.join(".")
  assert.deepEqual(seen, [`rpc echo ${bytes}`, "rpc echo ends", `rpc add ${bytes}`, "rpc add ends badly"])
  await isAtRest(nodes)
})

test("calls, bodies in both directions and failures of the method arrive", async () => {
  const nodes = await testNodes({
    handlers: handlersOf([add, () => Promise.reject(fail("noSuchNeedle", { needle: 7 }))]),
  })
  const { clock, peer, memory } = nodes
  assert.equal((await clock.runUntil(peer.call(echo, "hello", CALL))).value, "hello")
  const stored = await clock.runUntil(peer.call(put, "", { ...CALL, body: memory.body(5 * MIB) }))
  assert.equal(stored.value, String(5 * MIB))
  const got = await clock.runUntil(peer.call(get, String(3 * MIB + 17), CALL))
  const bytes = await clock.runUntil(got.body.whole(4 * MIB))
  assert.ok(Buffer.from(bytes).equals(patternOf(0, 3 * MIB + 17)))
  await assert.rejects(
    clock.runUntil(peer.call(add, "x", CALL)),
    error => isFailure(error, "noSuchNeedle") && error.details["needle"] === 7,
  )
  assert.equal(await clock.runUntil(kindOf(peer.call(unknown, "", CALL))), "notImplemented")
  const empty = await clock.runUntil(peer.call(get, "0", CALL))
  assert.equal((await empty.body.whole(10)).length, 0)
  await isAtRest(nodes)
})

test("1,000 concurrent calls are answered, each with its own answer, within the window of the peer", async () => {
  let running = 0
  let most = 0
  const slow: Handler<string, string> = async request => {
    most = Math.max(most, (running += 1))
    await nodes.clock.sleep(5, never)
    running -= 1
    return { value: request }
  }
  const nodes = await testNodes({ limits: { callsMax: 64 }, handlers: handlersOf([echo, slow]) })
  const calls = Array.from({ length: 1_000 }, (_, i) => nodes.peer.call(echo, `call ${i}`, CALL))
  const answers = await nodes.clock.runUntil(Promise.all(calls))
  assert.deepEqual(
    answers.map(({ value }) => value),
    Array.from({ length: 1_000 }, (_, i) => `call ${i}`),
  )
  assert.equal(most, 64)
  await isAtRest(nodes)
})

test("too many waiting calls are refused, and change nothing", async () => {
  const nodes = await testNodes({ limits: { callsMax: 2, callsWaitingMax: 3 } })
  const calls = Array.from({ length: 6 }, (_, i) => kindOf(nodes.peer.call(add, String(i), CALL)))
  const kinds = await nodes.clock.runUntil(Promise.all(calls))
  assert.deepEqual(kinds, ["ok", "ok", "ok", "tooManyInFlight", "tooManyInFlight", "tooManyInFlight"])
  assert.deepEqual(nodes.added, ["0", "1", "2"])
  await isAtRest(nodes)
})

test("a large body does not delay small calls, and background keeps its share of the connection", async () => {
  const nodes = await testNodes({
    limits: { connectionOf: { client: 0, background: 0 } },
    network: { bytesPerSecond: 20e6 },
  })
  const { clock, peer, memory } = nodes
  await clock.runUntil(peer.call(echo, "", CALL))
  const startMs = clock.monotonicMs()
  const doneMs = { client: 0, background: 0 }
  const bodies = (["background", "client"] as const).map(async callClass => {
    await peer.call(put, "", { ...CALL, callClass, body: memory.body(8 * MIB) })
    doneMs[callClass] = clock.monotonicMs() - startMs
  })
  await clock.advance(100)
  const beforeMs = clock.monotonicMs()
  await clock.runUntil(peer.call(echo, "small", CALL))
  // One write of 512 KiB and a full buffer of the network are before it.
  assert.ok(clock.monotonicMs() - beforeMs < 60, `${clock.monotonicMs() - beforeMs} ms`)
  await clock.advance(350)
  assert.equal(doneMs.client, 0)
  await clock.runUntil(Promise.all(bodies))
  assert.ok(doneMs.client < 650, `client data took ${doneMs.client} ms`)
  assert.ok(doneMs.background > doneMs.client)
  await isAtRest(nodes)
})

test("a reader that pauses holds back the sender: what is in memory stays within the window", async () => {
  let release: () => void = () => undefined
  const blocked = new Promise<void>(resolve => (release = resolve))
  const lazy: Handler<string, string> = async (_, { body }) => {
    await blocked
    return { value: String((await body.whole(64 * MIB)).length) }
  }
  const nodes = await testNodes({ limits: { callWindowBytes: 512 * KIB }, handlers: handlersOf([put, lazy]) })
  const { clock, peer, memory } = nodes
  const call = peer.call(put, "", { ...CALL, body: memory.body(8 * MIB, 64 * KIB) })
  await clock.advance(5_000)
  assert.ok(memory.given <= 8, `${memory.given} pieces left their sender`)
  // Others are not held up.
  assert.equal((await clock.runUntil(peer.call(echo, "b", CALL))).value, "b")
  release()
  assert.equal((await clock.runUntil(call)).value, String(8 * MIB))
  await isAtRest(nodes)
})

test("the window of a class bounds all bodies together", async () => {
  const nodes = await testNodes({
    limits: { callWindowBytes: 512 * KIB, classWindowBytes: 1 * MIB },
    handlers: handlersOf([
      put,
      async (_, { signal }) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(fail("stopping")))),
    ]),
  })
  const { clock, peer, memory } = nodes
  const calls = Array.from({ length: 8 }, () =>
    kindOf(peer.call(put, "", { ...CALL, deadlineMs: 2_000, body: memory.body(4 * MIB, 64 * KIB) })),
  )
  await clock.advance(1_000)
  assert.ok(memory.given <= 16, `${memory.given} pieces of 64 KiB`)
  assert.deepEqual(new Set(await clock.runUntil(Promise.all(calls))), new Set(["indeterminate"]))
  // The part of the window that the failed calls had taken is returned.
  const late = peer.call(get, String(4 * MIB), CALL).then(({ body }) => body.whole(8 * MIB))
  assert.equal((await clock.runUntil(late)).length, 4 * MIB)
  await isAtRest(nodes)
})

test("a deadline ends a call on both sides, and says whether it may have happened", async () => {
  const reasons: string[] = []
  const stuck: Handler<string, string> = (_, { signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        reasons.push(String(signal.reason))
        reject(signal.reason)
      })
    })
  const nodes = await testNodes({ handlers: handlersOf([add, stuck], [echo, stuck]) })
  const { clock, peer, network } = nodes
  const options = { ...CALL, deadlineMs: 500 }
  assert.equal(await clock.runUntil(kindOf(peer.call(add, "x", options))), "indeterminate")
  assert.equal(await clock.runUntil(kindOf(peer.call(echo, "x", options))), "peerUnreachable")
  await clock.advance(10)
  assert.equal(reasons.length, 2)
  assert.match(reasons[0] ?? "", /deadline|cancelled/)
  // A call that never left, because nothing connects, has not happened.
  peer.close()
  network.cut("client", "server")
  const other = await testNodes()
  other.network.cut("client", "server")
  assert.equal(await other.clock.runUntil(kindOf(other.peer.call(add, "x", options))), "peerUnreachable")
  assert.equal(other.clock.monotonicMs(), 500)
  other.network.healAll()
  await isAtRest(other)
})

test("a caller that cancels stops the method; a method that fails stops the body", async () => {
  let aborted = 0
  const stuck: Handler<string, string> = (_, { signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        aborted += 1
        reject(signal.reason)
      })
    })
  const nodes = await testNodes({ handlers: handlersOf([add, stuck], [put, () => Promise.reject(fail("deviceFull"))]) })
  const { clock, peer, memory } = nodes
  const stop = new AbortController()
  const call = kindOf(peer.call(add, "x", { ...CALL, signal: stop.signal, body: memory.body(4 * MIB) }))
  await clock.advance(20)
  stop.abort(new Error("the client left"))
  assert.match(await call, /the client left/)
  await clock.advance(20)
  assert.equal(aborted, 1)
  assert.equal(await clock.runUntil(kindOf(peer.call(put, "", { ...CALL, body: memory.body(40 * MIB) }))), "deviceFull")
  assert.ok(memory.taken < 100, "the rest of the body was never drawn")
  // A source that fails ends its call with the source's own error.
  const failing: Iterator<LentBytes> = {
    next: () => {
      throw fail("deviceFailed")
    },
  }
  const broken = { lengthBytes: 100, pieces: { [Symbol.iterator]: () => failing } }
  assert.equal(await clock.runUntil(kindOf(peer.call(put, "", { ...CALL, body: broken }))), "deviceFailed")
  const short = { lengthBytes: 500, pieces: memory.pieces(300) }
  assert.equal(await clock.runUntil(kindOf(peer.call(put, "", { ...CALL, body: short }))), "incompleteBody")
  // A reader that stops early ends the answer.
  const got = await clock.runUntil(peer.call(get, String(64 * MIB), CALL))
  await clock.runUntil(firstOf(got.body))
  assert.equal((await clock.runUntil(peer.call(echo, "next", CALL))).value, "next")
  await isAtRest(nodes)
})

test("a connection that is lost in any state fails its calls with the right reason, and the next call connects", async () => {
  for (const afterMs of [0, 0.3, 0.7, 1, 1.3, 1.7, 2, 3, 5, 8, 13, 21]) {
    const nodes = await testNodes({ network: { bytesPerSecond: 50e6 } })
    const { clock, peer, network, memory, added } = nodes
    const calls = [
      kindOf(peer.call(add, "x", { ...CALL, deadlineMs: 2_000 })),
      kindOf(peer.call(put, "", { ...CALL, body: memory.body(1 * MIB) })),
      kindOf(peer.call(get, String(MIB), CALL).then(({ body }) => body.whole(MIB))),
    ]
    await clock.advance(afterMs)
    network.dropAll()
    const [addKind = "", ...others] = await clock.runUntil(Promise.all(calls))
    if (addKind === "peerUnreachable") assert.deepEqual(added, [], `after ${afterMs} ms`)
    if (addKind === "ok") assert.deepEqual(added, ["x"])
    for (const kind of others) assert.ok(["ok", "peerUnreachable", "indeterminate"].includes(kind), kind)
    await clock.advance(1_000)
    assert.equal((await clock.runUntil(peer.call(echo, "again", CALL))).value, "again")
    await isAtRest(nodes)
  }
})

test("a peer that is gone is noticed by its silence, and by one-way cuts in either direction", async () => {
  for (const [from, to] of [
    ["client", "server"],
    ["server", "client"],
  ] as const) {
    const nodes = await testNodes()
    const { clock, peer, network } = nodes
    await clock.runUntil(peer.call(echo, "", CALL))
    network.cut(from, to)
    const startMs = clock.monotonicMs()
    assert.equal(await clock.runUntil(kindOf(peer.call(add, "x", { ...CALL, deadlineMs: 60_000 }))), "indeterminate")
    assert.ok(clock.monotonicMs() - startMs <= 25_000, `${clock.monotonicMs() - startMs} ms`)
    network.healAll()
    await clock.advance(10_000)
    assert.equal((await clock.runUntil(peer.call(echo, "back", CALL))).value, "back")
    await isAtRest(nodes)
  }
})

test("a process that was stopped carries out no call that has waited for it", async () => {
  const stopped = { forMs: 0 }
  const nodes = await testNodes({
    serverClock: clock => ({
      wallMs: () => clock.wallMs(),
      monotonicMs: () => clock.monotonicMs() + stopped.forMs,
      sleep: (durationMs, signal) => clock.sleep(durationMs, signal),
      // Its alarms are late as well.
      alarm: (durationMs, ring) => clock.alarm(durationMs + RPC_LIMITS.silenceMs, ring),
      atEndOfTurn: call => clock.atEndOfTurn(call),
    }),
  })
  const { clock, peer, added } = nodes
  await clock.runUntil(peer.call(add, "before", CALL))
  stopped.forMs = 60_000
  assert.equal(await clock.runUntil(kindOf(peer.call(add, "late", CALL))), "indeterminate")
  assert.deepEqual(added, ["before"])
  await clock.advance(5_000)
  await clock.runUntil(peer.call(add, "after", CALL))
  assert.deepEqual(added, ["before", "after"])
})

test("a node that is away fails calls immediately, and is called again once it is back", async () => {
  const nodes = await testNodes()
  const { clock, peer, network } = nodes
  network.crash("server")
  for (let i = 0; i < 20; i += 1) {
    assert.equal(await clock.runUntil(kindOf(peer.call(add, "x", CALL))), "peerUnreachable")
    await clock.advance(500)
  }
  const atMs = clock.monotonicMs()
  await clock.runUntil(Promise.all(Array.from({ length: 100 }, () => kindOf(peer.call(echo, "", CALL)))))
  assert.ok(clock.monotonicMs() - atMs < 5)
  const again = await testNodes()
  await isAtRest(again)
})

test("a connection with all its call ids used is replaced without an error", async () => {
  const nodes = await testNodes({ limits: { callsPerConnectionMax: 10 } })
  const calls = Array.from({ length: 95 }, (_, i) => nodes.peer.call(echo, String(i), CALL))
  const answers = await nodes.clock.runUntil(Promise.all(calls))
  assert.deepEqual(
    answers.map(({ value }) => Number(value)),
    Array.from({ length: 95 }, (_, i) => i),
  )
  await isAtRest(nodes)
})

test("a server that stops finishes its calls and refuses new ones", async () => {
  const nodes = await testNodes({
    handlers: handlersOf([
      add,
      async request => {
        await nodes.clock.sleep(1_000, never)
        return { value: request }
      },
    ]),
  })
  const { clock, peer, server } = nodes
  const first = kindOf(peer.call(add, "x", CALL))
  await clock.advance(50)
  const closed = server.close()
  assert.equal(await clock.runUntil(kindOf(peer.call(add, "y", CALL))), "stopping")
  assert.equal(await clock.runUntil(first), "ok")
  await clock.runUntil(closed)
  assert.ok(clock.monotonicMs() < 2_000)
  await isAtRest(nodes)
})

test("a lent body that is never sent is given back", async () => {
  const nodes = await testNodes()
  const { clock, peer, memory } = nodes
  peer.close()
  const body = lentBody([...memory.pieces(500_000)])
  assert.equal(await clock.runUntil(kindOf(peer.call(put, "", { ...CALL, body }))), "stopping")
  await isAtRest(nodes)
})

// A peer of raw frames

const HELLO = {
  versions: { lowest: 1, highest: 1 },
  ...OWN,
  node: "raw",
  callWindowBytes: 1 * MIB,
  classWindowBytes: 4 * MIB,
  callsMax: 16,
}
const head = { method: 1, callClass: "client", deadlineMs: 1_000, lengthBytes: 0, header: Buffer.from("x") } as const

/** Sends the bytes to the server, and returns the frames that come back until the connection closes. */
async function sendRaw(nodes: TestNodes, bytes: Uint8Array): Promise<readonly Frame[]> {
  const frames: Frame[] = []
  const decoder = new FrameDecoder()
  const connection = await nodes.clock.runUntil(nodes.network.host("raw").connect(ADDRESS, never))
  const closed = new Promise<void>(resolve => {
    connection.start({
      bytes: chunk => decoder.feed(chunk, frame => frames.push(frame)),
      closed: () => resolve(),
    })
  })
  connection.write([bytes], () => undefined)
  await nodes.clock.runUntil(closed)
  return frames
}

const closeOf = (frames: readonly Frame[]) => {
  const last = frames.at(-1)
  return last?.type === "close" ? { kind: last.failure.kind, reason: last.failure.details["reason"] } : undefined
}

test("garbage in every place closes the connection with a named reason, and nothing else", async () => {
  const garbage = Buffer.from("GET / HTTP/1.1\r\nHost: here\r\n\r\n")
  const hello = encodeHello(HELLO)
  const body = Buffer.from(encodeWindow(9, "client", 4))
  body[4] = 3
  const cases: readonly (readonly [string, readonly Uint8Array[]])[] = [
    ["type of frame", [garbage]],
    ["call out of place", [encodeCall(1, head)]],
    ["ping out of place", [encodePing(1n, false)]],
    ["type of frame", [hello, garbage]],
    ["hello out of place", [hello, hello]],
    ["type of frame", [hello, encodeCall(1, head), garbage]],
    ["answer from the calling side", [hello, encodeAnswer(1, 0, new Uint8Array(0))]],
    ["failure from the calling side", [hello, encodeFailure(1, { kind: "internal", details: {} })]],
    ["id of a call that was not made", [hello, encodeCancel(1)]],
    ["id of a call that was not made", [hello, body]],
    ["id of a call out of order", [hello, encodeCall(2, head), encodeCall(2, head)]],
    ["body of another length", [hello, encodeCall(9, { ...head, method: 3, lengthBytes: 2 }), body]],
  ]
  for (const [reason, frames] of cases) {
    const nodes = await testNodes()
    assert.deepEqual(closeOf(await sendRaw(nodes, Buffer.concat(frames))), { kind: "malformedFrame", reason }, reason)
    // Others are served on.
    assert.equal((await nodes.clock.runUntil(nodes.peer.call(echo, "ok", CALL))).value, "ok")
    await isAtRest(nodes)
  }
})

test("nodes of other stores and versions are refused with an explicit error", async () => {
  const nodes = await testNodes()
  const other = { ...HELLO, storeId: OWN.storeId.replace("00", "ff") as typeof OWN.storeId }
  assert.equal(closeOf(await sendRaw(nodes, encodeHello(other)))?.kind, "incompatiblePeer")
  const newer = { ...HELLO, versions: { lowest: 4, highest: 5 } }
  assert.equal(closeOf(await sendRaw(nodes, encodeHello(newer)))?.kind, "incompatiblePeer")
  await isAtRest(nodes)
})

test("a node that does not know traces gets calls without them", async () => {
  const context = Uint8Array.from({ length: TRACE_CONTEXT_BYTES }, (_, i) => i)
  const span: Span = { traceId: "", context, begin: () => span, end: () => undefined }
  for (const [highest, isTraced] of [
    [1, false],
    [2, true],
    [3, true],
  ] as const) {
    const nodes = await testNodes()
    nodes.network.crash("server")
    const calls: Frame[] = []
    const decoder = new FrameDecoder()
    await nodes.network.host("server").listen(ADDRESS, connection => {
      const answer = (frame: Frame): void => {
        if (frame.type === "hello") {
          connection.write([encodeHello({ ...HELLO, versions: { lowest: 1, highest } })], () => undefined)
        }
        if (frame.type === "call" && calls.push(frame) > 0) {
          connection.write([encodeAnswer(frame.id, 0, Buffer.from("done"))], () => undefined)
        }
      }
      connection.start({ bytes: chunk => decoder.feed(chunk, answer), closed: () => undefined })
    })
    await nodes.clock.runUntil(nodes.peer.call(echo, "x", { ...CALL, trace: span }))
    const [call] = calls
    assert.deepEqual(
      call?.type === "call" && call.head.trace && [...call.head.trace],
      isTraced ? [...context] : undefined,
    )
  }
})

test("a client survives a server that sends garbage, is silent, or answers with a newer failure", async () => {
  const hello = encodeHello(HELLO)
  const cases: readonly (readonly [string, readonly Uint8Array[]])[] = [
    ["peerUnreachable", [Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")]],
    ["peerUnreachable", []],
    ["peerUnreachable", [encodeClose({ kind: "incompatiblePeer", details: {} })]],
    ["indeterminate", [hello, encodeAnswer(77, 0, new Uint8Array(0))]],
    ["indeterminate", [hello, Buffer.alloc(50)]],
    ["indeterminate", [hello, encodeCall(1, head)]],
    ["indeterminate", [hello]],
    ["indeterminate", [hello, encodeFailure(1, { kind: "quantumDecoherence", details: { message: "new" } })]],
    ["deviceFull", [hello, encodeFailure(1, { kind: "deviceFull", details: {} })]],
  ]
  const clientHelloBytes = encodeHello({ ...HELLO, node: "client" }).length
  for (const [kind, [first, second]] of cases) {
    const nodes = await testNodes()
    nodes.network.crash("server")
    await nodes.network.host("server").listen(ADDRESS, connection => {
      let [receivedBytes, written] = [0, 0]
      connection.start({
        bytes: piece => {
          receivedBytes += piece.length
          // The network may split what the client sends: the second answer follows its call.
          const due = [first, ...(receivedBytes > clientHelloBytes ? [second] : [])].slice(written)
          written += due.length
          for (const next of due) if (next !== undefined) connection.write([next], () => undefined)
        },
        closed: () => undefined,
      })
    })
    const call = kindOf(nodes.peer.call(add, "x", { ...CALL, deadlineMs: 4_000 }))
    assert.equal(await nodes.clock.runUntil(call), kind, String(first))
    assert.ok(nodes.clock.monotonicMs() <= 4_000)
    await isAtRest(nodes)
  }
})
