/**
 * A remote in memory, for tests: one bucket that answers as S3 does, and fails, lies and waits as it is told.
 *
 * What a request finds, or changes, is decided in one turn, after its gate at "before" and before its gate at "after".
 */
import { assert } from "@hayloft/base/assert.js"
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import type { Origin, OriginEntry, OriginListing, OriginObject, OriginPart, OriginUpload } from "./contract.js"

type RequestKind = "head" | "get" | "list" | "put" | "remove"

interface RemoteObject extends OriginObject {
  readonly bytes: Uint8Array
}

/** A gate at which a request waits until the test opens it. */
class Gate {
  private opened: () => void = () => undefined
  readonly passed = new Promise<void>(resolve => (this.opened = resolve))
  /** A request has come. */
  isReached = false

  open(): void {
    this.opened()
  }
}

interface Held {
  readonly kind: RequestKind
  readonly at: "before" | "after"
  readonly gate: Gate
}

const PIECE_BYTES = MIB
const PART_BYTES_MIN = 5 * MIB

export const md5Of = (bytes: Uint8Array): string => digestOnce("md5", bytes, "hex")

/** The ETag of an object that was uploaded in these parts. */
export const multipartEtag = (parts: readonly Uint8Array[]): string =>
  `${md5Of(concatBytes(parts.map(part => Buffer.from(md5Of(part), "hex"))))}-${parts.length}`

export class MemoryOrigin implements Origin {
  readonly objects = new Map<ObjectKey, RemoteObject>()
  readonly counts: Record<RequestKind, number> = { head: 0, get: 0, list: 0, put: 0, remove: 0 }
  private taken: string[] = []
  private held: readonly Held[] = []

  /** Called before each request, whatever becomes of it: may change objects, wait, or throw. */
  before: (kind: RequestKind, key: ObjectKey | undefined) => Soon<void> = () => undefined
  /** An object as the responses of one kind show it: so a remote lies. */
  shows: (object: RemoteObject, kind: RequestKind) => RemoteObject = object => object
  /** Called after it was decided, before it is answered. */
  after: (kind: RequestKind, key: ObjectKey | undefined) => Soon<void> = () => undefined
  isUnavailable = false
  /** Each request takes so long, before it is decided. */
  delayMs = 0
  /** Writes are applied, and then fail. */
  losesAnswers = false
  /** Bodies end after so many bytes: as if that were all, or with a failure. */
  cutsBodies: { readonly afterBytes: number; readonly how: "ends" | "breaks" } | undefined
  /** Bytes that follow each body. */
  moreBytes = 0
  /** Ignores the conditions of writes. */
  dropsConditions = false
  /** ETags of new objects; undefined: as those of S3. */
  etagOf: ((bytes: Uint8Array) => string) | undefined
  /** A page that begins inside, or behind, a common prefix does not show it: so do some stores, other than S3. */
  skipsPrefixOfAfter = false
  /** Pages have at most so many entries. */
  pageMax = 1_000

  constructor(private readonly clock: Clock) {}

  /** The requests since the last call, in their order. */
  took(): readonly string[] {
    const { taken } = this
    this.taken = []
    return taken
  }

  /** The next request of this kind waits: before it is decided, or after that, before it is answered. */
  hold(kind: RequestKind, at: Held["at"]): Gate {
    const gate = new Gate()
    this.held = [...this.held, { kind, at, gate }]
    return gate
  }

  /** Changes the bucket without a request, as another client of the remote would. */
  set(key: ObjectKey, bytes: Uint8Array, more: Partial<OriginObject> = {}): RemoteObject {
    const etag = this.etagOf?.(bytes) ?? md5Of(bytes)
    const lastModifiedMs = Math.floor(this.clock.wallMs() / 1000) * 1000
    const object: RemoteObject = {
      bytes,
      sizeBytes: bytes.length,
      etag,
      etagIsMd5: /^[0-9a-f]{32}$/.test(etag),
      lastModifiedMs,
      headers: {},
      userMetadata: [],
      ...more,
    }
    this.objects.set(key, object)
    return object
  }

  async head(key: ObjectKey, signal: AbortSignal): Promise<OriginObject> {
    return this.answered("head", key, `${key}`, signal, () => described(this.shows(this.found(key), "head")))
  }

  async get(
    key: ObjectKey,
    { range, etag }: Parameters<Origin["get"]>[1],
    signal: AbortSignal,
  ): ReturnType<Origin["get"]> {
    const shown = range === undefined ? `${key}` : `${key} ${range.first}+${range.lengthBytes}`
    return this.answered("get", key, shown, signal, () => {
      const object = this.shows(this.found(key), "get")
      if (etag !== undefined && etag !== "" && object.etag !== etag)
        throw fail("preconditionFailed", { condition: "If-Match" })
      const { bytes } = object
      if (range !== undefined && range.first >= bytes.length)
        throw fail("invalidRange", { sizeBytes: object.sizeBytes })
      const end = range === undefined ? bytes.length : range.first + range.lengthBytes
      return { object: described(object), body: this.bodyOf(bytes.subarray(range?.first ?? 0, end), signal) }
    })
  }

  private async *bodyOf(bytes: Uint8Array, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { cutsBodies, moreBytes } = this
    const end = Math.min(bytes.length, cutsBodies?.afterBytes ?? Infinity)
    for (let at = 0; at < end; at += PIECE_BYTES) {
      await Promise.resolve()
      throwIfStopped(signal)
      yield Uint8Array.from(bytes.subarray(at, Math.min(end, at + PIECE_BYTES)))
    }
    if (cutsBodies?.how === "breaks") throw unavailable()
    if (moreBytes > 0) yield new Uint8Array(moreBytes)
  }

  async list(
    { prefix, delimiter, after, max, token }: Parameters<Origin["list"]>[0],
    signal: AbortSignal,
  ): Promise<OriginListing> {
    return this.answered("list", undefined, `${prefix} ${delimiter} ${after} ${max}`, signal, () => {
      const placeOf = (entry: OriginEntry): string => (entry.kind === "prefix" ? entry.prefix : entry.key)
      const all = this.entries(prefix, delimiter, after)
      const entries = token === undefined ? all : all.filter(entry => placeOf(entry) > token)
      const page = entries.slice(0, Math.min(max, this.pageMax))
      const last = page.at(-1)
      return { entries: page, next: page.length < entries.length && last ? placeOf(last) : undefined }
    })
  }

  /** Keys are strings of bytes, so that their order is that of the bytes. */
  private entries(prefix: string, delimiter: string, after: string): readonly OriginEntry[] {
    const found = new Map<string, OriginEntry>()
    for (const key of [...this.objects.keys()].sort((a, b) => (a < b ? -1 : 1))) {
      if (!key.startsWith(prefix) || key <= after) continue
      const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length)
      const common = end < 0 ? undefined : key.slice(0, end + delimiter.length)
      if (common === undefined) {
        const { etag, sizeBytes, lastModifiedMs } = this.shows(this.found(key), "list")
        found.set(key, { kind: "object", key, etag, sizeBytes, lastModifiedMs })
      } else if (!(this.skipsPrefixOfAfter && after.startsWith(common)))
        found.set(common, { kind: "prefix", prefix: common })
    }
    return [...found.values()]
  }

  async put(key: ObjectKey, upload: OriginUpload, signal: AbortSignal): Promise<{ readonly etag: string }> {
    const isMultipart = upload.isMultipart || upload.parts.length > 1
    const shown = isMultipart ? `${key} ${upload.parts.map(part => part.sizeBytes).join("+")}` : `${key}`
    return this.written("put", key, shown, signal, async () => {
      const parts: Uint8Array[] = []
      for (const part of upload.parts) parts.push(await sentBytes(part))
      assert(!isMultipart || areAllowed(parts), "all parts but the last one have at least 5 MiB")
      return () => {
        this.check(key, upload.conditions)
        const { headers, userMetadata } = upload
        const bytes = concatBytes(parts)
        assert(bytes.length === upload.sizeBytes, "the parts are the object")
        const more = { headers, userMetadata }
        if (!isMultipart || this.etagOf !== undefined) return { etag: this.set(key, bytes, more).etag }
        return { etag: this.set(key, bytes, { ...more, etag: multipartEtag(parts), etagIsMd5: false }).etag }
      }
    })
  }

  async remove(key: ObjectKey, { ifMatch }: Parameters<Origin["remove"]>[1], signal: AbortSignal): Promise<void> {
    await this.written("remove", key, `${key}`, signal, async () => () => {
      this.check(key, { ifMatch })
      this.objects.delete(key)
    })
  }

  private check(key: ObjectKey, { ifMatch, ifNoneMatch }: OriginUpload["conditions"]): void {
    if (this.dropsConditions) return
    const there = this.objects.get(key)
    const isNamed = (list: readonly string[]): boolean =>
      there !== undefined && (list.includes("*") || list.includes(there.etag))
    if (ifNoneMatch !== undefined && isNamed(ifNoneMatch))
      throw fail("preconditionFailed", { condition: "If-None-Match" })
    if (ifMatch === undefined || isNamed(ifMatch)) return
    if (there === undefined) throw fail("noSuchKey")
    throw fail("preconditionFailed", { condition: "If-Match" })
  }

  private found(key: ObjectKey): RemoteObject {
    const object = this.objects.get(key)
    if (object === undefined) throw fail("noSuchKey")
    return object
  }

  /** `prepare` gets what the request sends, and returns what it does. */
  private async written<Result>(
    kind: RequestKind,
    key: ObjectKey,
    shown: string,
    signal: AbortSignal,
    prepare: () => Promise<() => Result>,
  ): Promise<Result> {
    const apply = await this.received(kind, key, shown, signal, prepare)
    const result = await this.decided(kind, key, signal, apply)
    if (this.losesAnswers) throw unavailable()
    return result
  }

  private async answered<Result>(
    kind: RequestKind,
    key: ObjectKey | undefined,
    shown: string,
    signal: AbortSignal,
    decide: () => Result,
  ): Promise<Result> {
    await this.received(kind, key, shown, signal, async () => undefined)
    return this.decided(kind, key, signal, decide)
  }

  /** Decides now, and answers, or refuses, once the answer may go. */
  private async decided<Result>(
    kind: RequestKind,
    key: ObjectKey | undefined,
    signal: AbortSignal,
    decide: () => Result,
  ): Promise<Result> {
    const answer = new Promise<Result>(resolve => resolve(decide()))
    answer.catch(() => undefined)
    await this.after(kind, key)
    await this.passed(kind, "after", signal)
    return answer
  }

  private async received<Result>(
    kind: RequestKind,
    key: ObjectKey | undefined,
    shown: string,
    signal: AbortSignal,
    receive: () => Promise<Result>,
  ): Promise<Result> {
    throwIfStopped(signal)
    this.counts[kind] += 1
    this.taken.push(`${kind} ${shown}`)
    await this.before(kind, key)
    if (this.delayMs > 0) await this.clock.sleep(this.delayMs, signal)
    throwIfStopped(signal)
    if (this.isUnavailable) throw unavailable()
    const received = await receive()
    await this.passed(kind, "before", signal)
    return received
  }

  private async passed(kind: RequestKind, at: Held["at"], signal: AbortSignal): Promise<void> {
    const held = this.held.find(each => each.kind === kind && each.at === at)
    if (held === undefined) return
    this.held = this.held.filter(each => each !== held)
    held.gate.isReached = true
    await Promise.race([held.gate.passed, aborted(signal)])
    throwIfStopped(signal)
  }
}

export const unavailable = () => fail("remoteUnavailable", { message: "The remote does not respond." })

function described({ bytes: _, ...object }: RemoteObject): OriginObject {
  return object
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => signal.addEventListener("abort", () => resolve(), { once: true }))

function throwIfStopped(signal: AbortSignal): void {
  if (signal.aborted && isFailure(signal.reason)) throw signal.reason
  if (signal.aborted) throw fail("stopping", { reason: "the request was ended" })
}

const areAllowed = (parts: readonly Uint8Array[]): boolean =>
  parts.every((part, i) => i === parts.length - 1 || part.length >= PART_BYTES_MIN)

/** Throws `remoteRefused`, as S3 refuses another length or another MD5 than was announced. */
async function sentBytes({ sizeBytes, md5, open }: OriginPart): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  // Pieces may be lent until the next one.
  for await (const piece of open()) pieces.push(Uint8Array.from(piece))
  const bytes = concatBytes(pieces)
  if (bytes.length !== sizeBytes) throw fail("remoteRefused", { message: "The remote says: IncompleteBody." })
  if (md5 !== undefined && md5 !== md5Of(bytes)) throw fail("remoteRefused", { message: "The remote says: BadDigest." })
  return bytes
}
