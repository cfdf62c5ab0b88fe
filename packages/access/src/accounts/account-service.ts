/** Accounts and keys: the service that runs their commands. See `contract.ts` for the promises. */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import type { AccessKeyId, AccountId, AccountNumber, RowKey } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { KeyUseRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import type { RateLimits } from "@hayloft/engine/format/accounts/rate-limits.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import {
  addAccessKey,
  changeAccessKey,
  createAccount,
  dropAccessKey,
  limitAccessKey,
  limitAccount,
  numberAccount,
  resealAccessKey,
  setKeyActive,
} from "./account-commands-core.js"
import {
  keyOf,
  readAccessKey,
  readAccessKeys,
  readAccount,
  readAccountOfNumber,
  readAccounts,
  readKeysOfUser,
  readNumberedAccounts,
  readSealedKeys,
} from "./account-queries-core.js"
import type { AccessBackend } from "../backend.js"
import type { AccessKey, Account, Accounts, KeyOwner, Keyring, KnownAccessKey, NewKey, People } from "../contract.js"
import type { Directory } from "./directory.js"
import { randomAccessKeyId, randomSecret } from "./random-ids.js"
import type { ParsePolicy } from "../policy/contract.js"
import type { PolicyPrincipals } from "../identities/policy-principals.js"
import { checkPolicyText } from "../identities/policy-texts.js"
import { AccessKeyUses } from "../principals/key-uses.js"
import { KnownKeys, purposeOfKey, type RootKey } from "../principals/known-keys.js"
import type { AccessPolicy } from "../policy/contract.js"
import { DirectoryCache } from "./directory-cache.js"
import type { MasterKeys } from "../secrets/master-keys.js"

/** The number of cached accounts: owners of buckets and objects. */
const ACCOUNTS_MAX = 1_000

export interface ResealedKeys {
  readonly resealed: number
  /** No master key opens them: they were so before. */
  readonly unreadable: number
  /** Start of the next page. */
  readonly next: RowKey | undefined
}

export class AccountService implements Accounts, Keyring {
  private readonly random: Random
  private readonly known: KnownKeys
  private readonly uses: AccessKeyUses
  private readonly knownAccounts: DirectoryCache<AccountId, Account>

  /** They are undefined if no directory is configured. */
  private people: Pick<People, "membershipOf"> | undefined

  private readonly directory: Directory
  private readonly parse: ParsePolicy
  private readonly principals: PolicyPrincipals

  constructor(
    { random, directory, tokens, parse, principals }: AccessBackend,
    private readonly masterKeys: MasterKeys,
    private root: RootKey,
  ) {
    this.directory = directory
    this.parse = parse
    this.principals = principals
    this.random = random.fork("accounts")
    this.known = new KnownKeys(
      directory,
      masterKeys,
      () => this.root,
      tokens,
      parse,
      () => this.people,
    )
    this.uses = new AccessKeyUses(directory, () => this.root.accessKeyId)
    this.knownAccounts = new DirectoryCache(directory, ACCOUNTS_MAX)
  }

  /** Sessions of these people are valid from now on. */
  admit(people: Pick<People, "membershipOf">): void {
    this.people = people
    this.directory.invalidate()
  }

  /** The root key pair is another one from now on; the account stays. */
  setRoot(root: RootKey): void {
    this.root = root
    this.directory.invalidate()
  }

  /** Creates the root account if it is missing (at the first start), and numbers accounts without a number. */
  async ensureRoot(): Promise<void> {
    const { accountId: id } = this.root
    const { directory } = this
    if ((await this.getAccount(id)) === undefined) {
      try {
        await directory.change(createAccount({ id, displayName: "root", email: "" }))
      } catch (error) {
        // Another node of the new store has created it meanwhile.
        if (!isFailure(error, "accountExists")) throw error
      }
    }
    for await (const page of directory.pages(ALL_ROWS.start, readNumberedAccounts)) {
      for (const account of page) if (!account.hasNumber) await directory.change(numberAccount(account.id))
    }
  }

  async createAccount(request: { id?: AccountId; displayName: string; email: string }): Promise<Account> {
    const { displayName, email } = request
    const id = request.id ?? parseAccountId(hexOf(this.random.bytes(32)))
    return this.directory.change(createAccount({ id, displayName, email }))
  }

  getAccount(id: AccountId): Soon<Account | undefined> {
    const known = this.knownAccounts.get(id)
    if (known !== undefined) return known
    const { generation } = this.directory
    return after(this.directory.ask(readAccount(id)), account => {
      if (account !== undefined) this.knownAccounts.keep(id, account, generation)
      return account
    })
  }

  pinPrincipals(policy: AccessPolicy, text: string): Soon<string> {
    return this.principals.pin(policy, text)
  }

  showPrincipals(text: string): Soon<string> {
    return this.principals.shown(text)
  }

  async accountOfNumber(number: AccountNumber): Promise<Account | undefined> {
    return this.directory.ask(readAccountOfNumber(number))
  }

  async listAccounts(): Promise<readonly Account[]> {
    const accounts: Account[] = []
    for await (const page of this.directory.pages(ALL_ROWS.start, readAccounts)) accounts.push(...page)
    return accounts
  }

  async createKey(key: NewKey): Promise<{ key: AccessKey; secret: string }> {
    const id = randomAccessKeyId(this.random)
    const secret = randomSecret(this.random)
    return { key: await this.importKey({ ...key, id, secret }), secret }
  }

  async importKey({ id, secret, accountId, userName, service }: NewKey & { id: AccessKeyId; secret: string }) {
    if (id === this.root.accessKeyId) throw fail("accessKeyExists", { key: id })
    if (service?.policy !== undefined) checkPolicyText(this.parse, service.policy)
    const sealedSecret = this.sealed(id, secret)
    return keyOf(id, await this.directory.change(addAccessKey(id, { accountId, userName, service, sealedSecret })))
  }

  async getKey(id: AccessKeyId): Promise<AccessKey | undefined> {
    return id === this.root.accessKeyId ? this.rootKey() : this.directory.ask(readAccessKey(id))
  }

  async listKeys(accountId?: AccountId): Promise<readonly AccessKey[]> {
    const keys = [this.rootKey()]
    for await (const page of this.directory.pages(ALL_ROWS.start, readAccessKeys)) keys.push(...page)
    return accountId === undefined ? keys : keys.filter(key => key.accountId === accountId)
  }

  async keysOf({ accountId, userName }: KeyOwner): Promise<readonly AccessKey[]> {
    if (userName !== undefined) return this.directory.ask(readKeysOfUser(accountId, userName))
    return (await this.listKeys(accountId)).filter(key => key.userName === undefined)
  }

  async removeKey(id: AccessKeyId, owner?: KeyOwner): Promise<void> {
    this.checkNotRoot(id, owner, "the root key cannot be deleted")
    await this.directory.change(dropAccessKey(id, owner))
    this.uses.forget(id)
  }

  async setKeyActive(id: AccessKeyId, isActive: boolean, owner?: KeyOwner): Promise<void> {
    this.checkNotRoot(id, owner, "the root key cannot be disabled")
    await this.directory.change(setKeyActive(id, isActive, owner))
  }

  async changeKey(id: AccessKeyId, { secret, service }: Pick<NewKey, "service"> & { secret?: string | undefined }) {
    this.checkNotRoot(id, undefined, "the root key is in the settings of the store: change it there")
    if (service?.policy !== undefined) checkPolicyText(this.parse, service.policy)
    const sealedSecret = secret === undefined ? undefined : this.sealed(id, secret)
    await this.directory.change(changeAccessKey(id, { service, sealedSecret }))
  }

  async limitAccount(id: AccountId, limits: RateLimits | undefined): Promise<void> {
    await this.directory.change(limitAccount(id, limits))
  }

  async limitKey(id: AccessKeyId, limits: RateLimits | undefined): Promise<void> {
    this.checkNotRoot(id, undefined, "the root key has no limits of its own; its account may have some")
    await this.directory.change(limitAccessKey(id, limits))
  }

  /** Seals the secrets of one page of keys under the current master key. */
  async resealKeys(start: RowKey): Promise<ResealedKeys> {
    const { items, next } = await this.directory.ask(readSealedKeys(start))
    const due = items.filter(({ id, sealed }) => !this.masterKeys.isSealedUnderCurrent(purposeOfKey(id), sealed))
    let unreadable = 0
    for (const { id, sealed } of due) {
      const secret = this.secretIn(id, sealed)
      if (secret === undefined) unreadable += 1
      else await this.directory.change(resealAccessKey(id, sealed, this.sealed(id, secret)))
    }
    return { resealed: due.length - unreadable, unreadable, next }
  }

  private sealed(id: AccessKeyId, secret: string): Uint8Array {
    return this.masterKeys.seal(purposeOfKey(id), secret, this.random)
  }

  private secretIn(id: AccessKeyId, sealed: Uint8Array): string | undefined {
    try {
      return this.masterKeys.open(purposeOfKey(id), sealed)
    } catch (error) {
      if (isFailure(error, "wrongMasterKey")) return undefined
      throw error
    }
  }

  private checkNotRoot(id: AccessKeyId, owner: KeyOwner | undefined, message: string): void {
    if (id !== this.root.accessKeyId) return
    const isOwner = owner === undefined || (owner.accountId === this.root.accountId && owner.userName === undefined)
    throw isOwner ? fail("invalidRequest", { message }) : fail("noSuchAccessKey", { key: id })
  }

  async lastUse(id: AccessKeyId): Promise<KeyUseRecord | undefined> {
    return this.uses.lastUse(id)
  }

  async lastUses(): Promise<ReadonlyMap<string, KeyUseRecord>> {
    return this.uses.all()
  }

  secretOf(id: AccessKeyId, token: string | undefined, nowMs: number): Soon<KnownAccessKey | undefined> {
    return this.known.of(id, token, nowMs)
  }

  knownSecret(id: AccessKeyId, token: string | undefined, nowMs: number): KnownAccessKey | undefined {
    return this.known.now(id, token, nowMs)
  }

  noteUse({ id, session }: KnownAccessKey, usedMs: number, service: string, region: string): void {
    if (session === undefined) this.uses.note(id, usedMs, service, region)
  }

  private rootKey(): AccessKey {
    const { accountId, accessKeyId: id, createdMs } = this.root
    return { id, accountId, createdMs, isActive: true, userName: undefined, service: undefined }
  }
}

/** Unseals the secret in an access key's row. Throws `wrongMasterKey`. */
export const openAccessKeySecret = (masterKeys: MasterKeys, id: AccessKeyId, sealedSecret: Uint8Array): string =>
  masterKeys.open(purposeOfKey(id), sealedSecret)
