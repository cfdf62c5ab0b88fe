/** Requests that wait for what does not answer are refused in time, while their work goes on and may still succeed. */
import assert from "node:assert/strict"
import { after, test } from "node:test"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { Exchange } from "./contract.js"
import type { RawClient } from "./testing-raw-client.js"
import { serve, stopAll, until } from "./testing-listener.js"

after(stopAll)

const LIMITS = { stalledAnswerMs: 30, stalledBodyMs: 60, stalledMax: 2 }
const ok = { status: 200, headers: [], body: new TextEncoder().encode("done") }

/** Status and body of an answer. */
async function last(client: RawClient, count: number): Promise<readonly [number | undefined, string | undefined]> {
  const answer = (await client.answers(count))[count - 1]
  return [answer?.status, answer?.body]
}

/** A server whose requests wait until `goOn`, unless their path is `/well`. */
async function world() {
  let goOn: () => void = () => undefined
  const blocked = new Promise<void>(resolve => (goOn = resolve))
  const [ended, failed]: [string[], unknown[]] = [[], []]
  const paced = { begun: 0, ended: 0 }
  let reason: Failure | undefined = fail("tooManyInFlight", { message: "the disks do not answer" })
  async function* halves(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("first ")
    await blocked
    yield Buffer.from("second")
  }
  const handle = async (exchange: Exchange): Promise<void> => {
    if (exchange.header("x-part") !== undefined) {
      const body = halves()
      await exchange.respond({ status: 200, headers: [], contentLength: 12, body })
      return void ended.push(exchange.rawTarget)
    }
    if (exchange.rawTarget !== "/well") {
      if (exchange.method === "PUT") {
        try {
          for await (const _ of exchange.body()) await blocked
        } catch (error) {
          failed.push(error)
          throw error
        }
      }
      await blocked
    }
    if (exchange.header("x-paced") !== undefined) {
      exchange.countIn({ count: () => void (paced.ended += 1) })
      await exchange.paceBy({ begin: () => void (paced.begun += 1), move: () => undefined })
    }
    ended.push(exchange.rawTarget)
    await exchange.respond(ok)
  }
  const stalled = ({ rawTarget }: Pick<Exchange, "rawTarget">) => (rawTarget === "/patient" ? undefined : reason)
  const { open } = await serve(handle, LIMITS, undefined, { stalled })
  return { open, goOn, ended, failed, paced, answers: () => (reason = undefined) }
}

test("a request that waits is refused with the reason, and its work goes on", async () => {
  const { open, goOn, ended } = await world()
  const client = await open()
  client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.deepEqual(await last(client, 1), [503, "tooManyInFlight"])
  assert.equal((await client.answers(1))[0]?.headers.get("retry-after"), "1")
  // The connection can be used again.
  client.send("GET /well HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.deepEqual(await last(client, 2), [200, "done"])
  assert.deepEqual(ended, ["/well"])
  goOn()
  await until("the work has ended", () => ended.includes("/a"))
})

test("the work of a refused request is not paced: nothing would tell the pacer of its end", async () => {
  const { open, goOn, ended, paced } = await world()
  const client = await open()
  client.send("GET /well HTTP/1.1\r\nHost: h\r\nX-Paced: 1\r\n\r\n")
  assert.deepEqual(await last(client, 1), [200, "done"])
  client.send("GET /a HTTP/1.1\r\nHost: h\r\nX-Paced: 1\r\n\r\n")
  assert.equal((await last(client, 2))[0], 503)
  goOn()
  await until("the work has ended", () => ended.includes("/a"))
  assert.deepEqual(paced, { begun: 1, ended: 1 })
})

test("the body of a refused request ends for its work, which cannot commit a part of it", async () => {
  const { open, goOn, failed } = await world()
  const client = await open()
  client.send("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
  client.send("x".repeat(400_000))
  assert.equal((await last(client, 1))[0], 503)
  goOn()
  await until("its reader has failed", () => failed.length > 0)
  assert.ok(isFailure(failed[0], "tooManyInFlight"))
})

test("while many are refused whose work goes on, others are refused when they arrive, and none afterwards", async () => {
  const { open, goOn, ended, answers } = await world()
  const [first, second, third, patient] = [await open(), await open(), await open(), await open()]
  for (const client of [first, second]) {
    client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
    assert.equal((await last(client, 1))[0], 503)
  }
  third.send("GET /well HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.equal((await last(third, 1))[0], 503)
  patient.send("GET /patient HTTP/1.1\r\nHost: h\r\n\r\n")
  goOn()
  assert.equal((await last(patient, 1))[0], 200)
  await until("all work has ended", () => ended.length === 3)
  answers()
  third.send("GET /well HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.equal((await last(third, 2))[0], 200)
})

test("an answer that has begun is broken off if its next bytes wait too long for what does not answer", async () => {
  const { open, goOn, ended } = await world()
  const [broken, patient] = [await open(), await open()]
  for (const [client, path] of [
    [broken, "/a"],
    [patient, "/patient"],
  ] as const) {
    client.send(`GET ${path} HTTP/1.1\r\nHost: h\r\nX-Part: 1\r\n\r\n`)
  }
  assert.match(await broken.end(), /\r\n\r\nfirst $/)
  goOn()
  assert.deepEqual(await last(patient, 1), [200, "first second"])
  await until("all work has ended", () => ended.length === 2)
})
