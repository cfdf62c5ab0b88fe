/**
 * The generator's state of a chapter's buckets: names, and values from the answers.
 *
 * Ids are stored as the place of their first appearance (`{{12.0}}`), so that the same request works on every server.
 */
import type { Chance } from "./chance.js"
import { idsIn, tokenIn } from "./normalise.js"
import { accountId } from "./people.js"
import type { Spec } from "./spec.js"
import { valueOf, type Answer } from "./wire.js"

export const BUCKETS = [
  "plain",
  "versioned",
  "suspended",
  "policied",
  "acls",
  "preferred",
  "cors",
  "public",
  "payer",
  "theirs", // of the other account, with a policy that grants this one access
  "private", // of the other account
] as const
export type BucketName = (typeof BUCKETS)[number]

export interface KnownVersion {
  readonly bucket: string
  readonly key: string
  /** `{{12.0}}` */
  readonly id: string
}

export interface KnownUpload extends KnownVersion {
  readonly parts: { readonly number: number; readonly etag: string }[]
}

const READING: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"])

/** Older values are dropped. */
const KEPT_MAX = 40

function keep<T>(list: T[], item: T): void {
  list.push(item)
  if (list.length > KEPT_MAX) list.shift()
}

export class World {
  readonly versions: KnownVersion[] = []
  readonly uploads: KnownUpload[] = []
  /** Bucket and key, as text of bytes. */
  readonly objects: { readonly bucket: string; readonly key: string }[] = []
  /** Continuation tokens of listings. */
  readonly tokens: { readonly bucket: string; readonly text: string }[] = []
  private readonly etags: string[] = []
  /** By bucket and key, the request that read the object. */
  private readonly dated = new Map<string, Map<string, number>>()

  constructor(
    readonly stream: number,
    /** The prefix of the names of its buckets. */
    readonly prefix: string,
  ) {}

  name(bucket: BucketName): string {
    return `${this.prefix}-${bucket}`
  }

  account(which: "a" | "b"): string {
    return accountId(this.stream, which)
  }

  anyEtag(chance: Chance): string | undefined {
    return chance.any(this.etags)
  }

  /**
   * The time of an object from its server. Only for unchanged objects: whether two objects were written in the same
   * second differs between servers.
   */
  dateOf(bucket: string, key: string | undefined): string | undefined {
    const request = key === undefined ? undefined : this.dated.get(bucket)?.get(key)
    return request === undefined ? undefined : `{{${request}.date}}`
  }

  learn(request: number, { about, method, target }: Spec, answer: Answer): void {
    if (!READING.has(method)) this.dated.delete(about?.bucket ?? "")
    if (!READING.has(method) && about === undefined) this.dated.clear()
    if (about === undefined || answer.status >= 300) return
    const etag = valueOf(answer, "etag")
    if (etag !== undefined) keep(this.etags, etag)
    const { does, bucket, key = "", upload, part = 0 } = about
    if (does === "read" && !target.includes("versionId") && valueOf(answer, "last-modified") !== undefined)
      this.dated.set(bucket, (this.dated.get(bucket) ?? new Map<string, number>()).set(key, request))
    const ids = idsIn(answer)
    const placeOf = (id: string | undefined): string | undefined => {
      const at = id === undefined ? -1 : ids.indexOf(id)
      return at < 0 ? undefined : `{{${request}.${at}}}`
    }
    const version = placeOf(valueOf(answer, "x-amz-version-id"))
    if (version !== undefined) keep(this.versions, { bucket, key, id: version })
    if (does === "put") keep(this.objects, { bucket, key })
    if (does === "endUpload") this.forget(upload)
    if (does === "endUpload" && method === "POST") keep(this.objects, { bucket, key })
    if (does === "createUpload" && ids[0] !== undefined)
      keep(this.uploads, { bucket, key, id: `{{${request}.0}}`, parts: [] })
    if (does === "uploadPart") {
      const found = this.uploads.find(({ id }) => id === upload)
      const text = etag ?? /<ETag>([^<]*)</.exec(answer.body.toString("latin1"))?.[1]
      if (found !== undefined && text !== undefined && method === "PUT") replacePart(found, part, text)
    }
    if (does === "list" && tokenIn(answer) !== undefined) keep(this.tokens, { bucket, text: `{{${request}.token}}` })
  }

  /** Drops an upload that has ended, so that most requests name open uploads. */
  private forget(upload: string | undefined): void {
    const at = this.uploads.findIndex(({ id }) => id === upload)
    if (at >= 0) this.uploads.splice(at, 1)
  }
}

function replacePart({ parts }: KnownUpload, number: number, etag: string): void {
  const at = parts.findIndex(part => part.number === number)
  if (at < 0) parts.push({ number, etag })
  else parts[at] = { number, etag }
}
