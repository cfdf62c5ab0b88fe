/**
 * The requests of a chapter: the setup of its buckets, random requests, and reads of the resulting state.
 *
 * Promises  The seed, the chapter and the answers so far determine the units; so equal answers give equal units. A
 *           unit is sent in one go: one request, or several that do not wait for answers.
 */
import { ALGORITHMS } from "../../conformance/checksums.js"
import { encodeBytes } from "../../conformance/sign-v4.js"
import { CHUNK_DAMAGE, TRAILER_DAMAGE, type AwsChunked, type Framing } from "./bodies.js"
import { Chance } from "./chance.js"
import * as documents from "./documents.js"
import { randomForm } from "./forms.js"
import { randomHeaders } from "./headers.js"
import { randomOperation, RandomValues, KEYS, type Draft } from "./operations.js"
import { PEOPLE, type People, type Person } from "./people.js"
import { DEFECTS, mayComeLate, QUERY_DEFECTS, type Signing, type Spec } from "./spec.js"
import { BUCKETS, type World } from "./world.js"

export type Unit =
  | { readonly kind: "requests"; readonly specs: readonly [Spec, ...Spec[]] }
  /** The last bytes of the body are not sent, and the client closes the connection. */
  | { readonly kind: "truncated"; readonly specs: readonly [Spec]; readonly missing: number }
  /** Bytes that are not a request. */
  | { readonly kind: "raw"; readonly specs: readonly []; readonly bytes: Buffer }

const SMALL_BYTES = 1_100

const isBroken = (framing: Framing): boolean => framing.kind === "http" && framing.damage !== undefined

export const HOST = "127.0.0.1:9000"

interface Plain {
  readonly by?: Person
  readonly method: string
  readonly bucket: string
  readonly key?: string
  readonly query?: string
  readonly headers?: Spec["headers"]
  readonly body?: string
}

/** Returns a valid request. */
function plainSpec({ by = "owner", method, bucket, key, query, headers = [], body }: Plain): Spec {
  const path = `/${bucket}${key === undefined ? "" : `/${encodeBytes(Buffer.from(key, "latin1"), true)}`}`
  return {
    what: "setup",
    method,
    target: query === undefined ? path : `${path}?${query}`,
    host: HOST,
    headers,
    body: body ?? "",
    framing: body === undefined ? { kind: "none" } : { kind: "plain", lengthOff: 0 },
    signing: { person: by, how: "header", payload: "hash" },
    cuts: [],
    ...(key !== undefined && method === "PUT" && { about: { does: "put", bucket, key } }),
  }
}

function openPolicy(bucket: string): string {
  const Resource = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`]
  return JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: "*", Action: "s3:*", Resource }],
  })
}

/** Creates buckets of all kinds, with a few objects. */
function setup(world: World): Spec[] {
  const specs: Spec[] = []
  const put = (name: (typeof BUCKETS)[number], query: string, body: string, by: Person = "owner"): void => {
    specs.push(plainSpec({ by, method: "PUT", bucket: world.name(name), query, body }))
  }
  for (const name of BUCKETS) {
    const by = name === "theirs" || name === "private" ? "other" : "owner"
    specs.push(plainSpec({ by, method: "PUT", bucket: world.name(name), body: "" }))
  }
  const [enabled, suspended = ""] = documents.VERSIONING
  put("versioned", "versioning", enabled)
  put("suspended", "versioning", enabled)
  const [writer, preferred = ""] = documents.OWNERSHIP
  const [open] = documents.ACCESS_BLOCK
  for (const name of ["acls", "preferred"] as const) {
    put(name, "ownershipControls", name === "acls" ? writer : preferred)
    put(name, "publicAccessBlock", open)
  }
  put("acls", "acl", documents.lists(world)[2] ?? "")
  put("cors", "cors", documents.CORS[0])
  for (const name of ["public", "policied", "theirs", "payer"] as const)
    put(name, "publicAccessBlock", open, name === "theirs" ? "other" : "owner")
  put("public", "policy", openPolicy(world.name("public")))
  put("payer", "policy", openPolicy(world.name("payer")))
  put("payer", "requestPayment", documents.PAYMENT[0])
  put("theirs", "policy", openPolicy(world.name("theirs")), "other")
  put("policied", "policy", documents.policies(world, world.name("policied"))[3] ?? "")
  for (const name of BUCKETS) {
    const by = name === "private" ? "other" : "owner"
    for (const key of ["a", "b", "dir/x"]) {
      const headers: Spec["headers"] = key === "b" ? [["x-amz-tagging", "color=red"]] : []
      specs.push(plainSpec({ by, method: "PUT", bucket: world.name(name), key, headers, body: `${name} ${key}` }))
    }
  }
  put("suspended", "versioning", suspended)
  return specs
}

/** Reads the state of all buckets with listings and reads. */
function stateOf(world: World): Spec[] {
  return BUCKETS.flatMap(name => {
    const by = name === "theirs" || name === "private" ? ("other" as const) : ("owner" as const)
    const bucket = world.name(name)
    const queries = ["versions", "list-type=2&fetch-owner=true&encoding-type=url", "uploads", "policy", "acl", "cors"]
    const reads = KEYS.slice(0, 6).map(key => plainSpec({ by, method: "GET", bucket, key }))
    return [...queries.map(query => plainSpec({ by, method: "GET", bucket, query })), ...reads]
  })
}

const COMMON_PEOPLE: readonly (readonly [weight: number, person: Person])[] = [
  [34, "owner"],
  [16, "admin"],
  [8, "session"],
  [4, "role"],

  [3, "writer"],
  [3, "reader"],
  [3, "grouped"],
  [3, "picky"],
  [2, "bounded"],
  [2, "service"],

  [3, "other"],
  [2, "otherUser"],
  [1, "nobody"],
  [1, "store"],
]

const ENCODINGS: readonly (readonly [weight: number, encode: (key: string) => string])[] = [
  [30, key => encodeBytes(Buffer.from(key, "latin1"), true)],
  [2, key => encodeBytes(Buffer.from(key, "latin1"), true).replace(/%[0-9A-F]{2}/g, code => code.toLowerCase())],
  [2, key => encodeBytes(Buffer.from(key, "latin1"))],
  [1, key => Array.from(Buffer.from(key, "latin1"), byte => `%${byte.toString(16).padStart(2, "0")}`).join("")],
  [1, key => key.replaceAll(/[^!-"$&-.0->@-~/]/g, found => encodeBytes(Buffer.from(found, "latin1")))],
  [1, key => encodeBytes(Buffer.from(key, "latin1"), true).replaceAll("%20", "+")],
]

/** Invalid requests that do not swallow the beginning of the next request. */
const NONSENSE = [
  "GARBAGE\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
  "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
  "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
  "GET /\r\n\r\n",
  "GET / HTTP/1.1\r\n: x\r\n\r\n",
  "G\u0000T / HTTP/1.1\r\nHost: h\r\n\r\n",
  "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n",
  "GET noslash HTTP/1.1\r\nHost: h\r\n\r\n",
  "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
  "GET / HTTP/1.1\r\n\r\n",
  "PUT /x/y HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  "PUT /x/y HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
  "PUT /x/y HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc",
  "PUT /x/y HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "\r\n\r\nGET / HTTP/1.0\r\n\r\n",
] as const

export class Generator {
  private readonly chance: Chance
  private readonly random: RandomValues
  readonly headersDrawn = new Map<string, number>()

  constructor(
    seed: number,
    chapter: number,
    readonly world: World,
    private readonly people: People,
  ) {
    this.chance = new Chance(seed, chapter)
    this.random = new RandomValues(this.chance, world)
  }

  /** Returns the setup, `requests` random requests, and the final reads. */
  *units(requests: number): Generator_ {
    for (const spec of setup(this.world)) yield { kind: "requests", specs: [spec] }
    for (let done = 0; done < requests;) {
      const unit = this.unit()
      done += Math.max(1, unit.specs.length)
      yield unit
    }
    for (const spec of stateOf(this.world)) yield { kind: "requests", specs: [spec] }
  }

  private unit(): Unit {
    const { chance } = this
    if (chance.below(120) === 0) return { kind: "raw", specs: [], bytes: Buffer.from(chance.of(NONSENSE), "latin1") }
    if (chance.below(120) === 0) return this.truncated()
    if (chance.percent(90)) return { kind: "requests", specs: [this.spec()] }
    const [first, ...more] = [this.spec(true), ...Array.from({ length: 1 + chance.below(4) }, () => this.spec(true))]
    // Bytes after the end of a connection may reset it and discard earlier answers.
    const late = [first, ...more].findIndex(mayComeLate)
    return { kind: "requests", specs: [first, ...(late < 0 ? more : more.slice(0, Math.max(0, late - 1)))] }
  }

  /** A request that is not refused, so that the server waits for bytes that never arrive. */
  private truncated(): Unit {
    const { chance, world } = this
    const bucket = world.name(chance.of(["plain", "versioned", "suspended"]))
    const spec = plainSpec({ method: "PUT", bucket, key: chance.of(["a", "b", "c"]), body: "truncated ".repeat(20) })
    const framing = chance.percent(60) ? spec.framing : this.awsChunked()
    const missing = 1 + chance.below(150)
    return { kind: "truncated", specs: [{ ...spec, what: "truncated", framing }], missing }
  }

  private spec(pipelined = false): Spec {
    const { chance, random } = this
    if (chance.below(50) === 0) return randomForm(random, this.people)
    const draft = randomOperation(random)
    const signing = this.signing(draft)
    const framing = this.framing(draft, signing)
    const { headers = [], bucket, body = "" } = draft
    const isCurrent =
      !pipelined && draft.suits.includes("read") && !draft.query?.some(one => one.startsWith("versionId"))
    const current = isCurrent ? draft.key : undefined
    const scene = { chance, world: this.world, bucket, current, body: Buffer.from(body) }
    const note = (name: string): void => void this.headersDrawn.set(name, 1 + (this.headersDrawn.get(name) ?? 0))
    const more = randomHeaders(scene, draft.suits, note)
    const hasBody = framing.kind !== "none" && body.length > 0
    const { about, what, method } = draft
    return {
      what,
      method,
      body,
      framing,
      signing,
      ...this.address(draft, signing),
      headers: chance.percent(50) ? [...headers, ...more] : [...more, ...headers],
      cuts:
        chance.percent(88) || isBroken(framing)
          ? []
          : Array.from({ length: 1 + chance.below(3) }, () => chance.below(1_000)),
      ...(about !== undefined && { about }),
      ...(hasBody && chance.percent(5) && { expect: pipelined || chance.percent(50) ? "eager" : "wait" }),
      ...(chance.below(150) === 0 && { version: "HTTP/1.0" }),
    }
  }

  private address({ bucket, key, query = [] }: Draft, signing: Signing): { host: string; target: string } {
    const { chance } = this
    const encode = chance.weighted(ENCODINGS)
    const path = key === undefined ? "" : `/${encode(key)}`
    const byHost = bucket !== "" && signing.how !== "v2" && /^[a-z0-9-]+$/.test(bucket) && chance.percent(12)
    const own = byHost ? path || "/" : bucket === "" ? "/" : `/${encodeName(bucket)}${path}`
    const text = this.query(query)
    const target = text === "" ? own : `${own}?${text}`
    const host = byHost ? `${bucket}.${chance.of(["localhost", "s3.test", "s3.test:9000", "LOCALHOST:1"])}` : HOST
    if (chance.below(200) === 0) return { host, target: `http://${chance.percent(80) ? host : "h"}${target}` }
    if (chance.below(300) === 0) return { host: chance.of(["", "h", "s3.test", "[::1]:9000", "a b"]), target }
    return { host, target }
  }

  private query(own: readonly string[]): string {
    const { chance } = this
    const all = [...own]
    if (chance.percent(2))
      all.push(chance.of(["unknown=1", "x-id=x", "foo", "=", "a=%zz", "%ff=1", "x-amz-meta-q=1", "x-amz-acl=private"]))
    const [first] = all
    if (first !== undefined && chance.percent(1)) all.push(first)
    if (chance.percent(1)) all.push("")
    if (all.length > 1 && chance.percent(10)) all.reverse()
    return all.map(part => (chance.below(100) === 0 && !part.includes("=") ? `${part}=` : part)).join("&")
  }

  private signing({ by, key, suits }: Draft): Signing {
    const { chance } = this
    const isWrite = suits.includes("write")
    const person = by ?? chance.weighted<Person | "anonymous" | "any">([...COMMON_PEOPLE, [4, "anonymous"], [6, "any"]])
    const payload = chance.weighted<Signing["payload"]>([
      [60, "hash"],
      [34, "unsigned"],
      ...(isWrite
        ? ([
            [2, "wrong"],
            [1, "empty"],
            [1, "nonsense"],
            [1, "upper"],
          ] as const)
        : []),
    ])
    const signer = person === "any" ? (chance.any(PEOPLE) ?? "owner") : person
    const how = chance.weighted<Signing["how"]>([
      [88, "header"],
      [8, "query"],
      [key === undefined ? 0 : 4, "v2"],
    ])
    const isBroken = chance.percent(how === "header" ? 5 : 15)
    const defect = !isBroken
      ? undefined
      : how === "header"
        ? chance.any(DEFECTS)
        : chance.any(["signature" as const, ...QUERY_DEFECTS])
    return { person: signer, how, payload, defect, signsLength: chance.percent(50) }
  }

  private framing({ body }: Draft, { how, person }: Signing): Framing {
    const { chance } = this
    if (body === undefined) return chance.percent(95) ? { kind: "none" } : { kind: "plain", lengthOff: 0 }
    const isText = typeof body === "string"
    const mayChunk = how === "header" && (person !== "anonymous" || chance.percent(10))
    if (mayChunk && chance.percent(isText ? 6 : 35)) return this.awsChunked()
    if (chance.percent(4)) return this.httpChunked(body.length <= SMALL_BYTES)
    return body.length === 0 && chance.percent(4) ? { kind: "none" } : { kind: "plain", lengthOff: 0 }
  }

  /** A large body may be answered before the server has detected its broken framing. */
  private httpChunked(mayBreak: boolean): Framing {
    const { chance } = this
    const chunkBytes = chance.of([1_000, 10_000, 70_000])
    const damage = mayBreak && chance.percent(8) ? chance.of(["size", "lineEnd"] as const) : undefined
    return { kind: "http", chunkBytes, ...(damage !== undefined && { damage }) }
  }

  private awsChunked(): AwsChunked {
    const { chance } = this
    const mode = chance.of(["signed", "signed-trailer", "unsigned-trailer", "unsigned-trailer"] as const)
    const trailer = mode !== "signed" && chance.percent(92) ? chance.any(ALGORITHMS) : undefined
    const kinds = trailer === undefined ? CHUNK_DAMAGE : [...CHUNK_DAMAGE, ...TRAILER_DAMAGE, ...TRAILER_DAMAGE]
    return {
      kind: "aws",
      mode,
      trailer,
      chunkBytes: chance.of([64, 8_192, 65_536, 65_536]),
      damage: chance.percent(20) ? chance.any(kinds) : undefined,
      lengthOff: chance.weighted([
        [40, 0],
        [1, 1],
        [1, -1],
        [1, undefined],
      ]),
    }
  }
}

type Generator_ = IterableIterator<Unit>

const encodeName = (bucket: string): string =>
  bucket.includes("%") ? bucket : encodeBytes(Buffer.from(bucket, "latin1"))
