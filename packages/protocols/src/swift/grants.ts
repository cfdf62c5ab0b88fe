/**
 * The grants by the access lists of containers, for decisions about requests of Swift. Policies of S3 decide beside
 * them: what one of them denies is denied, and what a list gives to an account, the account's own policies must give to
 * its users.
 *
 * Promises  Where the public access block ignores public lists, referrers have no access, and `*:*` names nobody.
 */
import type { Account } from "@hayloft/access/contract.js"
import type { PrincipalMatch, SwiftAccounts } from "@hayloft/access/index.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { SwiftContainer } from "@hayloft/engine/format/swift/swift-container.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { publicAccessBlockOf, type Grants, type S3SettingReader, type TranslatedCalls } from "../s3/index.js"
import {
  admitsReferrer,
  isPublicList,
  namesCaller,
  parseAccessList,
  type AccessList,
  type ListedCaller,
} from "./access-lists-core.js"
import { matchOfAction, parseAccountAccess } from "./account-access-core.js"
import { ACCOUNT_PREFIX } from "./target-core.js"

/** The names that lists may have for a caller; `users`: those of itself. */
export const grantedNames = (
  { id, number }: Pick<Account, "id" | "number">,
  users: readonly string[],
): ListedCaller => ({
  accounts: [number, id, `${ACCOUNT_PREFIX}${number}`, `${ACCOUNT_PREFIX}${id}`],
  users,
})

type Right = "read" | "list" | "write"

/**
 * The right that each action needs. No list gives rights on a version by its id, the same as in Swift, whose lists are
 * not those of the hidden container of versions.
 */
const RIGHTS: ReadonlyMap<string, Right> = new Map([
  ["GetObject", "read"],
  ["ListBucket", "list"],
  ["ListBucketVersions", "list"],
  ["PutObject", "write"],
  ["DeleteObject", "write"],
])

/** The caller as a list may name it, and the page that led to the request. */
interface Requester {
  readonly caller: ListedCaller | undefined
  /** The caller has a policy of its session, which a list that names its user does not widen. */
  readonly isLimited: boolean
  readonly referrer: string | undefined
}

export class SwiftGrants {
  constructor(
    private readonly containers: S3SettingReader<SwiftContainer>,
    private readonly accounts: Pick<SwiftAccounts, "of">,
    private readonly settings: Pick<TranslatedCalls["context"], "bucketSettings">,
  ) {}

  ofAnonymous(referrer: string | undefined): Grants {
    return this.of({ caller: undefined, isLimited: false, referrer })
  }

  ofCaller(caller: ListedCaller, isLimited: boolean, referrer: string | undefined): Grants {
    return this.of({ caller, isLimited, referrer })
  }

  private of(requester: Requester): Grants {
    return {
      match: (bucket, action) =>
        after(this.matchOfAccount(bucket, action, requester), ofAccount => {
          const right = bucket.settings.includes("swift") ? RIGHTS.get(action) : undefined
          if (ofAccount === "caller" || right === undefined) return ofAccount
          return after(this.containers.of(bucket), container =>
            container === undefined
              ? ofAccount
              : after(this.matchOf(bucket, container, right, requester), match => strongerOf(match, ofAccount)),
          )
        }),
    }
  }

  /** By the list of the account, which names callers of other accounts and users of its own. */
  private matchOfAccount(
    bucket: Bucket,
    action: string,
    { caller, isLimited }: Requester,
  ): Soon<PrincipalMatch | undefined> {
    if (caller === undefined) return undefined
    return after(this.accounts.of(bucket.owner), ({ access }) => {
      const match = access === "" ? undefined : matchOfAction(parseAccountAccess(access), caller, action)
      return match === "caller" && isLimited ? "role" : match
    })
  }

  private matchOf(
    bucket: Bucket,
    { read, write }: SwiftContainer,
    right: Right,
    requester: Requester,
  ): Soon<PrincipalMatch | undefined> {
    const list = parseAccessList(right === "write" ? write : read)
    const names = requester.caller && namesCaller(list, requester.caller)
    if (names === "user" && !requester.isLimited) return "caller"
    const named = names === "user" ? "role" : names === "account" ? names : undefined
    if (names !== "everybody" && !isAdmittedByPage(list, right, requester.referrer)) return named
    return after(publicAccessBlockOf(this.settings.bucketSettings.publicAccessBlock, bucket), ({ ignorePublicAcls }) =>
      ignorePublicAcls ? named : "caller",
    )
  }
}

const strongerOf = (one: PrincipalMatch | undefined, other: PrincipalMatch | undefined): PrincipalMatch | undefined =>
  one === undefined || (one === "account" && other === "role") ? other : one

const isAdmittedByPage = (list: AccessList, right: Right, referrer: string | undefined): boolean =>
  isPublicList(list) && (right === "read" || (right === "list" && list.listings)) && admitsReferrer(list, referrer)
