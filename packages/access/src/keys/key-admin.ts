/**
 * Named keys for operators: those of all accounts, and what each is used for.
 *
 * Failures  As those of `key-service.ts`.
 */
import type { Accounts } from "../index.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { AccountId, KmsKeyId } from "@hayloft/base/ids.js"
import type { KmsKeyRecord, KmsKeyState } from "@hayloft/engine/format/accounts/kms-records.js"
import { nextRotationMs } from "./change-key-core.js"
import { defaultPolicy, type KeyHolder, type NamedKey } from "./key-policies.js"
import type { KeyService } from "./key-service.js"
import { totalOf, type CountUses } from "./key-upkeep.js"
import { NAMED_KEY_LIMITS } from "./limits.js"
import { aliasFault } from "./key-names.js"

interface KeyFacts {
  readonly id: KmsKeyId
  readonly arn: string
  readonly accountId: AccountId
  readonly description: string
  readonly state: KmsKeyState
  readonly createdMs: number
  readonly deletionMs: number | undefined
  readonly nextRotationMs: number | undefined
  readonly versions: number
  readonly aliases: readonly string[]
  /** It is undefined if the key is built in. */
  readonly external: { readonly kind: "vault" | "aws"; readonly name: string } | undefined
}

interface BucketUses {
  readonly bucket: string
  /** Versions and unfinished uploads. */
  readonly count: number
}

export interface NamedKeys {
  list(): Promise<readonly KeyFacts[]>
  /** An external key is tried first. Throws `noSuchAccount`, `invalidArgument`, `entityExists`,
   * `limitExceeded`. */
  create(request: {
    readonly accountId: AccountId
    readonly description: string
    readonly alias: string | undefined
    readonly external: KeyFacts["external"]
  }): Promise<KeyFacts>
  /**
   * Takes back a key that has materials and no row, by its id; it is disabled, and has the policy of a new key. Throws
   * `noSuchKmsKey` if there is none whose materials are an hour old, `noSuchAccount`, `keysUnavailable`.
   */
  adopt(id: string, accountId: AccountId): Promise<KeyFacts>
  /** `name`: an id, or an alias or ARN of the root account. */
  rotate(name: string): Promise<KeyFacts>
  setEnabled(name: string, isEnabled: boolean): Promise<KeyFacts>
  scheduleDeletion(name: string, days: number | undefined): Promise<KeyFacts>
  cancelDeletion(name: string): Promise<KeyFacts>
  /**
   * Deletes a key whose time has come although versions use it: `unreadable` is their number. Likewise the material of a
   * key without a row, by the key's id, if it is an hour old. Throws `kmsKeyState` if the time has not come,
   * `preconditionFailed` if there are more or fewer.
   */
  delete(name: string, unreadable: number): Promise<void>
  uses(name: string): Promise<readonly BucketUses[]>
}

/** Tries a key of a key service. */
type TryExternal = (external: NonNullable<KeyFacts["external"]>, id: KmsKeyId) => Promise<void>

export class KeyAdmin implements NamedKeys {
  constructor(
    private readonly keys: KeyService,
    private readonly accounts: Pick<Accounts, "getAccount">,
    private readonly rootAccount: AccountId,
    private readonly countUses: CountUses,
    private readonly tryExternal: TryExternal,
    private readonly orphans: () => Promise<readonly KmsKeyId[]>,
  ) {}

  async list(): Promise<readonly KeyFacts[]> {
    const found: KeyFacts[] = []
    for await (const record of this.keys.keys()) {
      found.push(await this.factsOf(record, await this.holderOf(record.accountId)))
    }
    return found
  }

  async create(request: Parameters<NamedKeys["create"]>[0]): Promise<KeyFacts> {
    const { accountId, description, alias, external } = request
    const fault = alias === undefined ? undefined : aliasFault(alias)
    if (fault !== undefined) throw invalid(fault.message)
    if (description.length > NAMED_KEY_LIMITS.descriptionCharactersMax) throw invalid("the description is too long")
    const holder = await this.holderOf(accountId)
    if (external !== undefined) await this.tryExternal(external, this.keys.future(holder, "").record.id)
    const policy = defaultPolicy(holder.accountNumber)
    const firstAlias = alias === undefined ? undefined : { name: alias, isNew: true }
    const { record } = await this.keys.create({ holder, description, policy, tags: [], external }, firstAlias)
    return this.factsOf(record, holder)
  }

  async adopt(id: string, accountId: AccountId): Promise<KeyFacts> {
    const orphan = await this.orphan(id)
    if (orphan === undefined) {
      throw fail("noSuchKmsKey", {
        message: `there are no materials of a key ${id} that has no row, or they are less than an hour old`,
      })
    }
    const holder = await this.holderOf(accountId)
    const { record } = await this.keys.adopt(orphan, holder, defaultPolicy(holder.accountNumber))
    return this.factsOf(record, holder)
  }

  async rotate(name: string): Promise<KeyFacts> {
    const { record, holder } = await this.find(name)
    return this.factsOf(await this.keys.rotate(record, true), holder)
  }

  setEnabled(name: string, isEnabled: boolean): Promise<KeyFacts> {
    return this.change(name, { kind: isEnabled ? "enable" : "disable" })
  }

  scheduleDeletion(name: string, days: number = NAMED_KEY_LIMITS.deletionDays.usual): Promise<KeyFacts> {
    const { least, most } = NAMED_KEY_LIMITS.deletionDays
    if (days < least || days > most) throw invalid(`a key is deleted after ${least} to ${most} days`)
    return this.change(name, { kind: "scheduleDeletion", days })
  }

  cancelDeletion(name: string): Promise<KeyFacts> {
    return this.change(name, { kind: "cancelDeletion" })
  }

  async delete(name: string, unreadable: number): Promise<void> {
    const orphan = await this.orphan(name)
    const countedIn = this.keys.reconciliations
    const record = orphan === undefined ? (await this.find(name)).record : undefined
    if (record !== undefined && record.deletionMs === undefined) {
      throw fail("kmsKeyState", { message: `${record.id} is not pending deletion: schedule it first` })
    }
    const id = record?.id ?? orphan
    const total = totalOf((id && (await this.countUses()).get(id)) ?? new Map<string, number>())
    if (total !== unreadable) {
      const message = `${total} versions become unreadable with the key ${id}: confirm this number, not ${unreadable}`
      throw fail("preconditionFailed", { message })
    }
    if (record === undefined) return this.deleteOrphan(name, countedIn)
    if (await this.keys.delete(record, countedIn)) return
    const due = new Date(record.deletionMs ?? 0).toISOString()
    throw fail("kmsKeyState", { message: `${record.id} is not deleted before ${due}; if that is over, try again` })
  }

  /** Throws `conflict` if what was counted may have changed: a reconciliation or a rescue may have put the key back. */
  private async deleteOrphan(name: string, countedIn: number): Promise<void> {
    const orphan = await this.orphan(name)
    if (orphan === undefined || this.keys.reconciliations !== countedIn) {
      throw fail("conflict", {
        message: `the key ${name} has a row by now, or the metadata was reconciled: look again`,
      })
    }
    await this.keys.removeMaterials(orphan)
  }

  async uses(name: string): Promise<readonly BucketUses[]> {
    const id = (await this.orphan(name)) ?? (await this.find(name)).record.id
    const uses = (await this.countUses()).get(id) ?? new Map<string, number>()
    return [...uses].map(([bucket, count]) => ({ bucket, count })).sort((a, b) => (a.bucket < b.bucket ? -1 : 1))
  }

  private async change(name: string, change: Parameters<KeyService["change"]>[1]): Promise<KeyFacts> {
    const { record, holder } = await this.find(name)
    return this.factsOf(await this.keys.change(record.id, change), holder)
  }

  private async orphan(name: string): Promise<KmsKeyId | undefined> {
    return (await this.orphans()).find(id => id === name)
  }

  private async find(name: string): Promise<NamedKey> {
    await this.keys.confirm()
    return (await this.keys.byId(name)) ?? this.keys.find(name, await this.holderOf(this.rootAccount))
  }

  private async holderOf(accountId: AccountId): Promise<KeyHolder> {
    const account = await this.accounts.getAccount(accountId)
    if (account === undefined) throw fail("noSuchAccount", { account: accountId })
    return { accountId, accountNumber: account.number }
  }

  private async factsOf(record: KmsKeyRecord, holder: KeyHolder): Promise<KeyFacts> {
    const { id, accountId, description, state, deletionMs, versions, external } = record
    const aliases: string[] = []
    for await (const { name, keyId } of this.keys.aliases(accountId)) if (keyId === id) aliases.push(name)
    const { arn } = this.keys.keyOf(record, holder)
    return {
      id,
      arn,
      accountId,
      description,
      state,
      deletionMs,
      external,
      aliases,
      versions: versions.length,
      createdMs: versions[0]?.createdMs ?? 0,
      nextRotationMs: nextRotationMs(record),
    }
  }
}

const invalid = (message: string): Failure => fail("invalidArgument", { message })
