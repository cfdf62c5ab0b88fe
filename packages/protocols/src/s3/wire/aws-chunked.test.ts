import { test } from "node:test"
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { fc } from "@hayloft/base/testing-properties.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { concatBytes } from "@hayloft/base/bytes.js"
import { ChunkSignatures, SigningKey } from "@hayloft/access/index.js"
import { ChunkedDecoder, decodeChunkedBody, parseTrailerNames, withoutAwsChunked } from "./aws-chunked.js"

/** Processor time, so that a busy machine causes no failure; bounds are far above linear time, far below quadratic. */
const cpuMs = (): number => process.cpuUsage().user / 1000

const SCOPE = "20130524/us-east-1/s3/aws4_request"
const KEY = new TextEncoder().encode("a signing key")
const chain = (seed = "seed") => new ChunkSignatures(new SigningKey("", KEY), "20130524T000000Z", SCOPE, seed)
const bytesOf = (text: string) => Uint8Array.from(text, character => character.charCodeAt(0))
const sha = (data: Uint8Array | string) => createHash("sha256").update(data).digest("hex")
const TRAILER = "x-amz-checksum-crc32"

interface Mode {
  readonly signed: boolean
  readonly trailer: boolean
}
const MODES: readonly Mode[] = [
  { signed: true, trailer: false },
  { signed: true, trailer: true },
  { signed: false, trailer: true },
  { signed: false, trailer: false },
]

function encode({ signed, trailer }: Mode, chunks: readonly Uint8Array[], seed = "seed"): Uint8Array {
  const signatures = chain(seed)
  const parts: Uint8Array[] = []
  for (const chunk of [...chunks.filter(c => c.length > 0), new Uint8Array()]) {
    const signature = signed ? `;chunk-signature=${signatures.chunk(sha(chunk))}` : ""
    parts.push(bytesOf(`${chunk.length.toString(16)}${signature}\r\n`))
    if (chunk.length > 0) parts.push(chunk, bytesOf("\r\n"))
  }
  if (trailer) {
    parts.push(bytesOf(`${TRAILER}:AAAAAA==\r\n`))
    if (signed) parts.push(bytesOf(`x-amz-trailer-signature:${signatures.trailer(sha(`${TRAILER}:AAAAAA==\n`))}\r\n`))
  }
  parts.push(bytesOf("\r\n"))
  return concatBytes(parts)
}

interface Outcome {
  readonly data?: Uint8Array
  readonly trailers?: ReadonlyMap<string, string>
  readonly failure?: FailureKind
}

function decode({ signed, trailer }: Mode, pieces: readonly Uint8Array[], decodedBytes: number): Outcome {
  const decoder = new ChunkedDecoder({
    signatures: signed ? chain() : undefined,
    trailerNames: trailer ? [TRAILER] : undefined,
    decodedBytes,
  })
  const data: Uint8Array[] = []
  try {
    for (const piece of pieces) for (const decoded of decoder.push(piece)) data.push(decoded)
    const trailers = decoder.end()
    return { data: concatBytes(data), trailers }
  } catch (error) {
    assert.ok(isFailure(error), String(error))
    assert.throws(() => decoder.end(), "a refused body stays refused")
    return { failure: error.kind }
  }
}

function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map(cut => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...places, bytes.length].map((end, i) => bytes.subarray(i === 0 ? 0 : places[i - 1], end))
}

const chunkList = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 })
const cutList = fc.array(fc.nat(2000), { maxLength: 12 })

test("all modes return the body, however the stream is split", () => {
  fc.assert(
    fc.property(fc.constantFrom(...MODES), chunkList, cutList, (mode, chunks, cuts) => {
      const body = concatBytes(chunks)
      const outcome = decode(mode, split(encode(mode, chunks), cuts), body.length)
      assert.deepEqual(outcome.data, body)
      assert.deepEqual([...(outcome.trailers ?? [])], mode.trailer ? [[TRAILER, "AAAAAA=="]] : [])
    }),
    { numRuns: 500 },
  )
  for (const mode of MODES) {
    const bytes = encode(mode, [bytesOf("hello"), bytesOf("world!")])
    const single = [...bytes].map(byte => Uint8Array.of(byte))
    assert.deepEqual(decode(mode, single, 11).data, bytesOf("helloworld!"))
  }
})

test("damage has one outcome, however the stream is split, and damage to signed bytes is never accepted", () => {
  const damage = fc.oneof(
    fc.record({ kind: fc.constant("flip" as const), at: fc.nat(), bit: fc.nat(7) }),
    fc.record({ kind: fc.constant("cut" as const), at: fc.nat(), bit: fc.constant(0) }),
    fc.record({ kind: fc.constant("extra" as const), at: fc.nat(), bit: fc.nat(255) }),
  )
  fc.assert(
    fc.property(fc.constantFrom(...MODES), chunkList, cutList, damage, (mode, chunks, cuts, { kind, at, bit }) => {
      const good = encode(mode, chunks)
      const place = at % good.length
      const bad =
        kind === "cut"
          ? good.subarray(0, place)
          : kind === "extra"
            ? concatBytes([good.subarray(0, place), Uint8Array.of(bit), good.subarray(place)])
            : good.map((byte, i) => (i === place ? byte ^ (1 << bit) : byte))
      const body = concatBytes(chunks)
      const whole = decode(mode, [bad], body.length)
      assert.deepEqual(decode(mode, split(bad, cuts), body.length), whole)
      // Input that is still accepted (upper-case hex, a missing last line break) means the very same body.
      if (mode.signed && whole.data !== undefined) {
        assert.deepEqual(whole.data, body)
        assert.deepEqual([...(whole.trailers ?? [])], mode.trailer ? [[TRAILER, "AAAAAA=="]] : [])
      }
    }),
    { numRuns: 1500 },
  )
})

test("each bit of each signed byte counts: flips, swaps, drops and replays are refused", () => {
  const mode = { signed: true, trailer: true }
  const chunks = [bytesOf("first"), bytesOf("other")]
  const good = encode(mode, chunks)
  const text = String.fromCharCode(...good)
  for (const data of ["first", "other"]) {
    const start = text.indexOf(data)
    for (let bit = 0; bit < data.length * 8; bit += 1) {
      const bad = good.slice()
      const place = start + (bit >> 3)
      bad[place] = (bad[place] ?? 0) ^ (1 << (bit & 7))
      assert.equal(decode(mode, [bad], 10).failure, "signatureMismatch")
    }
  }
  const frames = text.split(/(?<=\r\n)(?=[05];chunk)/)
  const swapped = [frames[1], frames[0], frames[2]].join("")
  assert.equal(decode(mode, [bytesOf(swapped)], 10).failure, "signatureMismatch")
  assert.equal(decode(mode, [bytesOf([frames[1], frames[2]].join(""))], 5).failure, "signatureMismatch")
  assert.equal(decode(mode, [bytesOf([frames[0], frames[2]].join(""))], 5).failure, "signatureMismatch")
  assert.equal(decode(mode, [encode(mode, chunks, "another upload")], 10).failure, "signatureMismatch")
  assert.equal(decode(mode, [bytesOf(text.replace("AAAAAA==", "AAAAAB=="))], 10).failure, "signatureMismatch")
  const upper = text.replace(/chunk-signature=(\w+)/, (_, hex: string) => `chunk-signature=${hex.toUpperCase()}`)
  assert.equal(decode(mode, [bytesOf(upper)], 10).failure, "signatureMismatch", "signatures are compared exactly")
  const trailerSignature = text.indexOf("x-amz-trailer-signature:") + 24
  const forged = good.slice()
  forged[trailerSignature] = forged[trailerSignature] === 0x30 ? 0x31 : 0x30
  assert.equal(decode(mode, [forged], 10).failure, "signatureMismatch")
  assert.equal(
    decode({ signed: true, trailer: false }, [encode({ signed: false, trailer: false }, chunks)], 10).failure,
    "malformedChunk",
  )
})

test("wrong lengths, malformed frames and trailers are refused by name", () => {
  const cases: [string, Mode, string, number, FailureKind][] = [
    ["shorter than declared", { signed: false, trailer: false }, "1\r\na\r\n0\r\n\r\n", 2, "incompleteBody"],
    ["longer than declared", { signed: false, trailer: false }, "2\r\nab\r\n0\r\n\r\n", 1, "incompleteBody"],
    ["a size of 2^64", { signed: false, trailer: false }, "ffffffffffffffff\r\n", 1, "incompleteBody"],
    ["no last chunk", { signed: false, trailer: false }, "1\r\na\r\n", 1, "incompleteBody"],
    ["nothing at all", { signed: false, trailer: false }, "", 0, "incompleteBody"],
    ["no size", { signed: false, trailer: false }, "\r\n", 0, "malformedChunk"],
    ["size is no hex", { signed: false, trailer: false }, "zz\r\n", 0, "malformedChunk"],
    ["negative size", { signed: false, trailer: false }, "-1\r\n", 0, "malformedChunk"],
    ["bare line feed", { signed: false, trailer: false }, "1\na\r\n0\r\n\r\n", 1, "malformedChunk"],
    ["no break after data", { signed: false, trailer: false }, "1\r\nab\r\n0\r\n\r\n", 1, "malformedChunk"],
    ["bytes after the end", { signed: false, trailer: false }, "0\r\n\r\nx", 0, "malformedChunk"],
    ["extension on plain chunks", { signed: false, trailer: false }, "1;x=y\r\na\r\n0\r\n\r\n", 1, "malformedChunk"],
    ["endless size line", { signed: false, trailer: false }, "0".repeat(300), 1, "malformedChunk"],
    ["promised trailer missing", { signed: false, trailer: true }, "0\r\n\r\n", 0, "malformedTrailer"],
    [
      "another trailer",
      { signed: false, trailer: true },
      `0\r\n${TRAILER}:x\r\nx-other:y\r\n\r\n`,
      0,
      "malformedTrailer",
    ],
    [
      "trailer twice",
      { signed: false, trailer: true },
      `0\r\n${TRAILER}:x\r\n${TRAILER}:x\r\n\r\n`,
      0,
      "malformedTrailer",
    ],
    ["no trailer line", { signed: false, trailer: true }, "0\r\njunk\r\n\r\n", 0, "malformedTrailer"],
    ["endless trailer", { signed: false, trailer: true }, `0\r\n${TRAILER}:${"x".repeat(9000)}`, 0, "malformedTrailer"],
    [
      "trailer signature on plain chunks",
      { signed: false, trailer: true },
      `0\r\n${TRAILER}:x\r\nx-amz-trailer-signature:0\r\n\r\n`,
      0,
      "malformedTrailer",
    ],
  ]
  for (const [what, mode, text, decodedBytes, failure] of cases) {
    assert.deepEqual(decode(mode, [bytesOf(text)], decodedBytes), { failure }, what)
  }
})

test("blank lines and bare line feeds in a trailer are accepted, since some clients send them", () => {
  const mode = { signed: true, trailer: true }
  const usual = String.fromCharCode(...encode(mode, [bytesOf("hi")]))
  const bare = usual.replace("AAAAAA==\r\n", "AAAAAA==\n\r\n")
  assert.deepEqual(decode(mode, [bytesOf(bare)], 2).data, bytesOf("hi"))
  assert.deepEqual(decode(mode, [bytesOf(usual.replace(/\r\n\r\n$/, ""))], 2).data, bytesOf("hi"))
})

test("a body streams through the decoder, and its trailers are known at the end", async () => {
  const mode = { signed: false, trailer: true }
  const pieces = split(encode(mode, [bytesOf("abc"), bytesOf("def")]), [3, 7, 20])
  async function* source() {
    for (const piece of pieces) yield await Promise.resolve(piece)
  }
  let seen: ReadonlyMap<string, string> | undefined
  const shape = { signatures: undefined, trailerNames: [TRAILER], decodedBytes: 6 }
  const decoded: Uint8Array[] = []
  for await (const piece of decodeChunkedBody(source(), shape, trailers => (seen = trailers))) {
    assert.equal(seen, undefined)
    decoded.push(piece)
  }
  assert.deepEqual(concatBytes(decoded), bytesOf("abcdef"))
  assert.equal(seen?.get(TRAILER), "AAAAAA==")
})

test("a million tiny chunks and a flood without line breaks stay linear", () => {
  const started = cpuMs()
  const count = 200_000
  assert.equal(
    decode({ signed: false, trailer: false }, [bytesOf(`${"1\r\na\r\n".repeat(count)}0\r\n\r\n`)], count).data?.length,
    count,
  )
  const decoder = new ChunkedDecoder({ signatures: undefined, trailerNames: undefined, decodedBytes: 1 })
  assert.throws(
    () => decoder.push(new Uint8Array(64 * 1024 * 1024).fill(0x31)),
    error => isFailure(error, "malformedChunk"),
  )
  assert.ok(cpuMs() - started < 20_000)
})

test("aws-chunked is removed from Content-Encoding, and names are read from x-amz-trailer", () => {
  assert.equal(withoutAwsChunked("aws-chunked,gzip"), "gzip")
  assert.equal(withoutAwsChunked("gzip, AWS-Chunked"), "gzip")
  assert.equal(withoutAwsChunked("aws-chunked"), undefined)
  assert.equal(withoutAwsChunked("gzip ,br"), "gzip ,br")
  assert.deepEqual(parseTrailerNames("X-Amz-Checksum-CRC32, x-b"), ["x-amz-checksum-crc32", "x-b"])
  for (const text of ["", "a,,b", "a,a", "a b"])
    assert.throws(
      () => parseTrailerNames(text),
      error => isFailure(error, "malformedTrailer"),
    )
})
