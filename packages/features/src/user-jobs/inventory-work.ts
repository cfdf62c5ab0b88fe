/**
 * The work of a job that makes an inventory: lists a bucket and writes a table of its objects as an upload in parts, by
 * requests of S3 as the job's starter.
 *
 * Promises  The object appears when the table is whole. A process that takes over aborts the upload of the one before, and
 *           begins again, unless the object of this job is there already.
 * Limits    A page of a listing, and a part of the upload, in memory.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketName, type ObjectKey } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import type {
  Bucket,
  Buckets,
  ListPage,
  ListRequest,
  ListVersionsRequest,
  Moments,
  Objects,
} from "@hayloft/objects/contract.js"
import { TableStream } from "@hayloft/engine/table-files/index.js"
import { withoutNullAtEnd } from "./bulk-work.js"
import type { JobStarter, OpenWork, WholePage, WholeWork } from "../operator/index.js"
import {
  aboutInventory,
  keyOfEntry,
  objectRow,
  parseInventory,
  runOfUpload,
  InventoryRows,
  type InventoryRow,
  type StoredInventory,
} from "./inventory-core.js"
import { JOB_LIMITS } from "./limits.js"
import {
  requireListing,
  type ObjectReply,
  type ObjectRequest,
  type ObjectRequests,
  type Requester,
} from "./object-requests.js"

/** The part size of the upload: 10,000 parts have more than a table may have. */
const PART_BYTES = 8 * MIB
const UPLOAD_ID = /<UploadId>([^<]+)<\/UploadId>/
/** Metadata of the object: which job has made it. */
const MADE_BY = "x-amz-meta-inventory-job"

interface InventoryServices {
  readonly buckets: Pick<Buckets, "open" | "confirm">
  readonly requests: ObjectRequests
  readonly objects: Pick<Objects, "listVersions">
  readonly moments: Pick<Moments, "check" | "list">
  readonly list: (request: ListRequest, isCached: boolean) => Promise<ListPage>
}

/** Throws `corruptRecord`. */
export async function openInventoryWork(services: InventoryServices, job: Parameters<OpenWork>[0]): Promise<WholeWork> {
  const { starter, startedMs } = job
  return new InventoryWork(services, { stored: parseInventory(job.request), starter, startedMs })
}

interface Opened {
  readonly stored: StoredInventory
  readonly starter: JobStarter
  readonly startedMs: number
}

/** The bucket, and the starter with the rights that it has now. */
interface Access {
  readonly bucket: Bucket
  readonly requester: Requester
}

/** An upload under way. */
interface Upload {
  readonly id: string
  readonly table: TableStream
  readonly etags: string[]
  readonly pages: Pages
  /** All rows are in the table. */
  isComplete: boolean
}

class InventoryWork implements WholeWork {
  private upload: Upload | undefined

  constructor(
    private readonly services: InventoryServices,
    private readonly opened: Opened,
  ) {}

  private get target(): { readonly bucket: string; readonly key: ObjectKey } {
    const { toBucket, toKey } = this.opened.stored.request
    return { bucket: toBucket, key: objectKeyOfText(toKey) }
  }

  /** Which job it is: two jobs of a bucket begin at different times, or have different targets. */
  private get mark(): string {
    const { stored, startedMs } = this.opened
    return `${stored.bucketId}-${startedMs}`
  }

  /** Throws `noSuchBucket`, `accessDenied`. */
  private async access(): Promise<Access> {
    const { buckets, requests } = this.services
    const { stored, starter } = this.opened
    await buckets.confirm()
    const bucket = await buckets.open(parseBucketName(stored.bucket))
    if (bucket.id !== stored.bucketId) throw fail("noSuchBucket", { message: "the bucket was deleted, and made again" })
    return { bucket, requester: await requests.as(starter, bucket) }
  }

  /** Throws `invalidArgument`, `historyIncomplete`, `accessDenied`, `noSuchBucket`. */
  async prepare(): Promise<void> {
    const { atUs, request } = this.opened.stored
    const { bucket, requester } = await this.access()
    if (atUs !== undefined && request.versions)
      throw fail("invalidArgument", {
        message: "an inventory of versions has no moment: leave out versions, or the moment",
      })
    await requireListing(requester, bucket, request.versions || atUs !== undefined, "")
    if (atUs !== undefined) await this.services.moments.check(bucket, atUs)
    await this.services.buckets.open(parseBucketName(request.toBucket))
  }

  async begin(): Promise<string> {
    const headers = [
      ["content-type", "application/octet-stream"],
      [MADE_BY, this.mark],
    ] as const
    // A bucket that is gone is found before there is an upload.
    const { bucket } = await this.access()
    const reply = await this.send({ method: "POST", ...this.target, query: [["uploads", ""]], headers })
    const [, id] = UPLOAD_ID.exec(reply.document) ?? []
    assert(id !== undefined, "an upload has an id")
    const about = aboutInventory(this.opened.stored, this.opened.startedMs)
    const table = new TableStream(runOfUpload(id), about)
    this.upload = { id, table, etags: [], pages: this.pages(bucket), isComplete: false }
    return id
  }

  async isMade(): Promise<boolean> {
    const reply = await this.sendToTarget({ method: "HEAD", ...this.target })
    return reply?.status === 200 && reply.header(MADE_BY) === this.mark
  }

  async discard(uploadId: string): Promise<void> {
    this.upload = undefined
    const query = [["uploadId", uploadId]] as const
    const reply = await this.sendToTarget({ method: "DELETE", ...this.target, query })
    if (reply !== undefined && reply.status >= 500) throw failureOf(reply)
  }

  /**
   * Looks after what was begun also when the bucket that it lists is gone. Returns undefined if the target's bucket is. Throws
   * `accessDenied`.
   */
  private async sendToTarget(request: ObjectRequest): Promise<ObjectReply | undefined> {
    const { buckets, requests } = this.services
    await buckets.confirm()
    try {
      const bucket = await buckets.open(parseBucketName(this.target.bucket))
      return await (await requests.as(this.opened.starter, bucket)).send(request)
    } catch (error) {
      if (!isFailure(error, "noSuchBucket")) throw error
      return undefined
    }
  }

  /** Each call can be repeated if it has thrown. */
  async advance(): Promise<WholePage> {
    const { upload } = this
    assert(upload !== undefined, "the upload has begun")
    const { table } = upload
    if (table.waitingBytes >= PART_BYTES) {
      await this.sendPart(upload)
      return NOTHING
    }
    if (!upload.isComplete) {
      // The starter may have lost the right to list.
      await this.prepare()
      const page = await upload.pages.next()
      const rows = page ?? []
      for (const { key, value } of rows) await table.add(key, value)
      if (page === undefined) {
        upload.isComplete = true
        await table.finish()
      }
      return { rows: rows.length, bytes: rows.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), isOver: false }
    }
    if (table.waitingBytes > 0) {
      await this.sendPart(upload)
      return NOTHING
    }
    await this.complete(upload)
    return { ...NOTHING, isOver: true }
  }

  private async sendPart({ id, table, etags }: Upload): Promise<void> {
    const body = table.first(PART_BYTES)
    const query = [
      ["partNumber", String(etags.length + 1)],
      ["uploadId", id],
    ] as const
    const reply = await this.send({ method: "PUT", ...this.target, query, body })
    etags.push(reply.header("etag") ?? "")
    table.drop(body.length)
  }

  private async complete({ id, etags }: Upload): Promise<void> {
    const parts = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`).join("")
    const body = Buffer.from(`<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`, "utf8")
    await this.send({ method: "POST", ...this.target, query: [["uploadId", id]], body })
  }

  /**
   * Sends a request in the name of the job's starter, with the rights that the starter has now. Throws `accessDenied`
   * for a refusal, `tooManyInFlight` for a temporary failure.
   */
  private async send(request: ObjectRequest): Promise<ObjectReply> {
    const { requester } = await this.access()
    const reply = await requester.send(request)
    if (reply.status >= 300) throw failureOf(reply)
    return reply
  }

  private pages(bucket: Bucket): Pages {
    const { stored } = this.opened
    const { list, moments, objects } = this.services
    if (stored.request.versions) return new VersionPages(bucket, objects)
    const { atUs } = stored
    return new ObjectPages(bucket, request => (atUs === undefined ? list(request, false) : moments.list(request, atUs)))
  }
}

/** The rows of a bucket, page by page. */
interface Pages {
  /** Returns undefined at the end. Can be repeated if it has thrown. */
  next(): Promise<readonly InventoryRow[] | undefined>
}

const FIRST_PAGE = { prefix: "", delimiter: "", max: JOB_LIMITS.pageRowsMax } as const

class ObjectPages implements Pages {
  private after: string | undefined = ""

  constructor(
    private readonly bucket: Bucket,
    private readonly list: (request: ListRequest) => Promise<ListPage>,
  ) {}

  async next(): Promise<readonly InventoryRow[] | undefined> {
    const { bucket, after } = this
    if (after === undefined) return undefined
    const page = await this.list({ ...FIRST_PAGE, bucket, after })
    this.after = page.next
    return page.entries.flatMap(entry => (entry.kind === "object" ? [objectRow(entry.object)] : []))
  }
}

class VersionPages implements Pages {
  private place: Pick<ListVersionsRequest, "keyMarker" | "versionIdMarker"> | undefined = {
    keyMarker: "",
    versionIdMarker: undefined,
  }
  private readonly rows = new InventoryRows()

  constructor(
    private readonly bucket: Bucket,
    private readonly objects: Pick<Objects, "listVersions">,
  ) {}

  async next(): Promise<readonly InventoryRow[] | undefined> {
    const { bucket, place } = this
    if (place === undefined) return undefined
    const page = await this.objects.listVersions({ ...FIRST_PAGE, bucket, ...place })
    const entries = withoutNullAtEnd(page)
    const last = entries.at(-1)
    const isOver = page.next === undefined || last === undefined
    this.place = isOver ? undefined : { keyMarker: keyOfEntry(last), versionIdMarker: last.versionId }
    const rows = this.rows.next(entries)
    return isOver ? [...rows, ...this.rows.rest()] : rows
  }
}

const NOTHING: WholePage = { rows: 0, bytes: 0, isOver: false }

const failureOf = ({ status, code, message }: ObjectReply): Failure => {
  const kind = status >= 500 ? "tooManyInFlight" : code === "NoSuchBucket" ? "noSuchBucket" : "accessDenied"
  return fail(kind, { message: `the inventory cannot be written: ${code}: ${message}` })
}
