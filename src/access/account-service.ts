/** Accounts and keys: the service that runs their commands. See `contract.ts` for the promises. */
import { fail } from "../base/failures.js"
import { hexOf } from "../base/bytes.js"
import { parseAccessKeyId, parseAccountId, rowKeyOf } from "../base/ids.js"
import type { AccessKeyId, AccountId, AccountNumber, RowKey } from "../base/ids.js"
import { decodeAccessKey, type AccessKeyRecord, type KeyUseRecord } from "../format/identity-records.js"
import { decodeAccount } from "../format/records.js"
import type { Random } from "../seams/random/contract.js"
import {
  addAccessKey,
  createAccount,
  dropAccessKey,
  findAccessKey,
  isOwnedBy,
  numberAccount,
  setKeyActive,
} from "./account-commands-core.js"
import type { AccessKey, Account, Accounts, KeyOwner, Keyring, KnownKey, NewKey } from "./contract.js"
import type { Directory } from "./directory.js"
import { drawAccessKeyId, drawSecret } from "./draw.js"
import { findAccount, findAccountId } from "./find-account-core.js"
import type { ParsePolicy } from "./identities/attached-policies.js"
import { findIdentity } from "./identities/identity-commands-core.js"
import { isPrincipalThere } from "./identities/named-principals-core.js"
import type { PolicyPrincipals } from "./identities/policy-principals.js"
import { checkPolicyText } from "./identities/policy-texts.js"
import { KeyUses } from "./key-uses.js"
import { KnownKeys, purposeOfKey, type RootKey } from "./known-keys.js"
import type { PrincipalName } from "./policy/contract.js"
import { openSecret, sealSecret } from "./seal.js"
import type { SessionTokens } from "./session-tokens.js"

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

export class AccountService implements Accounts, Keyring {
  private readonly random: Random
  private readonly known: KnownKeys
  private readonly uses: KeyUses

  constructor(
    random: Random,
    private readonly directory: Directory,
    private readonly masterKey: Uint8Array,
    private readonly root: RootKey,
    tokens: SessionTokens,
    private readonly parse: ParsePolicy,
    private readonly principals: PolicyPrincipals,
  ) {
    this.random = random.fork("accounts")
    this.known = new KnownKeys(directory, masterKey, root, tokens, parse)
    this.uses = new KeyUses(directory, root.accessKeyId)
  }

  /** Makes the root account where it is missing (the first start), and numbers accounts that have no number yet. */
  async ensureRoot(): Promise<void> {
    const { accountId: id } = this.root
    const { directory } = this
    if (!findAccount(directory.rows, id)) await directory.change(createAccount({ id, displayName: "root", email: "" }))
    const accounts = await this.listAccounts()
    const unnumbered = accounts.filter(account => findAccountId(directory.rows, account.number) !== account.id)
    for (const account of unnumbered) await directory.change(numberAccount(account.id))
  }

  async createAccount(request: { id?: AccountId; displayName: string; email: string }): Promise<Account> {
    const { displayName, email } = request
    const id = request.id ?? parseAccountId(hexOf(this.random.bytes(32)))
    return this.directory.change(createAccount({ id, displayName, email }))
  }

  async getAccount(id: AccountId): Promise<Account | undefined> {
    return this.accountNow(id)
  }

  accountNow(id: AccountId): Account | undefined {
    return findAccount(this.directory.rows, id)
  }

  principalExists(named: PrincipalName): boolean {
    return isPrincipalThere(this.directory.rows, named)
  }

  pinPrincipals(policyText: string): string {
    return this.principals.pinned(policyText)
  }

  showPrincipals(policyText: string): string {
    return this.principals.shown(policyText)
  }

  async accountOfNumber(number: AccountNumber): Promise<Account | undefined> {
    const id = findAccountId(this.directory.rows, number)
    return id && findAccount(this.directory.rows, id)
  }

  async listAccounts(): Promise<readonly Account[]> {
    return Array.from(this.directory.rows.range("accounts", ALL), ([, row]) => decodeAccount(row.value))
  }

  async createKey(key: NewKey): Promise<{ key: AccessKey; secret: string }> {
    const id = drawAccessKeyId(this.random)
    const secret = drawSecret(this.random)
    return { key: await this.importKey({ ...key, id, secret }), secret }
  }

  async importKey({ id, secret, accountId, userName, service }: NewKey & { id: AccessKeyId; secret: string }) {
    if (id === this.root.accessKeyId) throw fail("accessKeyExists", { key: id })
    if (service?.policy !== undefined) checkPolicyText(this.parse, service.policy)
    const sealedSecret = sealSecret(this.masterKey, purposeOfKey(id), secret, this.random)
    return keyOf(id, await this.directory.change(addAccessKey(id, { accountId, userName, service, sealedSecret })))
  }

  async getKey(id: AccessKeyId): Promise<AccessKey | undefined> {
    if (id === this.root.accessKeyId) return this.rootKey()
    const record = findAccessKey(this.directory.rows, id)
    return record && keyOf(id, record)
  }

  async listKeys(accountId?: AccountId): Promise<readonly AccessKey[]> {
    const keys = [this.rootKey()]
    for (const [rowKey, row] of this.directory.rows.range("accessKeys", ALL)) keys.push(keyOfRow(rowKey, row.value))
    return accountId === undefined ? keys : keys.filter(key => key.accountId === accountId)
  }

  async keysOf(owner: KeyOwner): Promise<readonly AccessKey[]> {
    const { accountId, userName } = owner
    if (userName === undefined) return (await this.listKeys(accountId)).filter(key => key.userName === undefined)
    const user = findIdentity(this.directory.rows, { accountId, kind: "user", name: userName })
    return (user?.keys ?? []).flatMap(id => {
      const record = findAccessKey(this.directory.rows, id)
      return record && isOwnedBy(record, owner) ? [keyOf(id, record)] : []
    })
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

  private checkNotRoot(id: AccessKeyId, owner: KeyOwner | undefined, message: string): void {
    if (id !== this.root.accessKeyId) return
    const isTheirs = owner === undefined || (owner.accountId === this.root.accountId && owner.userName === undefined)
    throw isTheirs ? fail("invalidRequest", { message }) : fail("noSuchAccessKey", { key: id })
  }

  async lastUse(id: AccessKeyId): Promise<KeyUseRecord | undefined> {
    return this.uses.lastUse(id)
  }

  secretOf(id: AccessKeyId, token: string | undefined, nowMs: number): KnownKey | undefined {
    return this.known.of(id, token, nowMs)
  }

  knownSecret(id: AccessKeyId, token: string | undefined, nowMs: number): KnownKey | undefined {
    return this.known.now(id, token, nowMs)
  }

  noteUse({ id, session }: KnownKey, usedMs: number, service: string, region: string): void {
    if (session === undefined) this.uses.note(id, usedMs, service, region)
  }

  private rootKey(): AccessKey {
    const { accountId, accessKeyId: id, createdMs } = this.root
    return { id, accountId, createdMs, isActive: true, userName: undefined, service: undefined }
  }
}

const keyOf = (id: AccessKeyId, record: AccessKeyRecord): AccessKey => {
  const { accountId, createdMs, isActive, userName, service } = record
  return { id, accountId, createdMs, isActive, userName, service }
}
const keyOfRow = (rowKey: RowKey, value: Uint8Array): AccessKey =>
  keyOf(parseAccessKeyId(rowKey), decodeAccessKey(value))

/** The secret that rests sealed in an access key's row. Throws `wrongMasterKey`. */
export const openAccessKeySecret = (masterKey: Uint8Array, id: AccessKeyId, sealedSecret: Uint8Array): string =>
  openSecret(masterKey, purposeOfKey(id), sealedSecret)
