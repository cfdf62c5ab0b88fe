/**
 * The requests of one run's clients with their answers: the history, and the content of each write.
 *
 * Every write has an id in its metadata and a body that identifies it. `inspect` compares the answer to a read with
 * both: bytes, length, ETag and metadata must belong to the same write.
 */
import { md5Hex } from "../../conformance/checksums.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { IDENTITY_BYTES, bodyOf, firstDifference, readClaim } from "../../sim/history/index.js"
import type { BodyClaim, Mode, Operation } from "../../sim/history/index.js"

export const WRITE_HEADER = "x-amz-meta-write"

export interface Planned {
  readonly bucket: string
  readonly key: string
  /** The claim is undefined for a copy: its bytes are its source's. */
  readonly claim: BodyClaim | undefined
  /** Without quotes; undefined for a copy until its answer. */
  etag: string | undefined
}

export interface Bucket {
  readonly name: string
  readonly mode: Mode
}

export interface Seen {
  readonly write: string
  readonly etag: string
  readonly versionId: string | undefined
}

const MESSAGES_MAX = 50

export const bare = (etag: string | undefined): string => (etag ?? "").replace(/"/g, "")

const claimName = (claim: BodyClaim) => `${claim.seed}/${claim.keyHash}/${claim.number}/${claim.lengthBytes}`

export class Record {
  readonly history = new Map<string, Operation[]>()
  readonly planned = new Map<string, Planned>()
  private readonly sent = new Set<string>()
  /** Violations that do not depend on the order of requests. */
  readonly violations: string[] = []
  readonly counts = new Map<string, number>()

  note(bucket: Bucket, operation: Operation): void {
    const list = this.history.get(bucket.name) ?? []
    this.history.set(bucket.name, list)
    list.push(operation)
    this.count(`${operation.action.kind} ${operation.outcome.kind}`)
  }

  count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  plan(write: string, planned: Planned): void {
    this.planned.set(write, planned)
    if (planned.claim) this.sent.add(claimName(planned.claim))
  }

  /** `onViolation` is called immediately for each violation. */
  constructor(private readonly onViolation: (text: string) => void = () => undefined) {}

  violation(text: string): void {
    this.onViolation(text)
    if (this.violations.length < MESSAGES_MAX) this.violations.push(text)
  }

  /**
   * Compares a 200 on an object with the write that it names; returns undefined, and records a violation, if it is
   * not one whole write.
   */
  inspect(bucket: Bucket, key: string, response: RawResponse): Seen | undefined {
    const where = `${bucket.name}/${key}`
    const write = response.header(WRITE_HEADER)
    const planned = write === undefined ? undefined : this.planned.get(write)
    if (write === undefined || !planned) return this.broken(`${where}: a write that no client sent (${write})`)
    if (planned.bucket !== bucket.name || planned.key !== key) {
      return this.broken(`${where}: write ${write} was sent to ${planned.bucket}/${planned.key}`)
    }
    const etag = bare(response.header("etag"))
    if (planned.etag !== undefined && planned.etag !== etag) {
      return this.broken(`${where}: write ${write} has ETag ${etag}, sent was ${planned.etag}`)
    }
    const wrong = this.wrongBody(response.body, planned, etag)
    if (wrong !== undefined) return this.broken(`${where}: write ${write}: ${wrong}`)
    return { write, etag, versionId: response.header("x-amz-version-id") }
  }

  private broken(text: string): undefined {
    this.violation(text)
    return undefined
  }

  private wrongBody(body: Buffer, planned: Planned, etag: string): string | undefined {
    if (planned.claim) {
      const { lengthBytes } = planned.claim
      if (body.length !== lengthBytes) return `${body.length} bytes instead of ${lengthBytes}`
      const at = firstDifference(body, planned.claim)
      return at === undefined ? undefined : `differs from what was sent at byte ${at}`
    }
    if (md5Hex(body) !== etag && !etag.includes("-")) return `the ETag ${etag} is not of these bytes`
    if (body.length < IDENTITY_BYTES) return undefined
    const claim = readClaim(body)
    if (!claim || !this.sent.has(claimName(claim))) return "a copy of bytes that no client sent"
    const at = firstDifference(body, claim)
    if (at !== undefined || body.length !== claim.lengthBytes) return `a copy that is not whole (byte ${at})`
    return undefined
  }
}

/** The MD5 of the body of a claim. */
export const etagOf = (claim: BodyClaim): string => md5Hex(bodyOf(claim))
