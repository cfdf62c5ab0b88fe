/**
 * What the access lists of containers grant, for decisions about requests of Swift. Policies of S3 decide beside them: what
 * one of them denies is denied, and what a list gives to an account, the account's own policies must give to its users.
 *
 * Promises  Where the public access block ignores public lists, referrers have no access, and `*:*` names nobody.
 */
import type { Account, KnownKey } from "../access/contract.js"
import type { AclMatch, SwiftAccounts } from "../access/index.js"
import { after, type Soon } from "../base/soon.js"
import type { SwiftContainer } from "../format/swift-container.js"
import type { Bucket } from "../object/contract.js"
import { publicAccessBlockOf, type Grants, type SettingReader, type TranslatedCalls } from "../s3/index.js"
import {
  admitsReferrer,
  isPublicList,
  namesCaller,
  parseAccessList,
  type AccessList,
  type ListedCaller,
} from "./access-lists-core.js"
import { accessLevelOf, ACTIONS_OF_LEVELS, parseAccountAccess } from "./account-access-core.js"
import { ACCOUNT_PREFIX } from "./target-core.js"

type Right = "read" | "list" | "write"

const RIGHTS: ReadonlyMap<string, Right> = new Map([
  ["GetObject", "read"],
  ["GetObjectVersion", "read"],
  ["ListBucket", "list"],
  ["ListBucketVersions", "list"],
  ["PutObject", "write"],
  ["DeleteObject", "write"],
  ["DeleteObjectVersion", "write"],
])

/** The caller as a list may name it, and the page that led to the request. */
interface Requester {
  readonly caller: ListedCaller | undefined
  readonly referrer: string | undefined
}

export class SwiftGrants {
  constructor(
    private readonly containers: SettingReader<SwiftContainer>,
    private readonly accounts: Pick<SwiftAccounts, "of">,
    private readonly settings: Pick<TranslatedCalls["context"], "bucketSettings">,
  ) {}

  ofAnonymous(referrer: string | undefined): Grants {
    return this.of({ caller: undefined, referrer })
  }

  ofKey({ id, account, principal }: KnownKey, referrer: string | undefined): Grants {
    const users = principal.kind === "user" ? [principal.userName, id] : [id]
    return this.ofCaller({ account, users }, referrer)
  }

  /** `users`: the names that a list may have for the caller. */
  ofCaller(
    { account, users }: { readonly account: Account; readonly users: readonly string[] },
    referrer: string | undefined,
  ): Grants {
    const accounts = [
      account.number,
      account.id,
      `${ACCOUNT_PREFIX}${account.number}`,
      `${ACCOUNT_PREFIX}${account.id}`,
    ]
    return this.of({ caller: { accounts, users }, referrer })
  }

  private of(requester: Requester): Grants {
    return {
      match: (bucket, action) => {
        if (!bucket.settings.includes("swift")) return undefined
        return after(this.matchOfAccount(bucket, action, requester), ofAccount => {
          const right = RIGHTS.get(action)
          if (ofAccount !== undefined || right === undefined) return ofAccount
          return after(this.containers.of(bucket), container =>
            container === undefined ? undefined : this.matchOf(bucket, container, right, requester),
          )
        })
      },
    }
  }

  /** By the list of the account, which names callers of other accounts and users of its own. */
  private matchOfAccount(bucket: Bucket, action: string, { caller }: Requester): Soon<AclMatch | undefined> {
    if (caller === undefined) return undefined
    return after(this.accounts.of(bucket.owner), ({ access }) => {
      const level = access === "" ? undefined : accessLevelOf(parseAccountAccess(access), caller)
      return level !== undefined && ACTIONS_OF_LEVELS[level].includes(action) ? "caller" : undefined
    })
  }

  private matchOf(
    bucket: Bucket,
    { read, write }: SwiftContainer,
    right: Right,
    requester: Requester,
  ): Soon<AclMatch | undefined> {
    const list = parseAccessList(right === "write" ? write : read)
    const names = requester.caller && namesCaller(list, requester.caller)
    if (names === "user") return "caller"
    const named = names === "account" ? names : undefined
    if (names !== "everybody" && !isAdmittedByPage(list, right, requester.referrer)) return named
    return after(publicAccessBlockOf(this.settings.bucketSettings.publicAccessBlock, bucket), ({ ignorePublicAcls }) =>
      ignorePublicAcls ? named : "caller",
    )
  }
}

const isAdmittedByPage = (list: AccessList, right: Right, referrer: string | undefined): boolean =>
  isPublicList(list) && (right === "read" || (right === "list" && list.listings)) && admitsReferrer(list, referrer)
