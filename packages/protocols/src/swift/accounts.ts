/** Accounts of Swift: the accounts of the store, whose containers are their buckets. */
import type { Account } from "@hayloft/access/contract.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, unlessRefused } from "@hayloft/base/failures.js"
import { parseAccountId, type AccountId } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { encodeSwiftAccount, type SwiftAccount } from "@hayloft/engine/format/swift/swift-account.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Bucket, BucketUsage, Buckets } from "@hayloft/objects/contract.js"
import { operationAs, type AccountCall, type S3Answer } from "../s3/index.js"
import { formatAccountAccess, parseAccountAccess } from "./account-access-core.js"
import { auditedChange, makeAccount } from "./account-changes.js"
import { accountState } from "./audited-states-core.js"
import { changedLimits, quotaChangeIn, quotaFields, withoutQuota } from "./middleware/account-quota-core.js"
import { emptyAnswer, timestampOf } from "./answers.js"
import { chosenQuotes, etagQuotesField, etagQuotesIn } from "./middleware/etag-quoter-core.js"
import { entriesOf, headAnswer, listingAnswer } from "./listings.js"
import { boundsOf, parseListing, subdirOf, type ContainerEntry, type ListingRequest } from "./listing-core.js"
import { ACCOUNT_METADATA, changedMetadata, metadataFields, metadataIn } from "./metadata-core.js"
import { changedSetters, shownMetadata } from "./middleware/setters-core.js"
import { DEFAULT_POLICY, POLICIES } from "./middleware/policy-core.js"
import { accountAt, timesOf, userAccountAt, type SwiftContext, type SwiftRequest } from "./requests.js"
import { serviceAccountId } from "./middleware/services-core.js"
import { ACCOUNT_PREFIX, SERVICE_PREFIX } from "./target-core.js"
import { readerOfKeys, requireResellerAdmin, SETS_SECRETS, standingAt, type SwiftStanding } from "./standing.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"
import { walkPages } from "@hayloft/base/walk-pages.js"

const PAGE_BUCKETS = 1_000
/** Containers whose usage is read at a time. */
const USAGES_CONCURRENT = 16

export class AccountRequests {
  constructor(private readonly context: SwiftContext) {}

  head(request: SwiftRequest): Soon<S3Answer> {
    return this.read(request, async (call, standing) =>
      headAnswer(request, await this.fieldsOf(call, request, standing)),
    )
  }

  get(request: SwiftRequest): Soon<S3Answer> {
    const { exchange, query, target } = request
    const listing = parseListing(query, exchange.header("accept"))
    return this.read(request, async (call, standing) => {
      const { buckets } = call.services
      const shown = await entriesOf(shownOf(buckets, standing.account.id, listing), listing)
      const entries = await mapBounded(shown, USAGES_CONCURRENT, entry => this.entryOf(buckets, entry))
      const fields = await this.fieldsOf(call, request, standing)
      return listingAnswer(listing, { kind: "account", name: target.account }, entries, fields)
    })
  }

  /** Changes the account's metadata and its access list: that is for its root user, and for whom the list calls an admin. */
  post(request: SwiftRequest): Soon<S3Answer> {
    return this.changeAs(request, emptyAnswer(204))
  }

  private changeAs(request: SwiftRequest, answer: S3Answer): Soon<S3Answer> {
    return after(standingAt(this.context, request, SETS_SECRETS), standing => {
      if (!standing.isOwner) {
        const message = "only the root user of an account, and admins of its access list, change its metadata"
        throw fail("accessDenied", { message })
      }
      if (quotaChangeIn(request.exchange.headers) !== undefined)
        requireResellerAdmin(request, "quotas of accounts are set")
      const handle = async (): Promise<S3Answer> => {
        await this.change(standing.account.id, request)
        return answer
      }
      const operation = operationAs("ListBuckets", { kind: "service", handle }, [{ action: SETS_SECRETS }])
      return this.context.calls.run(request.request, standing.caller, { operation, headers: [] })
    })
  }

  /** Makes the account unless there is one, and changes it as the request says. */
  async put(request: SwiftRequest): Promise<S3Answer> {
    requireResellerAdmin(request, "accounts are made")
    const { account: name } = request.target
    if ((await accountAt(this.context.accounts, name)) !== undefined) return this.changeAs(request, emptyAnswer(202))
    const id = await this.idOfNew(name)
    const isNew = await makeAccount(this.context, request, id)
    await this.change(id, request)
    return emptyAnswer(isNew ? 201 : 202)
  }

  /** Throws `invalidRequest`, `noSuchAccount`. */
  private async idOfNew(name: string): Promise<AccountId> {
    if (!name.startsWith(SERVICE_PREFIX)) return idOfNewAccount(name)
    const ofUsers = await userAccountAt(this.context.accounts, name)
    if (ofUsers === undefined) throw fail("noSuchAccount", { account: name })
    return serviceAccountId(ofUsers)
  }

  /**
   * Deletes the account. Its contents are removed after a while, in which a PUT brings it back. Throws `accessDenied`,
   * `noSuchAccount`.
   */
  async delete(request: SwiftRequest): Promise<S3Answer> {
    requireResellerAdmin(request, "accounts are deleted")
    const name = request.target.account
    const account = await accountAt(this.context.accounts, name)
    if (account === undefined) throw fail("noSuchAccount", { account: name })
    if (account.id === this.context.rootAccount)
      throw fail("accessDenied", { message: "the account of the store's operator is not deleted" })
    const deletedMs = timesOf(this.context).laterMs
    const change = { operation: "DeleteAccount", target: account.id }
    await auditedChange(this.context, request, change, undefined, async () => {
      await this.context.swiftAccounts.change(account.id, former => ({ ...former, deletedMs }))
      return { deletedMs }
    })
    return emptyAnswer(204)
  }

  private async changeQuota(id: AccountId, request: SwiftRequest): Promise<void> {
    const change = quotaChangeIn(request.exchange.headers)
    if (change === undefined) return
    const { quotas } = this.context
    const target = { kind: "account", id } as const
    const former = (await quotas.show(target))?.quota.limits
    const limits = changedLimits(former, change)
    await auditedChange(this.context, request, { operation: "SetAccountQuota", target: id }, former, async () => {
      if (limits !== undefined) await quotas.set(target, limits)
      else if (former !== undefined) await quotas.clear(target)
      return limits
    })
  }

  private async change(id: AccountId, request: SwiftRequest): Promise<void> {
    const { exchange } = request
    await this.changeQuota(id, request)
    const stated = exchange.header("x-account-access-control")
    const access = stated === undefined ? undefined : formatAccountAccess(parseAccountAccess(stated))
    const changed = (former: SwiftAccount): SwiftAccount => ({
      ...this.changedKeys(former, request),
      access: access ?? former.access,
      quotesEtags: chosenQuotes(former.quotesEtags, etagQuotesIn(exchange.headers, "Account")),
      // A PUT brings a deleted account back.
      deletedMs: exchange.method === "PUT" ? undefined : former.deletedMs,
    })
    const { swiftAccounts } = this.context
    const before = await swiftAccounts.of(id)
    const make = async (): Promise<object> => {
      let after = before
      await swiftAccounts.change(id, former => (after = changed(former)))
      return accountState(after)
    }
    // A request may change the quota alone.
    if (equalBytes(encodeSwiftAccount(changed(before)), encodeSwiftAccount(before))) await make()
    else await auditedChange(this.context, request, { operation: "SetAccount", target: id }, accountState(before), make)
  }

  /** The metadata that follows, and who has set the keys in it. */
  private changedKeys({ metadata: former, setters }: SwiftAccount, { exchange, setter }: SwiftRequest) {
    const headers = withoutQuota(exchange.headers)
    const metadata = changedMetadata(former, headers, ACCOUNT_METADATA)
    const next = changedSetters(setters, metadata, metadataIn(headers, ACCOUNT_METADATA), setter)
    return { metadata, ...(next.length > 0 && { setters: next }) }
  }

  /** Keys and the list are shown to callers who may set them: a key of the root user may have fewer rights than he. */
  private async fieldsOf(
    call: AccountCall,
    { caller, setter }: SwiftRequest,
    { account, isOwner }: SwiftStanding,
  ): Promise<readonly HeaderField[]> {
    const { buckets } = call.services
    const seesSecrets = isOwner && (await call.permissions.may(SETS_SECRETS, {}))
    const { metadata, access, quotesEtags, setters } = await this.context.swiftAccounts.of(account.id)
    const shown = shownMetadata(metadata, setters, seesSecrets ? readerOfKeys(caller, setter, account.id) : undefined)
    const quota = await this.context.quotas.show({ kind: "account", id: account.id })
    return [
      ...(await this.usageFields(buckets, account)),
      ...(quota === undefined ? [] : quotaFields(quota.quota.limits)),
      ...metadataFields(shown, ACCOUNT_METADATA),
      ...etagQuotesField("Account", quotesEtags),
      ...(seesSecrets && access !== "" ? [["X-Account-Access-Control", access] as const] : []),
    ]
  }

  private async policyOf(bucket: Bucket): Promise<StorageClass> {
    return (await this.context.containers.of(bucket))?.policy ?? DEFAULT_POLICY
  }

  private async entryOf(buckets: Buckets, entry: Bucket | string): Promise<ContainerEntry> {
    if (typeof entry === "string") return { kind: "subdir", name: entry }
    const [{ objects, bytes }, policy] = [await buckets.usage(entry), await this.policyOf(entry)]
    return { kind: "container", name: entry.name, count: objects, bytes, lastModifiedMs: entry.createdMs, policy }
  }

  /** Returns the usage of all containers, and of those of each policy. */
  private async usageFields(buckets: Buckets, { id, createdMs }: Account): Promise<readonly HeaderField[]> {
    const all: Bucket[] = []
    for await (const bucket of bucketsOf(buckets, id)) all.push(bucket)
    const usages = await mapBounded(all, USAGES_CONCURRENT, async bucket => ({
      ...(await buckets.usage(bucket)),
      policy: await this.policyOf(bucket),
    }))
    const used = POLICIES.filter(name => usages.some(({ policy }) => policy === name))
    return [
      ...sumFields("X-Account-", usages),
      ...used.flatMap(name =>
        sumFields(
          `X-Account-Storage-Policy-${name}-`,
          usages.filter(({ policy }) => policy === name),
        ),
      ),
      ["X-Timestamp", timestampOf(createdMs)],
    ]
  }

  private read(
    request: SwiftRequest,
    handle: (call: AccountCall, standing: SwiftStanding) => Promise<S3Answer>,
  ): Soon<S3Answer> {
    return after(standingAt(this.context, request, "ListAllMyBuckets"), standing => {
      const operation = operationAs("ListBuckets", {
        kind: "service",
        handle: call => handle(call, standing),
      })
      return this.context.calls.run(request.request, standing.caller, { operation, headers: [] })
    })
  }
}

/** Twelve digits are the number of an account, which the store chooses. Throws `invalidRequest`. */
function idOfNewAccount(name: string): AccountId {
  const text = name.startsWith(ACCOUNT_PREFIX) ? name.slice(ACCOUNT_PREFIX.length) : ""
  const id = /^\d{12}$/.test(text) ? undefined : unlessRefused(() => parseAccountId(text))
  if (id !== undefined) return id
  const message = `the name of a new account is ${ACCOUNT_PREFIX} and 1 to 64 of the characters 0-9 A-Z a-z . _ @ -, not just 12 digits`
  throw fail("invalidRequest", { message })
}

/** Every bucket of an account that a listing may show, in pages. */
async function* bucketsOf(buckets: Buckets, owner: AccountId, prefix = "", from = ""): AsyncGenerator<Bucket> {
  const pages = walkPages(from, next =>
    buckets.list({
      owner,
      prefix,
      after: next,
      max: PAGE_BUCKETS,
    }),
  )
  for await (const page of pages) {
    yield* page.buckets
  }
}

function sumFields(prefix: string, usages: readonly Pick<BucketUsage, "objects" | "bytes">[]): readonly HeaderField[] {
  const sum = (of: "objects" | "bytes") => String(usages.reduce((total, usage) => total + usage[of], 0))
  return [
    [`${prefix}Container-Count`, String(usages.length)],
    [`${prefix}Object-Count`, sum("objects")],
    [`${prefix}Bytes-Used`, sum("bytes")],
  ]
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
