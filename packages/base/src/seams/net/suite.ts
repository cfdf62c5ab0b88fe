/** The tests that every network must pass. `settle` lets real or simulated time pass until the promise settles. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import type { Connection, Listener, Net, NetAddress } from "./contract.js"

interface NetUnderTest {
  readonly server: Net
  readonly client: Net
  /** The address on which the server listens; its port is 0, any free one. */
  readonly at: NetAddress
  settle<T>(promise: Promise<T>): Promise<T>
}

interface End {
  readonly connection: Connection
  readonly received: () => Buffer
  readonly closed: Promise<string | undefined>
  readonly atLeast: (bytes: number) => Promise<void>
}

function open(connection: Connection): End {
  const chunks: Uint8Array[] = []
  let bytes = 0
  const waiting = new Set<() => void>()
  const closed = new Promise<string | undefined>(resolve => {
    connection.start({
      bytes: chunk => {
        chunks.push(chunk)
        bytes += chunk.length
        for (const check of waiting) check()
      },
      closed: resolve,
    })
  })
  const atLeast = (wanted: number): Promise<void> =>
    new Promise(resolve => {
      const check = (): void => {
        if (bytes >= wanted) resolve()
      }
      waiting.add(check)
      check()
    })
  return { connection, received: () => Buffer.concat(chunks), closed, atLeast }
}

const written = (connection: Connection, buffers: readonly Uint8Array[]): Promise<void> =>
  new Promise(resolve => connection.write(buffers, resolve))

const never = new AbortController().signal

interface Opened {
  readonly here: End
  readonly there: End
  readonly listener: Listener
}

async function connected({ server, client, at }: NetUnderTest): Promise<Opened> {
  let accept: (end: End) => void = () => undefined
  const accepted = new Promise<End>(resolve => (accept = resolve))
  const listener = await server.listen(at, connection => accept(open(connection)))
  const here = open(await client.connect(listener.address, never))
  return { here, there: await accepted, listener }
}

export function netSuite(kind: string, make: () => NetUnderTest): void {
  const netTest = (name: string, run: (net: NetUnderTest) => Promise<void>): void => {
    test(`${kind}: ${name}`, async () => {
      const net = make()
      await net.settle(run(net))
    })
  }

  netTest("bytes arrive in order in both directions, several buffers at once", async net => {
    const { here, there, listener } = await connected(net)
    const large = Buffer.alloc(3_000_000, "abcdefg")
    await Promise.all([written(here.connection, [Buffer.from("one,"), Buffer.from("two,"), large])])
    await written(there.connection, [Buffer.from("back")])
    await Promise.all([there.atLeast(3_000_008), here.atLeast(4)])
    assert.deepEqual(there.received().subarray(0, 8).toString(), "one,two,")
    assert.ok(there.received().subarray(8).equals(large))
    assert.equal(here.received().toString(), "back")
    here.connection.reset()
    await Promise.all([here.closed, there.closed, listener.close()])
  })

  netTest("a paused reader holds back a write, and its memory is read until then", async net => {
    const { here, there, listener } = await connected(net)
    there.connection.pause()
    const large = Buffer.alloc(32_000_000, "x")
    let isWritten = false
    const done = written(here.connection, [large]).then(() => (isWritten = true))
    const small = written(there.connection, [Buffer.from("go")])
    await Promise.all([small, here.atLeast(2)])
    assert.equal(isWritten, false)
    there.connection.resume()
    await done
    large.fill("y")
    await there.atLeast(large.length)
    assert.ok(!there.received().includes("y"))
    here.connection.reset()
    await Promise.all([here.closed, there.closed, listener.close()])
  })

  netTest("an end delivers everything before it closes both sides", async net => {
    const { here, there, listener } = await connected(net)
    await written(here.connection, [Buffer.alloc(500_000, "z")])
    here.connection.end()
    await Promise.all([here.closed, there.closed])
    assert.equal(there.received().length, 500_000)
    await listener.close()
  })

  netTest("nobody listens: peerUnreachable; an abort ends an attempt", async net => {
    const { listener, here, there } = await connected(net)
    here.connection.reset()
    await Promise.all([here.closed, there.closed, listener.close()])
    await assert.rejects(net.client.connect(listener.address, never), error => isFailure(error, "peerUnreachable"))
    const stop = new AbortController()
    const attempt = net.client.connect(listener.address, stop.signal)
    stop.abort(new Error("not needed"))
    await assert.rejects(attempt, /not needed/)
    await assert.rejects(net.client.connect(listener.address, stop.signal), /not needed/)
  })

  netTest("a port that is taken is refused", async net => {
    const { listener, here, there } = await connected(net)
    const again = net.server.listen(listener.address, () => undefined)
    await assert.rejects(again, error => isFailure(error, "invalidConfig"))
    here.connection.reset()
    await Promise.all([here.closed, there.closed, listener.close()])
  })
}
