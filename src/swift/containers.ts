/** Containers of Swift: buckets, with what Swift's clients have set on them in the bucket's setting `swift`. */
import { fail, isFailure } from "../base/failures.js"
import { parseNewContainerName } from "../base/ids.js"
import { after, type Soon } from "../base/soon.js"
import type { StorageClass } from "../base/storage-class.js"
import { decodeSwiftContainer, EMPTY_SWIFT_CONTAINER, encodeSwiftContainer } from "../format/swift-container.js"
import type { Bucket, BucketUsage, ListPage, VersionEntry, VersionsPage } from "../object/contract.js"
import {
  operationAs,
  parseVersion,
  settingsOfNewBucket,
  type Answer,
  type BucketCall,
  type NewBucketCall,
  type RequiredAction,
} from "../s3/index.js"
import { accessListParser } from "./access-lists-core.js"
import { emptyAnswer, timestampOf, type Field } from "./answers.js"
import { changeIn, type ContainerChange } from "./container-changes-core.js"
import { boundsOf, parseListing, type ListingRequest, type ObjectEntry } from "./listing-core.js"
import { entriesOf, listingAnswer } from "./listings.js"
import { CONTAINER_METADATA, isSecret, metadataFields } from "./metadata-core.js"
import { DEFAULT_POLICY, policyIn, requireSamePolicy } from "./policy-core.js"
import { containerAt, requireOwnAccount, type ContainerRequest, type SwiftContext } from "./requests.js"

const PAGE_ENTRIES = 1_000
const DEFAULT_TYPE = "application/octet-stream"

/** Throws `metadataTooLarge`, `invalidRequest`. */
const changedDocument = (change: ContainerChange, former: string | undefined): string =>
  encodeSwiftContainer(change.apply(former === undefined ? EMPTY_SWIFT_CONTAINER : decodeSwiftContainer(former)))

const ARCHIVE_HEADERS = { stack: "X-Versions-Location", history: "X-History-Location" } as const

/** Metadata is to Swift what tags are to S3. */
const actionsOf = ({
  changesLists,
  changesMetadata,
  archive,
  versions,
}: ContainerChange): readonly [RequiredAction, ...RequiredAction[]] => {
  const further: RequiredAction[] = [
    ...(changesLists ? [{ action: "PutBucketAcl" } as const] : []),
    ...(versions === undefined && archive === undefined ? [] : [{ action: "PutBucketVersioning" } as const]),
  ]
  const [first, ...others] = further
  return first === undefined || changesMetadata ? [{ action: "PutBucketTagging" }, ...further] : [first, ...others]
}

export class SwiftContainers {
  constructor(private readonly context: SwiftContext) {}

  head(request: ContainerRequest): Soon<Answer> {
    const operation = operationAs("HeadBucket", {
      kind: "bucket",
      handle: async call => emptyAnswer(204, await this.fieldsOf(call, request)),
    })
    return this.run(request, operation)
  }

  get(request: ContainerRequest): Soon<Answer> {
    const { exchange, query, target } = request
    const listing = parseListing(query, exchange.header("accept"))
    const marker = query.get("version_marker")
    const showsVersions = query.has("versions")
    const operation = operationAs(showsVersions ? "ListObjectVersions" : "ListObjects", {
      kind: "bucket",
      handle: async call => {
        const all = showsVersions ? versionEntries(call, listing, marker) : objectEntries(call, listing)
        const entries = await entriesOf(all, listing)
        const fields = await this.fieldsOf(call, request)
        return listingAnswer(listing, { kind: "container", name: target.container }, entries, fields)
      },
    })
    return this.run(request, operation)
  }

  /** Creates the container, or changes one that exists. */
  put(request: ContainerRequest): Soon<Answer> {
    requireOwnAccount(request)
    const { exchange, target, caller } = request
    const change = changeIn(exchange.headers, accessListParser)
    const policy = policyIn(exchange.headers)
    const operation = operationAs("CreateBucket", {
      kind: "newBucket",
      parseName: parseNewContainerName,
      handle: call => this.create(call, change, policy),
    })
    const creating = this.context.calls.run(request.request, caller, {
      operation,
      bucket: target.container,
      headers: [],
    })
    return after(
      (async () => creating)().catch((error: unknown) => {
        if (!isFailure(error, "bucketOwnedByYou")) throw explainTaken(error, target.container)
        return undefined
      }),
      created => created ?? after(this.change(request, change, policy), () => emptyAnswer(202)),
    )
  }

  /** Creates the container unless it exists. */
  async ensure(request: ContainerRequest): Promise<void> {
    const { account, container } = request.target
    try {
      await containerAt(this.context, account, container)
    } catch (error) {
      if (!isFailure(error, "noSuchBucket")) throw error
      await this.put(request)
    }
  }

  post(request: ContainerRequest): Soon<Answer> {
    const change = changeIn(request.exchange.headers, accessListParser)
    return after(this.change(request, change), () => emptyAnswer(204))
  }

  delete(request: ContainerRequest): Soon<Answer> {
    const operation = operationAs("DeleteBucket", {
      kind: "bucket",
      handle: async ({ services, bucket }) => {
        await services.buckets.remove(bucket)
        return emptyAnswer(204)
      },
    })
    return this.run(request, operation)
  }

  private run(request: ContainerRequest, operation: ReturnType<typeof operationAs>): Soon<Answer> {
    const { account, container } = request.target
    return after(containerAt(this.context, account, container), () =>
      this.context.calls.run(request.request, request.caller, { operation, bucket: container, headers: [] }),
    )
  }

  private async create(
    { services, account, bucketName, newBuckets }: NewBucketCall,
    change: ContainerChange,
    policy: StorageClass | undefined,
  ): Promise<Answer> {
    if (policy !== undefined) services.classes.require(policy)
    const made = { ...EMPTY_SWIFT_CONTAINER, ...(policy !== undefined && { policy }) }
    const document = encodeSwiftContainer(change.apply(made))
    await this.context.prepare()
    // Its access lists say who has access, as Swift's clients expect: no public access block overrules them.
    const settings = new Map([
      ...settingsOfNewBucket({ ...newBuckets, allowPublicBuckets: true }),
      ["swift", document] as const,
    ])
    const bucket = await services.buckets.create({ name: bucketName, owner: account.id, location: "", settings })
    if (change.versions !== undefined) await services.buckets.setVersioning(bucket, change.versions)
    return emptyAnswer(201)
  }

  private change(request: ContainerRequest, change: ContainerChange, wanted?: StorageClass): Soon<Answer> {
    const handle = async ({ services, bucket }: BucketCall): Promise<Answer> => {
      await this.context.prepare()
      const { archive, policy } = (await this.context.containers.of(bucket)) ?? EMPTY_SWIFT_CONTAINER
      requireSamePolicy(policy, wanted)
      const isVersioned = (change.versions ?? bucket.versioning) === "enabled"
      const hasArchive = change.archive === undefined ? archive !== undefined : change.archive !== null
      if (isVersioned && hasArchive)
        throw fail("invalidRequest", { message: "X-Versions-Enabled excludes versions in another container" })
      if (change.changesLists || change.changesMetadata || change.archive !== undefined)
        await services.buckets.changeSetting(bucket, "swift", former => changedDocument(change, former))
      if (change.versions !== undefined) await services.buckets.setVersioning(bucket, change.versions)
      return emptyAnswer(204)
    }
    return this.run(request, operationAs("PutBucketTagging", { kind: "bucket", handle }, actionsOf(change)))
  }

  private async fieldsOf({ bucket, services }: BucketCall, { caller }: ContainerRequest): Promise<readonly Field[]> {
    const usage = await services.buckets.usage(bucket)
    const { metadata, read, write, archive, policy } =
      (await this.context.containers.of(bucket)) ?? EMPTY_SWIFT_CONTAINER
    const isOwner = caller.account?.id === bucket.owner
    const shown = isOwner ? metadata : metadata.filter(([name]) => !isSecret(name))
    return [
      ...usageFields(bucket, usage),
      ["X-Storage-Policy", policy ?? DEFAULT_POLICY],
      ...metadataFields(shown, CONTAINER_METADATA),
      ...(isOwner && read !== "" ? [["X-Container-Read", read] as const] : []),
      ...(isOwner && write !== "" ? [["X-Container-Write", write] as const] : []),
      ...(archive === undefined ? [] : [[ARCHIVE_HEADERS[archive.mode], archive.location] as const]),
      ...(bucket.versioning === "never"
        ? []
        : [["X-Versions-Enabled", String(bucket.versioning === "enabled")] as const]),
    ]
  }
}

const usageFields = ({ createdMs }: Bucket, { objects, bytes }: BucketUsage): Field[] => [
  ["X-Container-Object-Count", String(objects)],
  ["X-Container-Bytes-Used", String(bytes)],
  ["X-Timestamp", timestampOf(createdMs)],
]

/** Buckets have one name in the store: what is no conflict in Swift is one here. */
function explainTaken(error: unknown, container: string): unknown {
  if (!isFailure(error, "bucketExists")) return error
  const message =
    "the name is taken by a container of another account: containers are buckets, whose names are unique in this store"
  return fail("bucketExists", { message, bucketName: container.slice(0, 80) })
}

/** In pages: no query of the metadata reads more than `PAGE_ENTRIES`. */
export async function* objectEntries(
  { services, bucket }: BucketCall,
  listing: ListingRequest,
): AsyncGenerator<ObjectEntry> {
  const { prefix, delimiter, isPath } = listing
  const { from, to, max } = boundsOf(listing, PAGE_ENTRIES)
  for (let next: string | undefined = from; next !== undefined;) {
    const page: ListPage = await services.objects.list({ bucket, prefix, delimiter, after: next, max, withTypes: true })
    for (const entry of page.entries) {
      const name = entry.kind === "prefix" ? entry.prefix : entry.object.key
      if (to !== "" && name >= to) return
      if (entry.kind === "prefix") {
        if (!isPath) yield { kind: "subdir", name }
        continue
      }
      const { sizeBytes, etag, lastModifiedMs, contentType = DEFAULT_TYPE } = entry.object
      yield { kind: "object", name, hash: etag, bytes: sizeBytes, contentType, lastModifiedMs }
    }
    next = page.next
  }
}

/** As Swift shows a version that marks a deletion. */
const MARKER = {
  hash: "d41d8cd98f00b204e9800998ecf8427e",
  contentType: "application/x-deleted;swift_versions_deleted=1",
}

async function* versionEntries(
  { services, bucket }: BucketCall,
  listing: ListingRequest,
  versionMarker: string | undefined,
): AsyncGenerator<ObjectEntry> {
  if (listing.isReverse) throw fail("notImplemented", { message: "versions in reverse order are not implemented" })
  const { prefix, delimiter } = listing
  const { from, to, max } = boundsOf(listing, PAGE_ENTRIES)
  const versionIdMarker = versionMarker === undefined ? undefined : parseVersion(versionMarker)
  let next: VersionsPage["next"] = { keyMarker: from, versionIdMarker }
  while (next !== undefined) {
    const request = { bucket, prefix, delimiter, ...next, max, withTypes: true }
    const page: VersionsPage = await services.objects.listVersions(request)
    for (const entry of page.entries) {
      const name = entry.kind === "prefix" ? entry.prefix : entry.kind === "marker" ? entry.key : entry.object.key
      if (to !== "" && name >= to) return
      yield versionEntry(entry, name)
    }
    next = page.next
  }
}

function versionEntry(entry: VersionEntry, name: string): ObjectEntry {
  if (entry.kind === "prefix") return { kind: "subdir", name }
  const version = { id: entry.versionId, isLatest: entry.isLatest }
  if (entry.kind === "marker")
    return { kind: "object", name, ...MARKER, bytes: 0, lastModifiedMs: entry.lastModifiedMs, version }
  const { sizeBytes, etag, lastModifiedMs, contentType = DEFAULT_TYPE } = entry.object
  return { kind: "object", name, hash: etag, bytes: sizeBytes, contentType, lastModifiedMs, version }
}
