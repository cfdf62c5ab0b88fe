/** Accounts and keys: the service that runs their commands. See `contract.ts` for the promises. */
import { fail } from "../base/failures.js"
import { hexOf } from "../base/bytes.js"
import { parseAccessKeyId, parseAccountId, rowKeyOf } from "../base/ids.js"
import type { AccessKeyId, AccountId } from "../base/ids.js"
import { decodeAccessKey, decodeAccount } from "../format/records.js"
import type { Random } from "../seams/random/contract.js"
import type { Tablet } from "../tablet/index.js"
import { addAccessKey, createAccount, dropAccessKey, findAccessKey, findAccount } from "./account-commands-core.js"
import type { AccessKey, Account, Accounts, KnownKey } from "./contract.js"
import { openSecret, sealSecret } from "./seal.js"

/** Unsealed secrets kept for signature checks. */
const SECRETS_CACHED_MAX = 10_000
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

/** The key pair that the operator starts with; it rests in the control record. */
export interface RootKey {
  readonly accountId: AccountId
  readonly accessKeyId: AccessKeyId
  readonly secret: string
  readonly createdMs: number
}

export class AccountService implements Accounts {
  private readonly random: Random
  private readonly known = new Map<AccessKeyId, KnownKey>()

  constructor(
    random: Random,
    private readonly tablet: Tablet,
    private readonly masterKey: Uint8Array,
    private readonly root: RootKey,
  ) {
    this.random = random.fork("accounts")
  }

  /** Makes the root account where it is missing: the first start. */
  async ensureRoot(): Promise<void> {
    const { accountId: id } = this.root
    if (findAccount(this.tablet.committed, id)) return
    await this.tablet.run(createAccount({ id, displayName: "root", email: "" }))
  }

  async createAccount(request: { id?: AccountId; displayName: string; email: string }): Promise<Account> {
    const { displayName, email } = request
    const id = request.id ?? parseAccountId(hexOf(this.random.bytes(32)))
    return this.tablet.run(createAccount({ id, displayName, email }))
  }

  async getAccount(id: AccountId): Promise<Account | undefined> {
    return findAccount(this.tablet.committed, id)
  }

  async listAccounts(): Promise<readonly Account[]> {
    return Array.from(this.tablet.committed.range("accounts", ALL), ([, row]) => decodeAccount(row.value))
  }

  async createKey(accountId: AccountId): Promise<{ key: AccessKey; secret: string }> {
    const id = drawAccessKeyId(this.random)
    const secret = drawSecret(this.random)
    return { key: await this.importKey({ accountId, id, secret }), secret }
  }

  async importKey({
    accountId,
    id,
    secret,
  }: {
    accountId: AccountId
    id: AccessKeyId
    secret: string
  }): Promise<AccessKey> {
    if (id === this.root.accessKeyId) throw fail("accessKeyExists", { key: id })
    const sealed = sealSecret(this.masterKey, purposeOf(id), secret, this.random)
    const { createdMs } = await this.tablet.run(addAccessKey(id, accountId, sealed))
    return { id, accountId, createdMs }
  }

  async listKeys(accountId?: AccountId): Promise<readonly AccessKey[]> {
    const { accountId: rootAccount, accessKeyId, createdMs } = this.root
    const keys: AccessKey[] = [{ id: accessKeyId, accountId: rootAccount, createdMs }]
    for (const [rowKey, row] of this.tablet.committed.range("accessKeys", ALL)) {
      const key = decodeAccessKey(row.value)
      keys.push({ id: parseAccessKeyId(rowKey), accountId: key.accountId, createdMs: key.createdMs })
    }
    return accountId === undefined ? keys : keys.filter(key => key.accountId === accountId)
  }

  async removeKey(id: AccessKeyId): Promise<void> {
    if (id === this.root.accessKeyId) throw fail("invalidRequest", { message: "the root key cannot be deleted" })
    await this.tablet.run(dropAccessKey(id))
    this.known.delete(id)
  }

  async secretOf(id: AccessKeyId): Promise<KnownKey | undefined> {
    const known = this.known.get(id)
    if (known) return known
    const found = this.unseal(id)
    if (found && this.known.size < SECRETS_CACHED_MAX) this.known.set(id, found)
    return found
  }

  knownSecret(id: AccessKeyId): KnownKey | undefined {
    return this.known.get(id)
  }

  private unseal(id: AccessKeyId): KnownKey | undefined {
    const view = this.tablet.committed
    if (id === this.root.accessKeyId) {
      const account = findAccount(view, this.root.accountId)
      return account && { secret: this.root.secret, account }
    }
    const key = findAccessKey(view, id)
    const account = key && findAccount(view, key.accountId)
    return key && account && { secret: openAccessKeySecret(this.masterKey, id, key.sealedSecret), account }
  }
}

const purposeOf = (id: AccessKeyId): string => `access key ${id}`

/** The secret that rests sealed in an access key's row. Throws `wrongMasterKey`. */
export const openAccessKeySecret = (masterKey: Uint8Array, id: AccessKeyId, sealedSecret: Uint8Array): string =>
  openSecret(masterKey, purposeOf(id), sealedSecret)

const KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
const SECRET_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/** Text of letters drawn evenly. */
function drawText(random: Random, letters: string, length: number): string {
  return Array.from({ length }, () => letters[random.below(letters.length)]).join("")
}

export const drawAccessKeyId = (random: Random): AccessKeyId =>
  parseAccessKeyId(`HL${drawText(random, KEY_LETTERS, 18)}`)
export const drawSecret = (random: Random): string => drawText(random, SECRET_LETTERS, 40)
