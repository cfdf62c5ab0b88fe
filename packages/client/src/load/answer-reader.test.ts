import { test } from "node:test"
import assert from "node:assert/strict"
import { AnswerReader, type ReadAnswer } from "./answer-reader.js"

const WIRE = [
  'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 5\r\n\r\nhello',
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.1 204 No Content\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nB;x=1\r\n, wide\r\nwor\r\n0\r\nx-t: 1\r\n\r\n",
  "HTTP/1.1 503 Slow Down\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 24\r\n\r\n<Code>SlowDown</Code>...",
].join("")

function read(pieces: readonly string[], isHead = false): ReadAnswer[] {
  const answers: ReadAnswer[] = []
  const reader = new AnswerReader(
    answer => answers.push(answer),
    () => undefined,
  )
  reader.expect(isHead)
  const memory = Buffer.alloc(4096)
  for (const piece of pieces) {
    // The next read overwrites the last one, as a socket's buffer does.
    const length = memory.fill(0).write(piece, "latin1")
    reader.take(memory.subarray(0, length))
  }
  return answers
}

test("any split of the bytes gives the same responses", () => {
  const whole = read([WIRE])
  assert.deepEqual(
    whole.map(({ status, bodyBytes, isLast, retryAfterSeconds }) => [status, bodyBytes, isLast, retryAfterSeconds]),
    [
      [200, 5, false, undefined],
      [204, 0, false, undefined],
      [200, 16, false, undefined],
      [503, 24, true, 1],
    ],
  )
  assert.equal(whole[3]?.errorText, "<Code>SlowDown</Code>...")
  for (let at = 1; at < WIRE.length; at += 1) {
    assert.deepEqual(read([WIRE.slice(0, at), WIRE.slice(at)]), whole, `cut at ${at}`)
  }
  assert.deepEqual(read([...WIRE]), whole)
})

test("a response to HEAD has no body, whatever its length header", () => {
  assert.deepEqual(
    read(["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nHTTP/1.1 404 No\r\ncontent-length: 3\r\n\r\n"], true).map(
      ({ status, bodyBytes }) => [status, bodyBytes],
    ),
    [
      [200, 0],
      [404, 0],
    ],
  )
})

test("malformed responses are refused", () => {
  for (const wire of [
    "HTTP/1.1 200 OK\r\n\r\n",
    "SSH-2.0-x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
  ]) {
    assert.throws(() => read([wire]), { name: "BrokenAnswer" }, wire)
  }
})
