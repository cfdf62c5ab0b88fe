/**
 * Versions in another container: what is overwritten or deleted is copied there first.
 *
 * Promises  Versions go where they are kept, and come back from there, only if who has set that place may read and write both at that
 *           time, as the caller must too: it shows nothing to its setter that is hidden from him. No version is lost, as one can be in Swift: what was copied must still be there when it is replaced, else the
 *           request is answered 409 and has changed nothing but the archive.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { byteStringOfText } from "@hayloft/base/ids.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { SwiftArchive } from "@hayloft/engine/format/swift/swift-container.js"
import type { ListedObject } from "@hayloft/objects/contract.js"
import { makeCopy, operationAs, type S3Answer, type ObjectCall, type CallerScope } from "../../s3/index.js"
import { emptyAnswer } from "../answers.js"
import { archivedName, archivePrefixOf, DELETION_TYPE, NAMES_OF_MOMENT } from "./archive-core.js"
import type { SwiftCallers } from "../callers.js"
import { containerAt, infoAt, type SwiftObjectRequest, type SwiftContext } from "../requests.js"
import { requireQuota } from "../stored-files.js"

const PAGE_ENTRIES = 1_000

/** A place of an object: text, and a byte string. */
interface Place {
  readonly container: string
  readonly object: string
}

interface Copying {
  readonly from: Place
  readonly to: Place
  readonly etag: string
  /** The container must have room for so much; undefined: it gets back what it had. */
  readonly addedBytes?: number
  readonly replaces?: string
}

const CHANGED = "another request has changed the object meanwhile: try again"

const sourceOf = ({ container, object }: Place): string =>
  `/${percentEncode(byteStringOfText(container))}/${percentEncode(object, true)}`

/** Nothing is removed or replaced but what was archived. */
export const changedMeanwhile = (error: unknown): unknown =>
  isFailure(error, "preconditionFailed", "noSuchKey") ? fail("conflict", { message: CHANGED }) : error

/** The actions that the setter of a place of versions may do there, as far as his rights go. */
const ACTIONS = ["GetObject", "PutObject", "DeleteObject"]

export class Archive {
  constructor(
    private readonly context: SwiftContext,
    private readonly callers: Pick<SwiftCallers, "ofSetter">,
  ) {}

  /**
   * Copies the object there, if there is one. Returns its ETag. Throws `preconditionFailed` if the container is missing, or who has
   * set it is not known, `accessDenied` if the caller or the setter may not copy it there, and `quotaExceeded`.
   */
  async keep(request: SwiftObjectRequest, archive: SwiftArchive): Promise<string | undefined> {
    const { target, caller } = request
    const { location } = archive
    await this.requireContainer(target.account, location)
    const info = await infoAt(this.context, request, target)
    if (info === undefined) return undefined
    const object = await this.freeName(request, location, info.lastModifiedMs, info.etag)
    if (object !== undefined) {
      const copy = { from: target, to: { container: location, object }, etag: info.etag, addedBytes: info.sizeBytes }
      await this.checkCopy(await this.ofSetter(request, archive), copy)
      await this.copy(request, copy, caller)
    }
    return info.etag
  }

  /** A name of that moment that no other version has; undefined: one with this ETag has it, from an attempt that failed. */
  private async freeName(
    request: SwiftObjectRequest,
    location: string,
    modifiedMs: number,
    etag: string | undefined,
  ): Promise<string | undefined> {
    for (let nth = 0; nth < NAMES_OF_MOMENT; nth += 1) {
      const object = archivedName(request.target.object, modifiedMs, nth)
      const found = await infoAt(this.context, request, { container: location, object })
      if (found === undefined) return object
      if (found.etag === etag) return undefined
    }
    throw fail("conflict", { message: `the object has more than ${NAMES_OF_MOMENT} versions of one moment: try again` })
  }

  /** A deletion, of which the archive has a version. */
  async noteDeletion(request: SwiftObjectRequest, archive: SwiftArchive): Promise<void> {
    const { caller, request: begun } = request
    const { location } = archive
    const object = await this.freeName(request, location, this.context.clock.wallMs(), undefined)
    if (object !== undefined)
      await this.requireMay(await this.ofSetter(request, archive), "PutObject", { container: location, object })
    const handle = async (call: ObjectCall): Promise<S3Answer> => {
      await requireQuota(this.context, call, 0)
      await call.services.objects.put({
        bucket: call.bucket,
        key: call.key,
        tags: [],
        conditions: { ifNoneMatch: ["*"] },
        signal: call.client.signal,
        attributes: { headers: { contentType: DELETION_TYPE }, userMetadata: [] },
        body: { lengthBytes: 0, open: noBytes, gather: () => new Uint8Array(), declaredChecksum: () => undefined },
      })
      return emptyAnswer(201)
    }
    const operation = operationAs("PutObject", { kind: "object", handle })
    await this.context.calls.run(begun, caller, { operation, bucket: location, rawKey: object, headers: [] })
  }

  /**
   * Brings the latest version back, and takes it out of the archive. Returns whether there was one. `etag`: of the object
   * that it replaces; undefined: it is missing. As in Swift, an object before which there was a deletion is only deleted.
   */
  async restore(request: SwiftObjectRequest, archive: SwiftArchive, etag: string | undefined): Promise<boolean> {
    const { target, caller } = request
    const { location } = archive
    await this.requireContainer(target.account, location)
    for (;;) {
      const latest = await this.latestOf(request, location)
      if (latest === undefined) return false
      const from = { container: location, object: latest.key }
      const isDeletion = latest.contentType === DELETION_TYPE
      if (isDeletion && etag !== undefined) return false
      const setter = await this.ofSetter(request, archive)
      await this.requireMay(setter, "DeleteObject", from)
      if (!isDeletion) {
        const copy = { from, to: target, etag: latest.etag, ...(etag !== undefined && { replaces: etag }) }
        await this.checkCopy(setter, copy)
        await this.copy(request, copy, caller).catch((error: unknown) => {
          throw changedMeanwhile(error)
        })
      }
      await this.remove(request, from)
      if (!isDeletion) return true
    }
  }

  /** The request as who has set the place would send it now. Throws `preconditionFailed` if he is not known. */
  private async ofSetter(request: SwiftObjectRequest, { location, setter }: SwiftArchive): Promise<SwiftObjectRequest> {
    const { exchange, target } = request
    const scope: CallerScope = (bucket, action) =>
      bucket !== undefined &&
      ACTIONS.includes(action) &&
      [target.container, location].some(name => name === bucket.name)
    try {
      return { ...request, ...(await this.callers.ofSetter(setter, scope, exchange, target)) }
    } catch (error) {
      if (!isFailure(error, "signatureMismatch")) throw error
      throw fail("preconditionFailed", {
        message: `who has set ${location} as the container of versions is not known, or not there any more: set it again`,
      })
    }
  }

  /** Throws `accessDenied` unless the setter may make the copy. */
  private async checkCopy(
    setter: SwiftObjectRequest,
    { from, to, etag }: Pick<Copying, "from" | "to" | "etag">,
  ): Promise<void> {
    const seen = await infoAt(this.context, setter, from)
    if (seen?.etag !== etag) throw fail("conflict", { message: CHANGED })
    await this.requireMay(setter, "PutObject", to)
  }

  private async requireMay(
    { request, caller }: SwiftObjectRequest,
    action: "PutObject" | "DeleteObject",
    { container, object }: Place,
  ): Promise<void> {
    const operation = operationAs(action, { kind: "object", handle: () => emptyAnswer(204) })
    await this.context.calls.run(request, caller, { operation, bucket: container, rawKey: object, headers: [] })
  }

  private async requireContainer(account: string, location: string): Promise<void> {
    try {
      await containerAt(this.context, account, location)
    } catch (error) {
      if (!isFailure(error, "noSuchBucket")) throw error
      throw fail("preconditionFailed", {
        message: `the container ${location}, which keeps the versions, does not exist`,
      })
    }
  }

  private async latestOf(
    { target, request, caller }: SwiftObjectRequest,
    location: string,
  ): Promise<ListedObject | undefined> {
    let latest: ListedObject | undefined
    const prefix = archivePrefixOf(target.object)
    const operation = operationAs("ListObjects", {
      kind: "bucket",
      handle: async ({ services, bucket }) => {
        const pages = walkPages("", next =>
          services.objects.list({
            bucket,
            prefix,
            delimiter: "",
            after: next,
            max: PAGE_ENTRIES,
            withTypes: true,
          }),
        )
        for await (const page of pages) {
          const last = page.entries.at(-1)
          if (last?.kind === "object") latest = last.object
        }
        return emptyAnswer(204)
      },
    })
    await this.context.calls.run(request, caller, { operation, bucket: location, headers: [] })
    return latest
  }

  private async copy(
    { request }: SwiftObjectRequest,
    { from, to, etag, addedBytes, replaces }: Copying,
    caller: SwiftObjectRequest["caller"],
  ): Promise<void> {
    const handle = async (call: ObjectCall): Promise<S3Answer> => {
      if (addedBytes !== undefined) await requireQuota(this.context, call, addedBytes)
      await makeCopy(call, () => ({ attributes: undefined }), "segmentList")
      return emptyAnswer(201)
    }
    const operation = operationAs("CopyObject", { kind: "object", handle })
    const headers = [
      "x-amz-copy-source",
      sourceOf(from),
      "x-amz-copy-source-if-match",
      etag,
      ...(replaces === undefined ? ["if-none-match", "*"] : ["if-match", replaces]),
    ]
    await this.context.calls.run(request, caller, { operation, bucket: to.container, rawKey: to.object, headers })
  }

  private async remove({ request, caller }: SwiftObjectRequest, { container, object }: Place): Promise<void> {
    const handle = async ({ services, bucket, key }: ObjectCall): Promise<S3Answer> => {
      await services.objects.remove({ bucket, key, conditions: {} })
      return emptyAnswer(204)
    }
    const operation = operationAs("DeleteObject", { kind: "object", handle })
    await this.context.calls.run(request, caller, { operation, bucket: container, rawKey: object, headers: [] })
  }
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}
