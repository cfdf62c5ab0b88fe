/** Containers of Swift: buckets, with what Swift's clients have set on them in the bucket's setting `swift`. */
import { httpDate } from "@hayloft/base/text/dates.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseNewContainerName, type AccountId } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import {
  decodeSwiftContainer,
  EMPTY_SWIFT_CONTAINER,
  encodeSwiftContainer,
} from "@hayloft/engine/format/swift/swift-container.js"
import { decodeSwiftSync, encodeSwiftSync, NO_SYNC, type SwiftSync } from "@hayloft/engine/format/swift/swift-sync.js"
import type {
  Bucket,
  BucketUsage,
  ListedObject,
  Objects,
  VersionEntry,
  VersionsPage,
} from "@hayloft/objects/contract.js"
import { versionPages } from "@hayloft/objects/index.js"
import {
  operationAs,
  parseVersion,
  settingsOfNewBucket,
  type S3Answer,
  type BucketCall,
  type NewBucketCall,
  type S3RequiredAction,
} from "../s3/index.js"
import { accessListParser } from "./access-lists-core.js"
import { emptyAnswer, timestampOf } from "./answers.js"
import { containerState } from "./audited-states-core.js"
import { archiveFields } from "./middleware/archive-core.js"
import { changeIn, type ContainerChange } from "./container-changes-core.js"
import { etagQuotesField } from "./middleware/etag-quoter-core.js"
import {
  boundsOf,
  parseListing,
  subdirOf,
  versionListing,
  type ListingRequest,
  type ObjectEntry,
} from "./listing-core.js"
import { entriesOf, headAnswer, listingAnswer } from "./listings.js"
import { CONTAINER_METADATA, metadataFields } from "./metadata-core.js"
import { listedLink } from "./middleware/pointers-core.js"
import { DEFAULT_POLICY, policyIn, requireSamePolicy } from "./middleware/policy-core.js"
import { containerAt, type ContainerRequest, type SwiftContext } from "./requests.js"
import { seesKey, shownMetadata, type KeyReader } from "./middleware/setters-core.js"
import { readerOfKeys, SETS_SECRETS, standingAt } from "./standing.js"
import { changedSync, targetOfSync } from "./middleware/sync-core.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"
import { walkPages } from "@hayloft/base/walk-pages.js"

const PAGE_ENTRIES = 1_000
const DEFAULT_TYPE = "application/octet-stream"

/** Throws `metadataTooLarge`, `invalidRequest`, `accessDenied`. */
const changedDocument = (change: ContainerChange, former: string | undefined, { setter }: ContainerRequest): string =>
  encodeSwiftContainer(
    change.apply(former === undefined ? EMPTY_SWIFT_CONTAINER : decodeSwiftContainer(former), setter),
  )

/** The change lets others in: by lists and keys, or by the key of the synchronization, which lets another cluster in. */
const givesAccess = ({ changesLists, sync }: ContainerChange): boolean => changesLists || sync !== undefined

const furtherActionsOf = (change: ContainerChange): readonly S3RequiredAction[] => [
  ...(givesAccess(change) ? [{ action: SETS_SECRETS } as const] : []),
  ...(change.versions === undefined && change.archive === undefined
    ? []
    : [{ action: "PutBucketVersioning" } as const]),
]

/** Metadata is to Swift what tags are to S3. */
const actionsOf = (change: ContainerChange): readonly [S3RequiredAction, ...S3RequiredAction[]] => {
  const further = furtherActionsOf(change)
  const [first, ...others] = further
  return first === undefined || change.changesMetadata
    ? [{ action: "PutBucketTagging" }, ...further]
    : [first, ...others]
}

export class SwiftContainers {
  constructor(private readonly context: SwiftContext) {}

  head(request: ContainerRequest): Soon<S3Answer> {
    const operation = operationAs("HeadBucket", {
      kind: "bucket",
      handle: async call => headAnswer(request, await this.fieldsOf(call, request)),
    })
    return this.run(request, operation)
  }

  get(request: ContainerRequest): Soon<S3Answer> {
    const { exchange, query, target } = request
    const accept = exchange.header("accept")
    const marker = query.get("version_marker")
    const showsVersions = query.has("versions")
    const asked = parseListing(query, accept)
    const listing = showsVersions ? versionListing(asked, query, accept) : asked
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
  put(request: ContainerRequest): Soon<S3Answer> {
    const { exchange, target } = request
    const change = changeIn(exchange.headers, accessListParser)
    const policy = policyIn(exchange.headers)
    const actions = [{ action: "CreateBucket" }, ...furtherActionsOf(change)] as const
    return after(
      standingAt(this.context, request, givesAccess(change) ? SETS_SECRETS : "CreateBucket"),
      async standing => {
        const { account, caller } = standing
        const answer = {
          kind: "newBucket",
          parseName: parseNewContainerName,
          handle: (call: NewBucketCall) => this.create(call, request, { owner: account.id, change, policy }),
        } as const
        const operation = this.audited(operationAs("CreateBucket", answer, actions))
        try {
          const translation = { operation, bucket: target.container, headers: [] }
          return await this.context.calls.run(request.request, caller, translation)
        } catch (error) {
          if (!isFailure(error, "bucketOwnedByYou")) throw explainTaken(error, target.container)
        }
        await this.change(request, change, policy)
        return emptyAnswer(202)
      },
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

  post(request: ContainerRequest): Soon<S3Answer> {
    const change = changeIn(request.exchange.headers, accessListParser)
    return after(this.change(request, change), () => emptyAnswer(204))
  }

  delete(request: ContainerRequest): Soon<S3Answer> {
    const operation = operationAs("DeleteBucket", {
      kind: "bucket",
      handle: async ({ services, bucket }) => {
        await services.buckets.remove(bucket)
        return emptyAnswer(204)
      },
    })
    return this.run(request, operation)
  }

  private run(request: ContainerRequest, operation: ReturnType<typeof operationAs>): Soon<S3Answer> {
    const { account, container } = request.target
    return after(containerAt(this.context, account, container), () =>
      this.context.calls.run(request.request, request.caller, { operation, bucket: container, headers: [] }),
    )
  }

  private async create(
    { services, bucketName, newBuckets }: NewBucketCall,
    { setter }: ContainerRequest,
    {
      owner,
      change,
      policy,
    }: {
      readonly owner: AccountId
      readonly change: ContainerChange
      readonly policy: StorageClass | undefined
    },
  ): Promise<S3Answer> {
    if (policy !== undefined) services.classes.require(policy)
    const made = { ...EMPTY_SWIFT_CONTAINER, ...(policy !== undefined && { policy }) }
    const document = encodeSwiftContainer(change.apply(made, setter))
    const sync = this.syncAfter(undefined, change, setter)
    if (sync !== undefined && change.versions !== undefined) throw refuseVersions()
    await this.context.prepare()
    // Its access lists say who has access, as Swift's clients expect: no public access block overrules them.
    const settings = new Map([
      ...settingsOfNewBucket({ ...newBuckets, allowPublicBuckets: true }),
      ["swift", document] as const,
      ...(sync === undefined ? [] : [["sync", encodeSwiftSync(sync)] as const]),
    ])
    const bucket = await services.buckets.create({ name: bucketName, owner, location: "", settings })
    if (change.versions !== undefined) await services.buckets.setVersioning(bucket, change.versions)
    return emptyAnswer(201)
  }

  private change(request: ContainerRequest, change: ContainerChange, wanted?: StorageClass): Soon<S3Answer> {
    const handle = async ({ services, bucket }: BucketCall): Promise<S3Answer> => {
      await this.context.prepare()
      const { archive, policy } = (await this.context.containers.of(bucket)) ?? EMPTY_SWIFT_CONTAINER
      requireSamePolicy(policy, wanted)
      const isVersioned = (change.versions ?? bucket.versioning) === "enabled"
      const hasArchive = change.archive === undefined ? archive !== undefined : change.archive !== null
      if (isVersioned && hasArchive)
        throw fail("invalidRequest", { message: "X-Versions-Enabled excludes versions in another container" })
      await this.changeSync(services, bucket, change, request.setter)
      if (change.changesLists || change.changesMetadata || change.archive !== undefined)
        await services.buckets.changeSetting(bucket, "swift", former => changedDocument(change, former, request))
      if (change.versions !== undefined) await services.buckets.setVersioning(bucket, change.versions)
      return emptyAnswer(204)
    }
    const operation = operationAs("PutBucketTagging", { kind: "bucket", handle }, actionsOf(change))
    return this.run(request, this.audited(operation))
  }

  /** The operation with what the audit log shows of the container. */
  private audited(operation: ReturnType<typeof operationAs>): ReturnType<typeof operationAs> {
    const { containers, syncs } = this.context
    const state = async (bucket: Bucket): Promise<object> =>
      containerState((await containers.of(bucket)) ?? EMPTY_SWIFT_CONTAINER, await syncs.of(bucket))
    return { ...operation, state }
  }

  /** Throws `invalidRequest` for a cluster that the operator does not know. */
  private syncAfter(
    former: SwiftSync | undefined,
    { sync }: ContainerChange,
    setter: ContainerRequest["setter"],
  ): SwiftSync | undefined {
    if (sync === undefined) return former
    const isSet = [sync.to, sync.key].some(text => text !== undefined && text !== "")
    if (isSet && this.context.realms.size === 0)
      throw fail("invalidRequest", { message: "This server is in no realm: its operator sets --swift-sync-realms" })
    if (sync.to !== undefined && sync.to !== "") targetOfSync(sync.to, this.context.realms)
    return changedSync(former, sync, setter)
  }

  private async changeSync(
    { buckets }: BucketCall["services"],
    bucket: Bucket,
    change: ContainerChange,
    setter: ContainerRequest["setter"],
  ): Promise<void> {
    if (change.sync === undefined) return
    if (bucket.versioning !== "never" || change.versions !== undefined) throw refuseVersions()
    const known = await buckets.setting(bucket, "sync")
    const isLast = this.syncAfter(known && decodeSwiftSync(known.document), change, setter) === undefined
    if (isLast) return buckets.setSetting(bucket, "sync", undefined)
    await buckets.changeSetting(bucket, "sync", former => {
      const next = this.syncAfter(former === undefined ? undefined : decodeSwiftSync(former), change, setter)
      return encodeSwiftSync(next ?? NO_SYNC)
    })
  }

  /** Lists are shown to callers who may set them, and of the keys those that they may see. */
  private async fieldsOf(
    { bucket, permissions, services }: BucketCall,
    { caller, setter }: ContainerRequest,
  ): Promise<readonly HeaderField[]> {
    const usage = await services.buckets.usage(bucket)
    const { metadata, read, write, archive, policy, quotesEtags, setters } =
      (await this.context.containers.of(bucket)) ?? EMPTY_SWIFT_CONTAINER
    const seesSecrets = await permissions.may(SETS_SECRETS, { bucket })
    const reader = seesSecrets ? readerOfKeys(caller, setter, bucket.owner) : undefined
    const shown = shownMetadata(metadata, setters, reader)
    return [
      ...usageFields(bucket, usage),
      ["X-Storage-Policy", policy ?? DEFAULT_POLICY],
      ...metadataFields(shown, CONTAINER_METADATA),
      ...etagQuotesField("Container", quotesEtags),
      ...(seesSecrets && read !== "" ? [["X-Container-Read", read] as const] : []),
      ...(seesSecrets && write !== "" ? [["X-Container-Write", write] as const] : []),
      ...syncFields(await this.context.syncs.of(bucket), reader),
      ...archiveFields(archive),
      ...(bucket.versioning === "never"
        ? []
        : [["X-Versions-Enabled", bucket.versioning === "enabled" ? "True" : "False"] as const]),
    ]
  }
}

const syncFields = ({ to, key, setter }: SwiftSync = NO_SYNC, reader: KeyReader | undefined): HeaderField[] => [
  ...(to === "" || reader === undefined ? [] : [["X-Container-Sync-To", to] as const]),
  ...(key === "" || reader === undefined || !seesKey(setter, reader) ? [] : [["X-Container-Sync-Key", key] as const]),
]

const refuseVersions = () =>
  fail("invalidRequest", { message: "X-Versions-Enabled excludes synchronization with another container" })

const usageFields = ({ createdMs }: Bucket, { objects, bytes }: BucketUsage): HeaderField[] => [
  ["X-Container-Object-Count", String(objects)],
  ["X-Container-Bytes-Used", String(bytes)],
  ["X-Timestamp", timestampOf(createdMs)],
  ["Last-Modified", httpDate(createdMs)],
]

/** Buckets have one name in the store: what is no conflict in Swift is one here. */
function explainTaken(error: unknown, container: string): unknown {
  if (!isFailure(error, "bucketExists")) return error
  const message =
    "the name is taken by a container of another account: containers are buckets, whose names are unique in this store"
  return fail("bucketExists", { message, bucketName: container.slice(0, 80) })
}

const objectEntry = ({
  key,
  sizeBytes,
  etag,
  lastModifiedMs,
  contentType = DEFAULT_TYPE,
  symlink,
}: ListedObject): ObjectEntry => ({
  kind: "object",
  name: key,
  hash: etag,
  bytes: sizeBytes,
  contentType,
  lastModifiedMs,
  link: listedLink(symlink),
})

/** The object that stands for a directory, if there is one: it has its name, with the slash. */
async function* markerOf(
  { services, bucket }: Pick<BucketCall, "services" | "bucket">,
  name: string,
): AsyncGenerator<ObjectEntry> {
  const page = await services.objects.list({ bucket, prefix: name, delimiter: "", after: "", max: 1, withTypes: true })
  const [first] = page.entries
  if (first?.kind === "object" && first.object.key === name) yield objectEntry(first.object)
}

/** Returns true if the names with the prefix have one between the bounds. */
async function isBetween(
  { services, bucket }: Pick<BucketCall, "services" | "bucket">,
  prefix: string,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<boolean> {
  const { entries } = await services.objects.list({ bucket, prefix, delimiter: "", after: from, max: 1 })
  const [first] = entries
  return first?.kind === "object" && (to === "" || first.object.key < to)
}

/** In pages: no query of the metadata reads more than `PAGE_ENTRIES`. */
export async function* objectEntries(
  { services, bucket }: BucketCall,
  listing: ListingRequest,
): AsyncGenerator<ObjectEntry> {
  const { prefix, delimiter, isPath } = listing
  const { from, to, max } = boundsOf(listing, PAGE_ENTRIES)
  // The pages begin behind the pseudo-directory that the marker is in.
  const around = isPath || !from.startsWith(prefix) ? undefined : subdirOf(from, listing)
  if (around !== undefined && around !== from && (await isBetween({ services, bucket }, around, { from, to })))
    yield { kind: "subdir", name: around }
  const pages = walkPages(from, next =>
    services.objects.list({ bucket, prefix, delimiter, after: next, max, withTypes: true }),
  )
  for await (const page of pages) {
    for (const entry of page.entries) {
      const name = entry.kind === "prefix" ? entry.prefix : entry.object.key
      if (to !== "" && name >= to) return
      // The last pseudo-directory before the bound may have all of its objects behind that.
      if (
        entry.kind === "prefix" &&
        to.startsWith(name) &&
        !(await isBetween({ services, bucket }, name, { from, to }))
      )
        return
      if (!isPath) yield entry.kind === "prefix" ? { kind: "subdir", name } : objectEntry(entry.object)
      else if (entry.kind === "prefix") yield* markerOf({ services, bucket }, name)
      // The marker of the directory itself is not in it.
      else if (name !== prefix) yield objectEntry(entry.object)
    }
  }
}

/** The fields with which Swift lists a version that marks a deletion. */
const MARKER = {
  hash: "d41d8cd98f00b204e9800998ecf8427e",
  contentType: "application/x-deleted;swift_versions_deleted=1",
}

/** Returns true if a listing ends before an entry with this name. */
type ListingEnd = (entry: VersionEntry, name: string) => boolean

async function* versionEntries(
  { services, bucket }: BucketCall,
  listing: ListingRequest,
  versionMarker: string | undefined,
): AsyncGenerator<ObjectEntry> {
  const { prefix, delimiter, isReverse } = listing
  const { from, to, max } = boundsOf(listing, PAGE_ENTRIES)
  const marked = versionMarker === undefined ? undefined : parseVersion(versionMarker)
  const isOver: ListingEnd =
    isReverse && marked !== undefined
      ? await endAtVersion(services.objects, bucket, { keyMarker: to, versionIdMarker: marked })
      : (_, name) => to !== "" && name >= to
  const first = { keyMarker: from, versionIdMarker: isReverse ? undefined : marked }
  const request = { bucket, prefix, delimiter, max, withTypes: true }
  for await (const page of versionPages(services.objects, request, first)) {
    for (const entry of page.entries) {
      const name = nameOfEntry(entry)
      if (isOver(entry, name)) return
      yield versionEntry(entry, name)
    }
  }
}

const nameOfEntry = (entry: VersionEntry): string =>
  entry.kind === "prefix" ? entry.prefix : entry.kind === "marker" ? entry.key : entry.object.key

/** Before a version, or where it was: of its name, only newer ones are left, which come first. */
async function endAtVersion(
  objects: Pick<Objects, "listVersions">,
  bucket: Bucket,
  marker: NonNullable<VersionsPage["next"]>,
): Promise<ListingEnd> {
  const page = await objects.listVersions({ bucket, prefix: "", delimiter: "", ...marker, max: 1 })
  const older = page.entries.find(entry => entry.kind !== "prefix" && nameOfEntry(entry) === marker.keyMarker)
  const ids = [marker.versionIdMarker, older?.kind === "prefix" ? undefined : older?.versionId]
  return (entry, name) =>
    name > marker.keyMarker || (name === marker.keyMarker && (entry.kind === "prefix" || ids.includes(entry.versionId)))
}

function versionEntry(entry: VersionEntry, name: string): ObjectEntry {
  if (entry.kind === "prefix") return { kind: "subdir", name }
  const version = { id: entry.versionId, isLatest: entry.isLatest }
  if (entry.kind === "marker")
    return { kind: "object", name, ...MARKER, bytes: 0, lastModifiedMs: entry.lastModifiedMs, version }
  const { sizeBytes, etag, lastModifiedMs, contentType = DEFAULT_TYPE } = entry.object
  return { kind: "object", name, hash: etag, bytes: sizeBytes, contentType, lastModifiedMs, version }
}
