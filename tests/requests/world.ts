/**
 * What the generator knows of a chapter's buckets: names, and what the answers have told it.
 *
 * Ids are known by the place in which they first appeared (`{{12.0}}`), so that the same request works on every server.
 */
import type { Chance } from "./chance.js"
import { idsIn } from "./normalise.js"
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
  "theirs", // of the other account, with a policy that lets this one in
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

/** Older knowledge is forgotten. */
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
  private readonly dated: number[] = []

  constructor(
    readonly stream: number,
    /** What the names of its buckets begin with. */
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

  /** The time of an object, as its server gave it. */
  anyDate(chance: Chance): string | undefined {
    const request = chance.any(this.dated)
    return request === undefined ? undefined : `{{${request}.date}}`
  }

  learn(request: number, { about, method }: Spec, answer: Answer): void {
    if (about === undefined || answer.status >= 300) return
    const etag = valueOf(answer, "etag")
    if (etag !== undefined) keep(this.etags, etag)
    if (valueOf(answer, "last-modified") !== undefined) keep(this.dated, request)
    const { does, bucket, key = "", upload, part = 0 } = about
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
    if (does === "list") this.learnToken(bucket, answer)
  }

  /** Most requests then name uploads that go on. */
  private forget(upload: string | undefined): void {
    const at = this.uploads.findIndex(({ id }) => id === upload)
    if (at >= 0) this.uploads.splice(at, 1)
  }

  private learnToken(bucket: string, { body }: Answer): void {
    const token = /<NextContinuationToken>([^<]+)</.exec(body.toString("latin1"))?.[1]
    if (token !== undefined) keep(this.tokens, { bucket, text: token })
  }
}

function replacePart({ parts }: KnownUpload, number: number, etag: string): void {
  const at = parts.findIndex(part => part.number === number)
  if (at < 0) parts.push({ number, etag })
  else parts[at] = { number, etag }
}
