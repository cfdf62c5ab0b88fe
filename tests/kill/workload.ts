/**
 * Clients that write, read, copy, list and delete concurrently, and record the answers.
 *
 * A client waits for each answer before its next request. If the connection breaks, the outcome is unknown: the
 * request took effect before the server was killed, or never. Where nodes of a store may fail it may also take effect
 * later. An impossible answer is an immediate violation; everything else is checked over the whole history.
 * Limits  KEYS_PER_GROUP keys at a time in each bucket, so that clients conflict; UPLOADS_OPEN_MAX open uploads.
 */
import { multipartEtag } from "../../conformance/checksums.js"
import type { Call } from "../../conformance/client.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { UNSIGNED_PAYLOAD, encodeText } from "../../conformance/sign-v4.js"
import { elements, text } from "../../conformance/xml.js"
import { bodyOf, claimOf } from "../../sim/history/index.js"
import type { Action, Condition, Outcome, StackEntry } from "../../sim/history/index.js"
import { SeededRandom } from "./seeded-random.js"
import { WRITE_HEADER, bare, etagOf } from "./record.js"
import type { Bucket, Record } from "./record.js"
import { Route, type Service } from "./route.js"

export const KEYS_PER_GROUP = 8
const UPLOADS_OPEN_MAX = 12
const ETAGS_REMEMBERED = 6
const MIB = 1024 * 1024

/** Lengths of bodies, with their weights. */
export type Lengths = readonly (readonly [name: `${number}`, weight: number])[]

const LENGTHS: Lengths = [
  ["0", 2],
  ["1", 1],
  ["100", 6],
  ["4096", 3],
  ["4097", 3],
  ["70000", 6],
  ["300000", 3],
  [`${MIB + 1}`, 2],
  [`${4 * MIB}`, 1],
  [`${4 * MIB + 1}`, 1],
]

const KINDS = [
  ["put", 22],
  ["putIfAbsent", 6],
  ["putIfMatch", 8],
  ["get", 20],
  ["head", 4],
  ["remove", 8],
  ["removeIfMatch", 3],
  ["removeVersion", 3],
  ["copy", 6],
  ["beginUpload", 4],
  ["finishUpload", 6],
  ["list", 4],
  ["versions", 4],
] as const

export interface Upload {
  readonly bucket: Bucket
  readonly key: string
  readonly uploadId: string
  readonly write: string
  readonly etag: string
  readonly parts: readonly (readonly [number: number, etag: string])[]
  /** When its completion was first requested without an answer; undefined if never. */
  askedMs: number | undefined
  /** When the server that did not answer had ended. */
  askedEndMs: number
}

/** The state that the clients of a run share. */
export class Shared {
  readonly uploads: Upload[] = []
  /** Latest ETags returned, by bucket and key. */
  readonly etags = new Map<string, string[]>()
  /** Version ids returned, by bucket and key, whose removal has not been requested yet. */
  readonly versions = new Map<string, string[]>()
  group = 0
  private writes = 0

  constructor(
    readonly seed: number,
    readonly buckets: readonly Bucket[],
    readonly record: Record,
    readonly lengths = LENGTHS,
  ) {}

  nextWrite(): number {
    return (this.writes += 1)
  }

  keyName(index: number, group = this.group): string {
    return `group ${group}/k${index}+é.`
  }

  remember(map: Map<string, string[]>, bucket: Bucket, key: string, value: string | undefined): void {
    if (value === undefined || value === "") return
    const name = `${bucket.name}/${key}`
    const list = map.get(name) ?? []
    map.set(name, [...list, value].slice(-ETAGS_REMEMBERED))
  }
}

/** The outcome of one request: an answer, or none. */
type MaybeAnswer = RawResponse | undefined

const nowMs = () => performance.now()

export class Worker {
  private readonly route: Route
  private readonly random: SeededRandom

  constructor(
    private readonly service: Service,
    private readonly shared: Shared,
    number: number,
  ) {
    this.random = new SeededRandom(shared.seed * 1000 + number)
    this.route = new Route(service, shared.record, this.random)
  }

  /** The unanswered request, for messages. */
  get unanswered(): string {
    return this.route.unanswered
  }

  /** Sends requests until it is stopped or the only server has ended; `rest` runs after each operation. */
  async work(stopping: () => boolean, rest?: () => Promise<void>): Promise<void> {
    try {
      while (!stopping() && ((await this.one()) || this.service.mayFail)) await rest?.()
    } finally {
      this.close()
    }
  }

  private ask(method: string, call: Call): Promise<MaybeAnswer> {
    return this.route.ask(method, call)
  }

  /** Until when a change that got no answer may take effect: it is called once there will be none. */
  private get unansweredEndMs(): number {
    return this.service.mayFail ? Infinity : nowMs()
  }

  /** Runs one operation; returns false if the server has ended. */
  private async one(): Promise<boolean> {
    const bucket = this.random.pick(this.shared.buckets)
    const key = this.shared.keyName(this.random.below(KEYS_PER_GROUP))
    switch (this.random.weighted(KINDS)) {
      case "put":
        return this.put(bucket, key, undefined)
      case "putIfAbsent":
        return this.put(bucket, key, { kind: "absent" })
      case "putIfMatch":
        return this.put(bucket, key, this.matching(bucket, key))
      case "get":
        return this.read(bucket, key, "GET")
      case "head":
        return this.read(bucket, key, "HEAD")
      case "remove":
        return this.remove(bucket, key, undefined, undefined)
      case "removeIfMatch":
        return this.remove(bucket, key, this.matching(bucket, key), undefined)
      case "removeVersion":
        return this.removeVersion(bucket, key)
      case "copy":
        return this.copy(bucket, key)
      case "beginUpload":
        return this.beginUpload(bucket, key)
      case "finishUpload":
        return this.finishUpload()
      case "list":
        return this.list(bucket)
      case "versions":
        return this.versions(bucket, key)
    }
  }

  private matching(bucket: Bucket, key: string): Condition {
    const etags = this.shared.etags.get(`${bucket.name}/${key}`) ?? []
    return { kind: "etag", etag: etags.at(-1 - this.random.below(2)) ?? "0".repeat(32) }
  }

  /** Records an operation; its outcome is unknown if it got no answer or an internal error. */
  private note(
    bucket: Bucket,
    key: string,
    startMs: number,
    action: Action,
    answer: MaybeAnswer,
    outcome: Outcome | undefined,
  ) {
    const isSettled = outcome !== undefined && outcome.kind !== "unknown"
    const endMs = isSettled ? nowMs() : answer === undefined ? this.unansweredEndMs : Infinity
    const settled: Outcome = outcome ?? { kind: "unknown" }
    if (settled.kind === "unknown" && (action.kind === "read" || action.kind === "stack")) return
    const note = answer === undefined ? "no answer" : `${answer.status}`
    this.shared.record.note(bucket, { key, startMs, endMs, action, outcome: settled, note })
  }

  /** Returns the outcome of a change; an impossible answer is a violation. */
  private outcomeOf(what: string, answer: MaybeAnswer, done: number, conditional: boolean): Outcome | undefined {
    if (answer === undefined) return undefined
    const versionId = answer.header("x-amz-version-id")
    if (answer.status === done) return { kind: "done", ...(versionId === undefined ? {} : { versionId }) }
    if (conditional && answer.status === 412) return { kind: "refused" }
    if (conditional && answer.status === 404) return { kind: "absent" }
    this.expected(what, answer)
    return { kind: "unknown" }
  }

  private async put(bucket: Bucket, key: string, condition: Condition | undefined): Promise<boolean> {
    const number = this.shared.nextWrite()
    const lengthBytes = Number(this.random.weighted(this.shared.lengths))
    const claim = claimOf({ seed: this.shared.seed, key, number, lengthBytes })
    const [write, body] = [`w${number}`, bodyOf(claim)]
    const etag = etagOf(claim)
    this.shared.record.plan(write, { bucket: bucket.name, key, claim, etag })
    const headers = { [WRITE_HEADER]: write, ...conditionHeaders(condition) }
    const startMs = nowMs()
    const sign = { payloadHash: UNSIGNED_PAYLOAD }
    const answer = await this.ask("PUT", { bucket: bucket.name, key, headers, body, sign })
    const outcome = this.outcomeOf(`PUT ${key}`, answer, 200, condition !== undefined)
    const action: Action = { kind: "write", value: { write, etag }, ...(condition ? { condition } : {}) }
    this.note(bucket, key, startMs, action, answer, outcome)
    if (answer?.status === 200) {
      if (bare(answer.header("etag")) !== etag) this.shared.record.violation(`PUT ${key}: ETag of other bytes`)
      this.shared.remember(this.shared.etags, bucket, key, etag)
      this.shared.remember(this.shared.versions, bucket, key, answer.header("x-amz-version-id"))
    }
    return answer !== undefined
  }

  private async read(bucket: Bucket, key: string, method: "GET" | "HEAD"): Promise<boolean> {
    const startMs = nowMs()
    const answer = await this.ask(method, { bucket: bucket.name, key })
    if (answer === undefined) return false
    this.note(bucket, key, startMs, { kind: "read" }, answer, this.seen(bucket, key, method, answer))
    return !this.isPutOff(answer)
  }

  /** A node that may fail asks to read later. */
  private isPutOff(answer: RawResponse): boolean {
    return this.service.mayFail && this.route.asksForPatience(answer)
  }

  private seen(bucket: Bucket, key: string, method: "GET" | "HEAD", answer: RawResponse): Outcome {
    const { record } = this.shared
    if (answer.status === 404) return { kind: "absent" }
    if (answer.status !== 200) {
      if (!this.isPutOff(answer)) record.violation(`${method} ${key}: ${answer.status} ${answer.text.slice(0, 300)}`)
      return { kind: "unknown" }
    }
    if (method === "HEAD") {
      const write = answer.header(WRITE_HEADER)
      return { kind: "found", ...(write === undefined ? {} : { write }), etag: bare(answer.header("etag")) }
    }
    const found = record.inspect(bucket, key, answer)
    if (!found) return { kind: "unknown" }
    const { write, etag, versionId } = found
    return { kind: "found", write, etag, ...(versionId === undefined ? {} : { versionId }) }
  }

  private async remove(
    bucket: Bucket,
    key: string,
    condition: Condition | undefined,
    versionId: string | undefined,
  ): Promise<boolean> {
    const query = versionId === undefined ? {} : { query: `versionId=${encodeText(versionId)}` }
    const startMs = nowMs()
    const answer = await this.ask("DELETE", {
      bucket: bucket.name,
      key,
      headers: conditionHeaders(condition),
      ...query,
    })
    const outcome = this.outcomeOf(`DELETE ${key}`, answer, 204, condition !== undefined)
    const which = versionId === undefined ? {} : { versionId }
    const action: Action = { kind: "remove", ...which, ...(condition ? { condition } : {}) }
    this.note(bucket, key, startMs, action, answer, outcome)
    return answer !== undefined
  }

  private removeVersion(bucket: Bucket, key: string): Promise<boolean> {
    const known = this.shared.versions.get(`${bucket.name}/${key}`)?.shift()
    return known === undefined ? this.versions(bucket, key) : this.remove(bucket, key, undefined, known)
  }

  private async copy(bucket: Bucket, key: string): Promise<boolean> {
    const source = this.shared.keyName(this.random.below(KEYS_PER_GROUP))
    const write = `w${this.shared.nextWrite()}`
    const planned = { bucket: bucket.name, key, claim: undefined, etag: undefined }
    this.shared.record.plan(write, planned)
    const headers = {
      "x-amz-copy-source": `/${bucket.name}/${encodeText(source, true)}`,
      "x-amz-metadata-directive": "REPLACE",
      [WRITE_HEADER]: write,
    }
    const startMs = nowMs()
    const answer = await this.ask("PUT", { bucket: bucket.name, key, headers })
    if (answer?.status === 404) {
      this.note(bucket, source, startMs, { kind: "read" }, answer, { kind: "absent" })
      return true
    }
    const etag = answer?.status === 200 ? bare(text(answer.text, "ETag")) : undefined
    const outcome = this.outcomeOf(`COPY ${key}`, answer, 200, false)
    this.note(bucket, key, startMs, { kind: "write", value: { write, etag } }, answer, outcome)
    if (answer?.status !== 200) return answer !== undefined
    this.shared.record.plan(write, { ...planned, etag })
    this.shared.remember(this.shared.versions, bucket, key, answer.header("x-amz-version-id"))
    const versionId = answer.header("x-amz-copy-source-version-id")
    const read: Outcome = { kind: "found", ...(versionId === undefined ? {} : { versionId }) }
    this.note(bucket, source, startMs, { kind: "read" }, answer, read)
    return true
  }

  private async beginUpload(bucket: Bucket, key: string): Promise<boolean> {
    if (this.shared.uploads.length >= UPLOADS_OPEN_MAX) return this.finishUpload()
    const number = this.shared.nextWrite()
    const write = `w${number}`
    const headers = { [WRITE_HEADER]: write }
    const created = await this.ask("POST", { bucket: bucket.name, key, query: "uploads", headers })
    if (created?.status !== 200) return this.expected("CreateMultipartUpload", created)
    const uploadId = text(created.text, "UploadId") ?? ""
    const lengthBytes = this.random.pick([1000, 200_000, 5 * MIB + 777])
    const claim = claimOf({ seed: this.shared.seed, key, number, lengthBytes })
    const body = bodyOf(claim)
    const bodies = lengthBytes > 5 * MIB ? [body.subarray(0, 5 * MIB), body.subarray(5 * MIB)] : [body]
    const etag = multipartEtag(bodies)
    this.shared.record.plan(write, { bucket: bucket.name, key, claim, etag })
    const parts: (readonly [number, string])[] = []
    for (const [index, part] of bodies.entries()) {
      const query = `partNumber=${index + 1}&uploadId=${encodeText(uploadId)}`
      const sign = { payloadHash: UNSIGNED_PAYLOAD }
      const answer = await this.ask("PUT", { bucket: bucket.name, key, query, body: part, sign })
      if (answer?.status !== 200) return this.expected("UploadPart", answer)
      parts.push([index + 1, answer.header("etag") ?? ""])
    }
    this.shared.uploads.push({ bucket, key, uploadId, write, etag, parts, askedMs: undefined, askedEndMs: 0 })
    return true
  }

  /** An answer that is neither a success nor a request to retry is a violation. */
  private expected(what: string, answer: MaybeAnswer): boolean {
    if (answer !== undefined && !this.route.asksForPatience(answer)) {
      this.shared.record.violation(`${what}: ${answer.status} ${answer.text.slice(0, 300)}`)
    }
    return answer !== undefined
  }

  private async finishUpload(): Promise<boolean> {
    const upload = this.shared.uploads.shift()
    return upload ? this.finish(upload) : this.list(this.random.pick(this.shared.buckets))
  }

  /**
   * Completes an upload whose parts were all acknowledged, perhaps long ago. An unanswered completion is requested
   * again: after 200 it has taken effect; 404 means that it took effect and was overwritten, or never took effect;
   * the search decides which.
   */
  async finish(upload: Upload): Promise<boolean> {
    const { bucket, key, uploadId, write, etag } = upload
    const parts = upload.parts.map(([n, e]) => `<Part><PartNumber>${n}</PartNumber><ETag>${e}</ETag></Part>`)
    const body = `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`
    const startMs = nowMs()
    const answer = await this.ask("POST", { bucket: bucket.name, key, query: `uploadId=${encodeText(uploadId)}`, body })
    const action: Action = { kind: "write", value: { write, etag } }
    const sinceMs = upload.askedMs ?? startMs
    if (answer?.status === 200) {
      if (bare(text(answer.text, "ETag")) !== etag) this.shared.record.violation(`Complete ${key}: ${answer.text}`)
      this.note(bucket, key, sinceMs, action, answer, this.outcomeOf("Complete", answer, 200, false))
      this.shared.remember(this.shared.etags, bucket, key, etag)
      return true
    }
    if (answer?.status === 404 && upload.askedMs !== undefined) {
      const outcome = { kind: "unknown" } as const
      const endMs = this.service.mayFail ? nowMs() : upload.askedEndMs
      this.shared.record.note(bucket, { key, startMs: sinceMs, endMs, action, outcome, note: "404" })
      return true
    }
    const isAnswered = this.expected(`Complete ${key}`, answer)
    upload.askedMs = sinceMs
    upload.askedEndMs = isAnswered ? Infinity : this.unansweredEndMs
    this.shared.uploads.push(upload)
    return isAnswered
  }

  /** A listing reads every key of the group, each at some moment while it ran. */
  async list(bucket: Bucket): Promise<boolean> {
    const prefix = `group ${this.shared.group}/`
    const query = `list-type=2&encoding-type=url&prefix=${encodeText(prefix)}`
    const startMs = nowMs()
    const answer = await this.ask("GET", { bucket: bucket.name, query })
    if (answer === undefined) return false
    if (answer.status !== 200) return this.expected("ListObjectsV2", answer) && !this.isPutOff(answer)
    const etags = new Map(
      elements(answer.text, "Contents").map(entry => [
        decodeURIComponent(text(entry, "Key") ?? ""),
        bare(text(entry, "ETag")),
      ]),
    )
    for (let index = 0; index < KEYS_PER_GROUP; index += 1) {
      const key = this.shared.keyName(index)
      const etag = etags.get(key)
      this.note(
        bucket,
        key,
        startMs,
        { kind: "read" },
        answer,
        etag === undefined ? { kind: "absent" } : { kind: "found", etag },
      )
    }
    return true
  }

  /** Reads all versions of one key at one moment. */
  async versions(bucket: Bucket, key: string): Promise<boolean> {
    return (await this.listVersions(bucket, key)) !== undefined
  }

  /** Returns undefined if the server did not answer. */
  private async listVersions(bucket: Bucket, key: string): Promise<readonly StackEntry[] | undefined> {
    const startMs = nowMs()
    const answer = await this.ask("GET", { bucket: bucket.name, query: `versions&prefix=${encodeText(key)}` })
    if (answer === undefined) return undefined
    if (answer.status !== 200) {
      return this.expected("ListObjectVersions", answer) && !this.isPutOff(answer) ? [] : undefined
    }
    if (bucket.mode === "never") return []
    const entries = [...answer.text.matchAll(/<(Version|DeleteMarker)>([\s\S]*?)<\/\1>/g)].map(
      ([, kind, inner = ""]): StackEntry => {
        const versionId = text(inner, "VersionId") ?? ""
        return kind === "Version"
          ? { versionId, marker: false, etag: bare(text(inner, "ETag")) }
          : { versionId, marker: true }
      },
    )
    this.note(bucket, key, startMs, { kind: "stack" }, answer, { kind: "stack", entries })
    return entries
  }

  /** Removes every version of a key permanently. */
  async clear(bucket: Bucket, key: string): Promise<boolean> {
    if (bucket.mode === "never") return this.remove(bucket, key, undefined, undefined)
    const entries = await this.listVersions(bucket, key)
    if (entries === undefined) return false
    for (const { versionId } of entries) if (!(await this.remove(bucket, key, undefined, versionId))) return false
    return true
  }

  /** Aborts uploads that no client will complete, because one of their parts was not acknowledged. */
  async abortUploads(bucket: Bucket): Promise<boolean> {
    const answer = await this.ask("GET", { bucket: bucket.name, query: "uploads&encoding-type=url" })
    if (answer?.status !== 200) return this.expected("ListMultipartUploads", answer)
    for (const upload of elements(answer.text, "Upload")) {
      const key = decodeURIComponent(text(upload, "Key") ?? "")
      const query = `uploadId=${encodeText(text(upload, "UploadId") ?? "")}`
      const aborted = await this.ask("DELETE", { bucket: bucket.name, key, query })
      if (aborted?.status !== 204 && !this.expected("AbortMultipartUpload", aborted)) return false
    }
    return true
  }

  get(bucket: Bucket, key: string): Promise<boolean> {
    return this.read(bucket, key, "GET")
  }

  close(): void {
    this.route.close()
  }
}

function conditionHeaders(condition: Condition | undefined): { readonly [name: string]: string } {
  if (condition === undefined) return {}
  return condition.kind === "absent" ? { "If-None-Match": "*" } : { "If-Match": `"${condition.etag}"` }
}
