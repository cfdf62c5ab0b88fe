/** Requests of clients that misbehave. */
import assert from "node:assert/strict"
import { after, test } from "node:test"
import type { Exchange } from "./contract.js"
import { parseAnswers } from "./testing-raw-client.js"
import { pause, echoLength, serve, stopAll, until } from "./testing-listener.js"

after(stopAll)

const CHUNKED = "HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

test("a complete body is accepted, whatever nonsense follows it", async () => {
  const world = await serve(echoLength)
  const client = await world.open()
  client.send(`PUT /a ${CHUNKED}5\r\nhello\r\n0\r\n\r\nnonsense\r\n\r\n`)
  const [answer, refusal] = parseAnswers(await client.end())
  assert.equal(answer?.body, "read 5")
  assert.deepEqual([refusal?.status, refusal?.headers.get("connection")], [400, "close"])
})

test("an answer is sent unchanged when the body of its request is not read", async () => {
  const value = 'attachment; filename="\u00c3\u00a4 \u00e9\u00ff"'
  const headers = ["Content-Disposition", value]
  const world = await serve(exchange => exchange.respond({ status: 200, headers, contentLength: 3 }))
  const client = await world.open()
  client.send(`HEAD /a ${CHUNKED}`)
  const [answer] = await client.answers(1, true)
  assert.equal(answer?.headers.get("content-disposition"), value)
})

test("the log includes clients that have disconnected", async () => {
  const waits = (exchange: Exchange) =>
    new Promise<void>(resolve => exchange.signal.addEventListener("abort", () => resolve()))
  for (const head of [`${CHUNKED}0\r\n\r\n`, "HTTP/1.1\r\nHost: h\r\n\r\n"]) {
    const { telemetry, open } = await serve(waits)
    const client = await open()
    client.send(`GET /a ${head}`)
    await pause(20)
    client.close()
    await until("the request is logged", () => telemetry.entries("request").length > 0)
    assert.equal(telemetry.entries("request")[0]?.fields["remote"], "127.0.0.1")
  }
})
