/**
 * Random requests over connections: requests on the synchronous path get the same answers and leave the same
 * objects and log entries as requests that Node's parser reads and that wait.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { sha256Hex } from "@hayloft/access/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccountId, parseBucketName, type BucketName } from "@hayloft/base/ids.js"
import { HTTP_LIMITS, HttpServer, type Protocol } from "@hayloft/protocols/http/index.js"
import { parseAnswers, RawClient, type ReceivedAnswer } from "@hayloft/protocols/http/testing-raw-client.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { hashOnce } from "@hayloft/base/seams/compute/hashes.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { ask, type HandlerRequest } from "./ask.js"
import { PAGE, RULES, shown, takeLists, world } from "./delays-world.js"

const ROUNDS = runsOf(120)
/** Names of equal length, so that answers have equal lengths. */
const [LEFT, RIGHT] = ["to-the-left", "to-my-right"]
const NAMES = [LEFT, RIGHT].map(parseBucketName)
const OWNER = parseAccountId("root")
const random = new SimRandom(TEST_SEED)
const oneOf = <T>(...choices: readonly [T, ...T[]]): T => choices[random.below(choices.length)] ?? choices[0]

const ODD_KEYS = ["a//b", "a%2Fb", "../a", "%C3%A4", "%c3%a4", "%FF", "a+b", ""] as const
const UMLAUT = "\u00c3\u00a4"
const base64 = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("base64")

interface Sent extends HandlerRequest {
  readonly hash: string
  readonly secret: string
  readonly body: Buffer
}

function anyHeaders(method: string, body: Buffer): readonly string[] {
  if (method !== "PUT") {
    return oneOf<readonly string[]>(
      [],
      [],
      ["Range", oneOf("bytes=0-1", "bytes=-2", "bytes=9-", "bytes=3-1", "bytes=0-0,2-2", "")],
      ["Range", "bytes=0-1", "range", "bytes=2-3"],
      ["x-amz-checksum-mode", oneOf("ENABLED", "enabled", "")],
      [oneOf("If-Match", "If-None-Match"), "*"],
      ["x-amz-expected-bucket-owner", oneOf("root", "friend")],
      ["Content-Length", "0"],
      ["User-Agent", "a  b"],
      ["Origin", PAGE],
      ["x-amz-acl", ""],
    )
  }
  const { md5, checksum } = hashOnce({ md5: true, sha256: false, checksum: "CRC32C" }, body)
  const [sum, digest] = [base64(checksum), base64(md5)]
  return oneOf<readonly string[]>(
    [],
    [],
    ["Content-Type", oneOf("text/x", "", "a  b")],
    ["x-amz-meta-a", oneOf("1", UMLAUT, "a  b", "")],
    ["x-amz-meta-A", "1", "X-Amz-Meta-a", "2"],
    ["Content-Disposition", `inline; filename=${UMLAUT}`],
    ["Content-MD5", oneOf(digest, digest, "nonsense", base64(body.subarray(0, 16)))],
    ["x-amz-checksum-crc32c", oneOf(sum, "AAAAAA==", "AAAAAA==", "AAAA", "")],
    ["Expect", "100-continue", ...oneOf([], ["Content-MD5", oneOf(digest, "nonsense")])],
    ["x-amz-tagging", "a=1"],
    ["x-amz-acl", oneOf("private", "public-read", "x")],
    ["x-amz-storage-class", oneOf("STANDARD", "STANDARD_IA", "GLACIER")],
    ["x-amz-nonsense", "1"],
  )
}

function anySent(): Sent {
  const method = oneOf("GET", "GET", "PUT", "PUT", "HEAD", "DELETE")
  const lengthBytes = method === "PUT" ? oneOf(0, 1, 100, 5_000, 70_000) : 0
  const body = Buffer.alloc(lengthBytes, `${random.below(99)} `)
  const key = random.below(3) > 0 ? oneOf("a", "b", "c") : oneOf(...ODD_KEYS)
  const query = random.below(3) > 0 ? "" : oneOf(`?x-id=${method}`, "?x-id=", "?versionId=null", "?acl", "?", "?a=b")
  const length = method === "PUT" ? ["Content-Length", String(lengthBytes)] : []
  const rawHeaders = ["Host", oneOf("h", "127.0.0.1:9000", "s3.test"), ...anyHeaders(method, body), ...length]
  const real = sha256Hex(body)
  const hash = oneOf("UNSIGNED-PAYLOAD", real, real, real, real, sha256Hex("other"), "x")
  const secret = random.below(12) > 0 ? "secret" : "x"
  return { method, rawTarget: `/${LEFT}/${key}${query}`, rawHeaders, body, hash, secret }
}

function bytesOf({ method, rawTarget, rawHeaders, body = new Uint8Array() }: HandlerRequest): Buffer {
  const lines = rawHeaders.flatMap((text, i) => (i % 2 === 0 ? [`${text}: ${rawHeaders[i + 1] ?? ""}\r\n`] : []))
  return Buffer.concat([Buffer.from(`${method} ${rawTarget} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1"), body])
}

/** A header value that makes Node's parser read the head. */
const ODD_HEADER = ["X-Odd", "\u00e4"]
const oddly = (one: HandlerRequest): HandlerRequest => ({ ...one, rawHeaders: [...one.rawHeaders, ...ODD_HEADER] })

const result = (request: readonly HandlerRequest[]): string =>
  request.map(one => bytesOf({ ...one, body: new Uint8Array() }).toString("latin1")).join("")

const isFinal = ({ status }: ReceivedAnswer): boolean => status !== 100

const ELEMENTS = /<(RequestId|VersionId|LastModified|StringToSign|CanonicalRequest|SignatureProvided)>(?!null)[^<]*/g
const inLeft = (document: string): string => document.replaceAll(RIGHT, LEFT).replace(ELEMENTS, "<$1>")

/**
 * Removes the parts that differ: random values, times, the names of the two buckets, and whether the connection
 * stays open.
 */
function alike({ status, headers, body }: ReceivedAnswer) {
  const drawn = /^(?:x-amz-request-id|x-amz-version-id|date|last-modified|server-timing|connection|keep-alive)$/
  const kept = [...headers].flatMap(([name, value]) => (drawn.test(name) ? [] : `${name}: ${inLeft(value)}`)).sort()
  return { status, kept, body: inLeft(body) }
}

async function serve(machine: Machine, handler: Protocol) {
  const telemetry = new SimTelemetry()
  const settings = { name: "s3", host: "127.0.0.1", port: 0, serverHeader: "Hayloft", limits: HTTP_LIMITS }
  const server = new HttpServer({ clock: machine.clock, random: new SimRandom(1), telemetry }, handler, settings)
  const { port } = await server.listen()
  /** Returns the answers to bytes that are sent in one go; a HEAD must be the only request. */
  const send = async (request: readonly HandlerRequest[], viaNode: boolean): Promise<readonly ReceivedAnswer[]> => {
    const client = await RawClient.open(port)
    const before = client.received.length
    const answers = () => parseAnswers(client.received.slice(before), request[0]?.method === "HEAD")
    client.send(Buffer.concat(request.map(one => bytesOf(viaNode ? oddly(one) : one))))
    await client.until(() => client.closed || answers().filter(isFinal).length >= request.length)
    client.close()
    return answers()
  }
  const log = () =>
    telemetry
      .entries("request")
      .map(({ fields: { method, status, operation, accessKeyId, failure, sentBytes } }) =>
        [method, status, operation, accessKeyId, failure, sentBytes].join(),
      )
      .filter(line => !line.startsWith("OPTIONS"))
  return { send, log, stop: () => server.run(AbortSignal.abort()) }
}

test("requests over connections, in pipelines too, have the same effect on the synchronous and the asynchronous path", () => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(compare(machine))
})

async function compare(machine: Machine): Promise<void> {
  const { slow: later, quick: atOnce, sign, count, engine, clock } = await world(machine)
  const { buckets } = engine.services
  const [quick, slow] = [await serve(machine, atOnce), await serve(machine, later)]
  const signed = ({ hash, secret, ...request }: Sent) => sign(request, hash, secret)
  const compareRound = async (): Promise<void> => {
    const some = Array.from({ length: oneOf(1, 1, 4) }, anySent)
    const request = some.length > 1 ? some.filter(({ method }) => method !== "HEAD") : some
    const answers = await quick.send(request.map(signed), false)
    // If a connection ends with an answer, later requests on it are not served.
    const answered = request.slice(0, answers.filter(isFinal).length)
    assert.ok(answered.length > 0 || request.length === 0)
    const expected: ReceivedAnswer[] = []
    for (const one of answered) {
      const rawTarget = one.rawTarget.replace(LEFT, RIGHT)
      expected.push(...(await slow.send([signed({ ...one, rawTarget })], true)))
    }
    assert.deepEqual(answers.map(alike), expected.map(alike), result(answered))
  }
  const listed = async (name: string): Promise<string> => {
    const rawTarget = `/${name}?versions`
    return inLeft(shown(await ask(later, sign({ method: "GET", rawTarget, rawHeaders: ["host", "h"] }))).body)
  }
  const isThere = async (name: BucketName): Promise<boolean> => {
    try {
      await buckets.open(name)
      return true
    } catch (error) {
      if (isFailure(error, "noSuchBucket")) return false
      throw error
    }
  }
  const prepare = async (name: BucketName, versioning: "never" | "enabled" | "suspended"): Promise<void> => {
    // A request may have deleted it.
    if (!(await isThere(name))) await buckets.create({ name, owner: OWNER, location: "" })
    if (versioning !== "never") await buckets.setVersioning(await buckets.open(name), versioning)
    await buckets.setSetting(await buckets.open(name), "cors", RULES)
    if (versioning === "enabled") await takeLists(buckets, await buckets.open(name))
  }
  try {
    for (const versioning of ["never", "enabled", "suspended"] as const) {
      for (const name of NAMES) await prepare(name, versioning)
      for (let round = 0; round < ROUNDS; round += 1) {
        await compareRound()
        for (const name of NAMES) if (!(await isThere(name))) await prepare(name, versioning)
        await clock.sleep(1_000, new AbortController().signal)
      }
      assert.equal(await listed(LEFT), await listed(RIGHT))
    }
    assert.deepEqual(quick.log(), slow.log())
    assert.ok(count.puts > 20 && count.objects > 20, `only ${count.puts} and ${count.objects} synchronously`)
  } finally {
    await quick.stop()
    await slow.stop()
    await engine.stop()
  }
}
