/** The tests that every channel must pass. `settle` lets real or simulated time pass until the promise settles. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Channel } from "./contract.js"

interface ChannelUnderTest {
  readonly here: Channel
  readonly there: Channel
  settle<T>(promise: Promise<T>): Promise<T>
}

interface End {
  readonly messages: unknown[]
  readonly closed: Promise<void>
  readonly atLeast: (count: number) => Promise<void>
}

function open(channel: Channel): End {
  const messages: unknown[] = []
  const waiting = new Set<() => void>()
  const closed = new Promise<void>(resolve => {
    channel.start({
      message: message => {
        messages.push(message)
        for (const check of waiting) check()
      },
      closed: resolve,
    })
  })
  const atLeast = (count: number): Promise<void> =>
    new Promise(resolve => {
      const check = (): void => {
        if (messages.length >= count) resolve()
      }
      waiting.add(check)
      check()
    })
  return { messages, closed, atLeast }
}

export function channelSuite(kind: string, make: () => ChannelUnderTest): void {
  const channelTest = (name: string, body: (under: ChannelUnderTest) => Promise<void>): void => {
    test(`${kind} channel: ${name}`, async () => {
      const under = make()
      try {
        await body(under)
      } finally {
        under.here.close()
      }
    })
  }
  const counted = (count: number): number[] => Array.from({ length: count }, (_, at) => at)

  channelTest("messages arrive in order, in both directions", async ({ here, there, settle }) => {
    const [a, b] = [open(here), open(there)]
    for (const at of counted(200)) {
      here.send(at)
      there.send(-at)
    }
    await settle(Promise.all([a.atLeast(200), b.atLeast(200)]))
    assert.deepEqual(b.messages, counted(200))
    assert.deepEqual(
      a.messages,
      counted(200).map(at => -at),
    )
  })

  channelTest("messages wait for a side that starts later", async ({ here, there, settle }) => {
    here.send("early")
    await settle(open(here).atLeast(0))
    const late = open(there)
    here.send("late")
    await settle(late.atLeast(2))
    assert.deepEqual(late.messages, ["early", "late"])
  })

  channelTest("a side that starts late learns of an end that came before, after what was sent", async under => {
    const { here, there, settle } = under
    here.send("last")
    here.close()
    await settle(open(here).closed)
    const late = open(there)
    await settle(late.closed)
    assert.deepEqual(late.messages, ["last"])
  })

  channelTest("a message is a copy of its moment", async ({ here, there, settle }) => {
    const end = open(there)
    const message = { name: "before", bytes: Uint8Array.of(1, 2), seen: new Map([[1n, [undefined, null]]]) }
    here.send(message)
    message.name = "after"
    message.bytes[0] = 9
    await settle(end.atLeast(1))
    assert.deepEqual(end.messages, [
      { name: "before", bytes: Uint8Array.of(1, 2), seen: new Map([[1n, [undefined, null]]]) },
    ])
  })

  channelTest("shared memory stays shared, a moved buffer is gone here", async ({ here, there, settle }) => {
    const end = open(there)
    const shared = new Uint8Array(new SharedArrayBuffer(8), 2, 4)
    const moved = Uint8Array.of(5, 6, 7)
    here.send({ shared, moved }, [moved.buffer])
    assert.equal(moved.length, 0)
    shared[1] = 8
    await settle(end.atLeast(1))
    assert.deepEqual(end.messages, [{ shared: Uint8Array.of(0, 8, 0, 0), moved: Uint8Array.of(5, 6, 7) }])
    shared[2] = 9
    assert.deepEqual(end.messages, [{ shared: Uint8Array.of(0, 8, 9, 0), moved: Uint8Array.of(5, 6, 7) }])
  })

  channelTest("a message that cannot be copied is refused, and the next one arrives", async under => {
    const { here, there, settle } = under
    const end = open(there)
    assert.throws(() => here.send({ call: () => undefined }))
    here.send("next")
    await settle(end.atLeast(1))
    assert.deepEqual(end.messages, ["next"])
  })

  channelTest("what was sent before the end arrives, nothing after it", async ({ here, there, settle }) => {
    const [a, b] = [open(here), open(there)]
    for (const at of counted(20)) here.send(at)
    here.close()
    here.send("too late")
    here.close()
    await settle(Promise.all([a.closed, b.closed]))
    there.send("too late")
    assert.deepEqual(b.messages, counted(20))
    assert.deepEqual(a.messages, [])
  })
}
