/** Accounts of Swift: the accounts of the store, whose containers are their buckets. */
import { fail } from "../base/failures.js"
import type { AccountId } from "../base/ids.js"
import type { Soon } from "../base/soon.js"
import { mapBounded } from "../life/index.js"
import type { Bucket, Buckets } from "../object/contract.js"
import { operationAs, type Answer } from "../s3/index.js"
import { formatAccountAccess, parseAccountAccess } from "./account-access-core.js"
import { emptyAnswer, timestampOf, type Field } from "./answers.js"
import { entriesOf, listingAnswer } from "./listings.js"
import { boundsOf, parseListing, type ContainerEntry, type ListingRequest } from "./listing-core.js"
import { ACCOUNT_METADATA, changedMetadata, isSecret, metadataFields } from "./metadata-core.js"
import { requireOwnAccount, type SwiftContext, type SwiftRequest } from "./requests.js"

const PAGE_BUCKETS = 1_000
/** Containers whose usage is read at a time. */
const USAGES_CONCURRENT = 16

export class AccountRequests {
  constructor(private readonly context: SwiftContext) {}

  head(request: SwiftRequest): Soon<Answer> {
    return this.run(request, async (buckets, owner) => emptyAnswer(204, await this.fieldsOf(buckets, owner, request)))
  }

  get(request: SwiftRequest): Soon<Answer> {
    const { exchange, query, target } = request
    const listing = parseListing(query, exchange.header("accept"))
    return this.run(request, async (buckets, owner) => {
      const entries = await listContainers(buckets, owner, listing)
      const fields = await this.fieldsOf(buckets, owner, request)
      return listingAnswer(listing, { kind: "account", name: target.account }, entries, fields)
    })
  }

  /** Changes the account's metadata: that is for its root user. */
  async post(request: SwiftRequest): Promise<Answer> {
    requireOwnAccount(request)
    const { exchange, caller } = request
    if (caller.principal.kind !== "root") {
      const message = "only the root user of an account changes its metadata"
      throw fail("accessDenied", { message })
    }
    const stated = exchange.header("x-account-access-control")
    const access = stated === undefined ? undefined : formatAccountAccess(parseAccountAccess(stated))
    await this.context.swiftAccounts.change(caller.account.id, former => ({
      metadata: changedMetadata(former.metadata, exchange.headers, ACCOUNT_METADATA),
      access: access ?? former.access,
    }))
    return emptyAnswer(204)
  }

  private async fieldsOf(buckets: Buckets, owner: AccountId, request: SwiftRequest): Promise<readonly Field[]> {
    const { metadata, access } = await this.context.swiftAccounts.of(owner)
    const isRoot = request.caller.principal.kind === "root"
    const shown = metadata.filter(([name]) => isRoot || !isSecret(name))
    return [
      ...(await usageFields(buckets, owner, request)),
      ...metadataFields(shown, ACCOUNT_METADATA),
      ...(isRoot && access !== "" ? [["X-Account-Access-Control", access] as const] : []),
    ]
  }

  private run(request: SwiftRequest, handle: (buckets: Buckets, owner: AccountId) => Promise<Answer>): Soon<Answer> {
    requireOwnAccount(request)
    const operation = operationAs("ListBuckets", {
      kind: "service",
      handle: ({ services, account }) => handle(services.buckets, account.id),
    })
    return this.context.calls.run(request.request, request.caller, { operation, headers: [] })
  }

  /** Throws `notImplemented`. */
  refuse({ exchange }: SwiftRequest): never {
    const message = `${exchange.method} of an account is not implemented: accounts are made by \`hayloft account\``
    throw fail("notImplemented", { message })
  }
}

/** Every bucket of an account that a listing may show, in pages. */
async function* bucketsOf(buckets: Buckets, owner: AccountId, prefix = "", from = ""): AsyncGenerator<Bucket> {
  for (let next: string | undefined = from; next !== undefined;) {
    const page: Awaited<ReturnType<Buckets["list"]>> = await buckets.list({
      owner,
      prefix,
      after: next,
      max: PAGE_BUCKETS,
    })
    yield* page.buckets
    next = page.next
  }
}

async function usageFields(buckets: Buckets, owner: AccountId, { caller }: SwiftRequest): Promise<readonly Field[]> {
  const all: Bucket[] = []
  for await (const bucket of bucketsOf(buckets, owner)) all.push(bucket)
  const usages = await mapBounded(all, USAGES_CONCURRENT, bucket => buckets.usage(bucket))
  const sum = (of: "objects" | "bytes") => String(usages.reduce((total, usage) => total + usage[of], 0))
  return [
    ["X-Account-Container-Count", String(all.length)],
    ["X-Account-Object-Count", sum("objects")],
    ["X-Account-Bytes-Used", sum("bytes")],
    ["X-Timestamp", timestampOf(caller.account?.createdMs ?? 0)],
  ]
}

/** The common prefix that stands for a name; undefined: the name stands for itself. */
function subdirOf(name: string, { prefix, delimiter }: ListingRequest): string | undefined {
  const at = delimiter === "" ? -1 : name.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : name.slice(0, at + delimiter.length)
}

/** Containers, and the common prefixes that stand for some. */
async function* shownOf(buckets: Buckets, owner: AccountId, listing: ListingRequest): AsyncGenerator<Bucket | string> {
  const { prefix, isPath } = listing
  const { from, to } = boundsOf(listing, PAGE_BUCKETS)
  let latest = from
  for await (const bucket of bucketsOf(buckets, owner, prefix, from)) {
    if (to !== "" && bucket.name >= to) return
    const subdir = subdirOf(bucket.name, listing)
    if (subdir === undefined) yield bucket
    else if (!isPath && subdir !== latest) yield (latest = subdir)
  }
}

async function listContainers(
  buckets: Buckets,
  owner: AccountId,
  listing: ListingRequest,
): Promise<readonly ContainerEntry[]> {
  const shown = await entriesOf(shownOf(buckets, owner, listing), listing)
  return mapBounded(shown, USAGES_CONCURRENT, async (entry): Promise<ContainerEntry> => {
    if (typeof entry === "string") return { kind: "subdir", name: entry }
    const { objects, bytes } = await buckets.usage(entry)
    return { kind: "container", name: entry.name, count: objects, bytes, lastModifiedMs: entry.createdMs }
  })
}
