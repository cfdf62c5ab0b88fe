/**
 * Reads where objects of Swift point: the target of a link as it is, the segments of a dynamic large object by a listing. All with
 * the rights of the caller.
 *
 * Limits  `SEGMENTS_MAX` segments of a dynamic large object.
 */
import { fail } from "@hayloft/base/failures.js"
import { textOfObjectKey, type AccountId } from "@hayloft/base/ids.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { Symlink } from "@hayloft/engine/format/objects/symlink.js"
import type { Segment } from "@hayloft/engine/format/objects/segment-list.js"
import type { ObjectInfo } from "@hayloft/objects/contract.js"
import { operationAs, RequestQuery, type S3Answer, type BucketCall, type S3Caller } from "../../s3/index.js"
import { emptyAnswer, headerLinesOf } from "../answers.js"
import { etagOfDynamic } from "./large-objects-core.js"
import { shownEtag } from "../object-headers.js"
import {
  LINKS_MAX,
  SEGMENTS_MAX,
  pathOfLink,
  refuseSelf,
  statedLink,
  targetOfLink,
  type Pointer,
} from "./pointers-core.js"
import { containerAt, infoAt, type SwiftObjectRequest, type SwiftContext } from "../requests.js"

const PAGE_ENTRIES = 1000

/** A dynamic large object as it is at this moment. */
export interface DynamicObject {
  /** The info of all segments together. */
  readonly info: ObjectInfo
  readonly segments: readonly Segment[]
  /** The owner of the container that the segments are in. */
  readonly owner: AccountId
}

/** A caller whom a signature lets read the objects of a container may list the segments of one of them there. */
function listing(caller: S3Caller): S3Caller {
  const { scope } = caller
  if (caller.account === undefined || scope === undefined) return caller
  return { ...caller, scope: (bucket, action) => scope(bucket, action === "ListBucket" ? "GetObject" : action) }
}

/** Throws `accessDenied`, `noSuchBucket`, `invalidRequest` for too many segments. */
export async function segmentsBelow(
  context: SwiftContext,
  { target, request, caller }: SwiftObjectRequest,
  { container, prefix }: Extract<Pointer, { kind: "segments" }>,
  manifest: ObjectInfo,
): Promise<DynamicObject> {
  const segments: Extract<Segment, { kind: "object" }>[] = []
  const handle = async ({ services, bucket }: BucketCall): Promise<S3Answer> => {
    const pages = walkPages("", next => {
      const bounds = { delimiter: "", after: next, max: PAGE_ENTRIES }
      return services.objects.list({ bucket, prefix, ...bounds })
    })
    for await (const page of pages) {
      for (const entry of page.entries) {
        if (entry.kind === "prefix") continue
        const { key, etag, sizeBytes, lastModifiedMs } = entry.object
        const unshown = { contentType: "", isLarge: false, span: undefined }
        segments.push({ kind: "object", container, key, etag, sizeBytes, lastModifiedMs, ...unshown })
      }
      if (segments.length > SEGMENTS_MAX)
        throw fail("invalidRequest", { message: `a dynamic large object has at most ${SEGMENTS_MAX} segments` })
    }
    return emptyAnswer(204)
  }
  const name = textOfObjectKey(container)
  const { owner } = await containerAt(context, target.account, name)
  const operation = operationAs("ListObjects", { kind: "bucket", handle })
  await context.calls.run(request, listing(caller), { operation, bucket: name, headers: [] })
  const sizeBytes = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0)
  const etag = etagOfDynamic(segments.map(segment => segment.etag))
  return { info: { ...manifest, sizeBytes, etag, segmentListBytes: 0 }, segments, owner }
}

/** The same request for the target of a link; the object at a link has other versions. */
export const requestAt = (request: SwiftObjectRequest, link: Symlink): SwiftObjectRequest => ({
  ...request,
  target: targetOfLink(link),
  query: new RequestQuery(request.query.parameters.filter(({ name }) => name !== "version-id")),
})

/**
 * The answer of a link: that of its target, with its place. `links`: followed before. Throws `conflict` after too many links, and
 * if the target of a static one is another object by now.
 */
export async function followLink(
  context: SwiftContext,
  request: SwiftObjectRequest,
  { to, links }: { readonly to: Symlink; readonly links: number },
  read: (request: SwiftObjectRequest) => Soon<S3Answer>,
): Promise<S3Answer> {
  if (links >= LINKS_MAX) throw tooManyLinks()
  const target = requestAt(request, to)
  await requirePinned(context, target, to)
  const answer = await asPromise(() => read(target))
  const isNamed = answer.headers.flat().includes("Content-Location")
  return isNamed
    ? answer
    : { ...answer, headers: answer.headers.and(headerLinesOf([["Content-Location", pathOfLink(to)]])) }
}

export const tooManyLinks = () =>
  fail("conflict", { message: `Too many levels of symbolic links, maximum allowed is ${LINKS_MAX}` })

/** Throws `conflict` if the target of a static link is not what it was. `request`: for the target. */
export async function requirePinned(
  context: SwiftContext,
  request: SwiftObjectRequest,
  { pinned }: Symlink,
): Promise<void> {
  if (pinned === undefined) return
  requireEtag(etagOf(await infoOfTarget(context, request)), pinned.etag)
}

/** Returns undefined if the object is missing. */
async function infoOfTarget(context: SwiftContext, request: SwiftObjectRequest): Promise<ObjectInfo | undefined> {
  await containerAt(context, request.target.account, request.target.container)
  return infoAt(context, request, request.target)
}

const etagOf = (info: ObjectInfo | undefined): string | undefined => info && shownEtag(info).replaceAll('"', "")

function requireEtag(found: string | undefined, wanted: string): void {
  if (found === wanted) return
  const message =
    found === undefined
      ? "X-Symlink-Target does not exist"
      : `Object Etag '${found}' does not match X-Symlink-Target-Etag header '${wanted.slice(0, 80)}'`
  throw fail("conflict", { message })
}

/** The link that an upload makes, and of a static one the type of its target; undefined: none. Throws `invalidRequest`, `invalidUri`, `conflict`. */
export async function newLink(
  context: SwiftContext,
  request: SwiftObjectRequest,
): Promise<{ readonly to: Symlink; readonly contentType?: string | undefined } | undefined> {
  const { exchange, target } = request
  const link = statedLink(exchange.headers, target)
  if (link === undefined) return undefined
  refuseSelf(link, target)
  if (exchange.contentLength !== 0)
    throw fail("invalidRequest", { message: "Symlink requests require a zero byte body" })
  const etag = exchange.header("x-symlink-target-etag")?.replace(/^"(.*)"$/, "$1")
  if (etag === undefined || etag === "") return { to: link }
  const info = await infoOfTarget(context, requestAt(request, link))
  requireEtag(etagOf(info), etag)
  return { to: { ...link, pinned: { etag, sizeBytes: info?.sizeBytes ?? 0 } }, contentType: info?.headers.contentType }
}
