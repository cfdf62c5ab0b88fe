/**
 * Accounts and keys: who owns buckets, and which key pairs act for whom.
 *
 * Secrets rest sealed under the store's master key; `secretOf` unseals for signature checks and
 * nowhere else. Lists never show a secret.
 */
import type { AccessKeyId, AccountId } from "../base/ids.js"

export interface Account {
  readonly id: AccountId
  readonly displayName: string
  readonly email: string
  readonly createdMs: number
}

export interface AccessKey {
  readonly id: AccessKeyId
  readonly accountId: AccountId
  readonly createdMs: number
}

/** A key that exists, and whose it is. */
export interface KnownKey {
  readonly secret: string
  readonly account: Account
}

export interface Accounts {
  /** Throws `accountExists`. Without an id, 64 hex digits are drawn. */
  createAccount(request: { id?: AccountId; displayName: string; email: string }): Promise<Account>
  getAccount(id: AccountId): Promise<Account | undefined>
  listAccounts(): Promise<readonly Account[]>
  /** The secret is returned here and never again. Throws `noSuchAccount`. */
  createKey(accountId: AccountId): Promise<{ key: AccessKey; secret: string }>
  /** Throws `noSuchAccount`, `accessKeyExists`. */
  importKey(request: { accountId: AccountId; id: AccessKeyId; secret: string }): Promise<AccessKey>
  listKeys(accountId?: AccountId): Promise<readonly AccessKey[]>
  /** Throws `noSuchAccessKey`, or `invalidRequest` for the root key. */
  removeKey(id: AccessKeyId): Promise<void>
  /** For signature checks: undefined where the key does not exist. Cached; a removal takes effect at once. */
  secretOf(id: AccessKeyId): Promise<KnownKey | undefined>
  /** The same without waiting; undefined where it is not in memory, too. */
  knownSecret(id: AccessKeyId): KnownKey | undefined
}
