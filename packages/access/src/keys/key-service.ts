/**
 * Named keys: their life, and the data keys and messages that they seal. See decision 57.
 *
 * Promises  A disabled key, and one that is pending deletion, seals and opens nothing from the moment when the change is
 *           acknowledged, on every node: each use reads the key's row. The material of a built-in key exists before its
 *           row. It is removed only if a row says that the key was deleted, or if the row was certainly not made: a
 *           row that is absent may be one that the database has lost.
 * Failures  `noSuchKmsKey`, `kmsKeyDisabled`, `kmsKeyState`, `invalidCiphertext`, `keyServiceUnavailable`,
 *           `keysUnavailable`.
 */
import type { Accounts } from "../index.js"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure, unlessRefused, type FailureKind } from "@hayloft/base/failures.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { parseKmsKeyId, rowKeyOf, type AccountId, type KmsKeyId, type RowKey } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { BuiltInProvider, type KeyMaterials } from "./built-in.js"
import { EXTERNAL_HEADER_BYTES, keyIdOfCiphertext, keyIdText, wrapExternal } from "./ciphertext.js"
import { checkRotation, checkUsable, currentVersionOf, type KeyChange } from "./change-key-core.js"
import type { DataKeys } from "./contract.js"
import { contextOfText, type EncryptionContext } from "./encryption-context.js"
import { keyArnOf, noSuchKey, parseKeyReference, S3_ALIAS, type KeyReference } from "./key-names.js"
import { s3KeyPolicy, type KeyHolder, type NamedKey } from "./key-policies.js"
import {
  changeKmsKey,
  checkNewMaterial,
  createKmsKey,
  deleteKmsAlias,
  deleteKmsKey,
  forgetDeletedKmsKey,
  putKmsAlias,
  restoreKmsKey,
} from "./kms-commands-core.js"
import {
  readDeletedKmsKeys,
  readKmsAliases,
  readKmsKey,
  readKmsKeys,
  type KeyName,
  type KmsPage,
  type NamedAlias,
} from "./kms-queries-core.js"
import type { DataKey, KeyProvider, ProviderKey } from "./provider.js"

type ExternalKind = NonNullable<KmsKeyRecord["external"]>["kind"]

interface KeyServiceSettings {
  readonly metadata: Metadata
  readonly random: Random
  readonly materials: KeyMaterials
  readonly accounts: Pick<Accounts, "accountOfNumber" | "getAccount">
  readonly region: string
  /** Throws `keyServiceUnavailable` if this node has no settings for that key service. */
  readonly external: (kind: ExternalKind) => KeyProvider
}

interface NewKey {
  readonly holder: KeyHolder
  readonly description: string
  readonly policy: string
  readonly tags: KmsKeyRecord["tags"]
  readonly external?: KmsKeyRecord["external"]
}

const FIRST_ROW = rowKeyOf("")
/** After these failures the row of a new key was certainly not made: see `Metadata.run`. */
const NOT_MADE: FailureKind[] = ["limitExceeded", "noSuchKmsKey", "tooManyInFlight", "deviceFull", "deviceFailed"]

export class KeyService implements DataKeys {
  readonly region: string
  private readonly builtIn: BuiltInProvider
  private readonly random: Random
  /** By account: the requests that wait for its first use share it. */
  private readonly s3KeysInTheMaking = new Map<AccountId, Promise<NamedKey>>()

  constructor(private readonly settings: KeyServiceSettings) {
    this.region = settings.region
    this.random = settings.random.fork("kms")
    this.builtIn = new BuiltInProvider(settings.materials, this.random)
  }

  /** Resolves once what follows is as new as this call; undefined: it is. */
  confirm(): Promise<void> | undefined {
    return this.settings.metadata.confirm()
  }

  /** A key by what a request of this account calls it. Throws `noSuchKmsKey`. */
  find(text: string, caller: KeyHolder): Soon<NamedKey> {
    const { reference, within } = parseKeyReference(text)
    if (within === undefined || within.account === caller.accountNumber)
      return this.named(reference, caller, text, within?.region)
    return after(this.settings.accounts.accountOfNumber(within.account), account => {
      if (account === undefined) return this.ofFormerAccount(reference, text)
      return this.named(reference, { accountId: account.id, accountNumber: account.number }, text, within.region)
    })
  }

  /** The records of rescued objects have the number of an account of the former store; ids of keys are unique. */
  private async ofFormerAccount(reference: KeyReference, text: string): Promise<NamedKey> {
    const found = reference.kind === "id" ? await this.ofAnyAccount(reference.id) : undefined
    if (found === undefined) throw noSuchKey(text)
    return found
  }

  private named(reference: KeyReference, holder: KeyHolder, text: string, region = this.region): Soon<NamedKey> {
    // Ids are unique: an ARN of before a change of the store's region still names its key.
    if (reference.kind === "alias" && region !== this.region) throw noSuchKey(text)
    const name: KeyName = reference.kind === "id" ? reference : { ...reference, accountId: holder.accountId }
    return after(this.settings.metadata.known(readKmsKey(name)), record => {
      if (record?.accountId !== holder.accountId) throw noSuchKey(text)
      return this.keyOf(record, holder)
    })
  }

  keyOf(record: KmsKeyRecord, holder: KeyHolder): NamedKey {
    return { arn: keyArnOf(this.region, holder.accountNumber, record.id), record, holder }
  }

  /** A key that does not exist yet, for decisions about its policy. */
  future({ accountId, accountNumber }: KeyHolder, policy: string): NamedKey {
    const record: KmsKeyRecord = {
      id: this.randomId(),
      accountId,
      policy,
      description: "",
      state: "enabled",
      tags: [],
      versions: [],
      deletionMs: undefined,
      rotation: undefined,
      external: undefined,
    }
    return this.keyOf(record, { accountId, accountNumber })
  }

  /** Throws `limitExceeded`, `entityExists`, and the failures of the control record. */
  async create({ holder, external, ...key }: NewKey, alias?: Parameters<typeof createKmsKey>[1]): Promise<NamedKey> {
    const { materials, metadata } = this.settings
    const id = this.randomId()
    const { accountId } = holder
    const made = createKmsKey({ ...key, id, accountId, external }, alias)
    if (external !== undefined) return this.keyOf(await metadata.run(made), holder)
    // Calls that are refused must not fill the key ring.
    await metadata.ask(checkNewMaterial({ accountId, external }, alias))
    await materials.add(id, 1)
    let isUnused = false
    try {
      const record = await metadata.run(made)
      isUnused = record.id !== id
      return this.keyOf(record, holder)
    } catch (error) {
      isUnused = isFailure(error, ...NOT_MADE)
      throw error
    } finally {
      if (isUnused) await this.dropUnused(id)
    }
  }

  /** The upkeep of keys shows what stays if the control record cannot be changed now. */
  private async dropUnused(id: KmsKeyId): Promise<void> {
    try {
      await this.settings.materials.remove(id)
    } catch (error) {
      if (!isFailure(error)) throw error
    }
  }

  /** Takes over a key of another store, with its materials in the order of their versions. Throws `limitExceeded`. */
  async restore(key: KmsKeyRecord, materials: readonly Uint8Array[]): Promise<void> {
    // Its own deletion, if one has begun, must not take the materials that are added.
    await this.endDeletions()
    for (const [i, material] of materials.entries()) await this.settings.materials.add(key.id, i + 1, material)
    await this.settings.metadata.run(restoreKmsKey(key))
  }

  /** The key of an account for objects without a key of their own; its first use makes it. */
  s3Key(holder: KeyHolder): Soon<NamedKey> {
    const name: KeyName = { kind: "alias", accountId: holder.accountId, name: S3_ALIAS }
    return after(this.settings.metadata.known(readKmsKey(name)), record => {
      if (record !== undefined) return this.keyOf(record, holder)
      const { accountId } = holder
      const making = this.s3KeysInTheMaking.get(accountId) ?? this.makeS3Key(holder)
      this.s3KeysInTheMaking.set(accountId, making)
      return making
    })
  }

  private async makeS3Key(holder: KeyHolder): Promise<NamedKey> {
    const policy = s3KeyPolicy(holder.accountNumber, this.region)
    const description = "Default key that protects my S3 objects when no other key is defined"
    try {
      return await this.create({ holder, description, policy, tags: [] }, { name: S3_ALIAS, isNew: false })
    } finally {
      this.s3KeysInTheMaking.delete(holder.accountId)
    }
  }

  /** Throws `noSuchKmsKey` and what `changeKey` throws. */
  change(id: KmsKeyId, change: KeyChange): Promise<KmsKeyRecord> {
    return this.settings.metadata.run(changeKmsKey(id, change))
  }

  /** A new material, by which the key seals from now on. Throws what `changeKey` throws. */
  async rotate(key: KmsKeyRecord, isOnDemand: boolean): Promise<KmsKeyRecord> {
    const rotation = { version: currentVersionOf(key) + 1, isOnDemand }
    checkRotation(key, rotation)
    await this.settings.metadata.ask(checkNewMaterial(key, undefined))
    await this.settings.materials.add(key.id, rotation.version)
    return this.change(key.id, { kind: "rotate", ...rotation })
  }

  /** How often the metadata was reconciled: uses of keys that were counted before do not hold any more. */
  get reconciliations(): number {
    return this.settings.metadata.incarnations.reconciliations ?? 0
  }

  /**
   * Deletes a key whose time has come. Returns whether it did. `countedIn`: the `reconciliations` before its uses were
   * counted.
   */
  async delete({ id, external }: KmsKeyRecord, countedIn: number): Promise<boolean> {
    const isDeleted = await this.settings.metadata.run(deleteKmsKey(id, countedIn))
    if (isDeleted && external === undefined) await this.endDeletion(id)
    return isDeleted
  }

  /** Ends the deletions that a crash or a failure of devices has interrupted. */
  async endDeletions(): Promise<void> {
    for (const id of await this.settings.metadata.ask(readDeletedKmsKeys())) await this.endDeletion(id)
  }

  private async endDeletion(id: KmsKeyId): Promise<void> {
    await this.settings.materials.remove(id)
    await this.settings.metadata.run(forgetDeletedKmsKey(id))
  }

  /** The keys of all accounts, in the order of their ids. */
  keys(): AsyncGenerator<KmsKeyRecord> {
    return this.pages(start => this.settings.metadata.ask(readKmsKeys(start)))
  }

  /** In the order of their names. */
  aliases(accountId: AccountId): AsyncGenerator<NamedAlias> {
    return this.pages(start => this.settings.metadata.ask(readKmsAliases(accountId, start)))
  }

  private async *pages<Item>(read: (start: RowKey) => Soon<KmsPage<Item>>): AsyncGenerator<Item> {
    for await (const page of walkPages(FIRST_ROW, read)) {
      yield* page.items
    }
  }

  putAlias(accountId: AccountId, name: string, keyId: KmsKeyId, isNew: boolean): Promise<void> {
    return this.settings.metadata.run(putKmsAlias(accountId, name, keyId, isNew))
  }

  deleteAlias(accountId: AccountId, name: string): Promise<void> {
    return this.settings.metadata.run(deleteKmsAlias(accountId, name))
  }

  newDataKey(keyArn: string, context: string): Soon<DataKey> {
    return after(this.recordOf(keyArn), key => this.dataKey(key, contextOfText(context)))
  }

  openDataKey(keyArn: string, ciphertext: Uint8Array, context: string): Soon<Uint8Array> {
    return after(this.recordOf(keyArn), key => this.open(key, ciphertext, contextOfText(context)))
  }

  /** 32 bytes, and their ciphertext. */
  dataKey(key: KmsKeyRecord, context: EncryptionContext): Soon<DataKey> {
    checkUsable(key)
    if (key.external === undefined) return this.builtIn.newDataKey(providerKey(key), context)
    const made = this.settings.external(key.external.kind).newDataKey(providerKey(key), context)
    return after(made, ({ plain, ciphertext }) => ({ plain, ciphertext: wrapExternal(key.id, ciphertext) }))
  }

  /** A message under a built-in key. Throws `notImplemented` for other keys. */
  seal(key: KmsKeyRecord, plain: Uint8Array, context: EncryptionContext): Soon<Uint8Array> {
    checkUsable(key)
    if (key.external === undefined) return this.builtIn.seal(providerKey(key), plain, context)
    throw fail("notImplemented", { message: "A key of a key service seals data keys only." })
  }

  /** Throws `invalidCiphertext` if the ciphertext was not made with this key and context. */
  open(key: KmsKeyRecord, ciphertext: Uint8Array, context: EncryptionContext): Soon<Uint8Array> {
    checkUsable(key)
    if (key.external === undefined) return this.builtIn.open(providerKey(key), ciphertext, context)
    if (keyIdOfCiphertext(ciphertext) !== key.id) throw fail("invalidCiphertext")
    const own = ciphertext.subarray(EXTERNAL_HEADER_BYTES)
    return this.settings.external(key.external.kind).open(providerKey(key), own, context)
  }

  /** The key that a ciphertext names; undefined if there is none any more. Throws `invalidCiphertext`. */
  async keyOfCiphertext(ciphertext: Uint8Array): Promise<NamedKey | undefined> {
    return this.ofAnyAccount(keyIdOfCiphertext(ciphertext))
  }

  /** The key of any account with this id; undefined if there is none. */
  async byId(text: string): Promise<NamedKey | undefined> {
    const id = unlessRefused(() => parseKmsKeyId(text))
    return id && this.ofAnyAccount(id)
  }

  private async ofAnyAccount(id: KmsKeyId): Promise<NamedKey | undefined> {
    const { metadata, accounts } = this.settings
    const record = await metadata.known(readKmsKey({ kind: "id", id }))
    const account = record && (await accounts.getAccount(record.accountId))
    return record && account && this.keyOf(record, { accountId: account.id, accountNumber: account.number })
  }

  /** Keys that have materials from before that time, and no row, not even that of a deletion. */
  async orphans(beforeMs: number): Promise<readonly KmsKeyId[]> {
    const { metadata, materials } = this.settings
    const found: KmsKeyId[] = []
    for (const { keyId, versions } of materials.all()) {
      if (versions.every(({ createdMs }) => createdMs >= beforeMs)) continue
      if ((await metadata.ask(readKmsKey({ kind: "id", id: keyId }))) === undefined) found.push(keyId)
    }
    return found
  }

  /**
   * Gives a key without a row one again: the row was lost with the changes of a database that was restored. The key is
   * disabled, because what its policy said is lost as well. Throws `keysUnavailable` unless all its materials open.
   */
  async adopt(id: KmsKeyId, { accountId }: KeyHolder, policy: string): Promise<NamedKey> {
    const { materials, metadata } = this.settings
    const versions = materials.all().find(({ keyId }) => keyId === id)?.versions ?? []
    if (versions.length === 0 || versions.some(({ version }, i) => version !== i + 1)) {
      throw fail("keysUnavailable", { message: `the control record does not have all materials of the key ${id}` })
    }
    for (const { version } of versions) await materials.get(id, version)
    const record: KmsKeyRecord = {
      id,
      accountId,
      policy,
      description: "",
      state: "disabled",
      tags: [],
      deletionMs: undefined,
      rotation: undefined,
      external: undefined,
      versions: versions.map(({ createdMs }) => ({ createdMs, isOnDemand: false })),
    }
    await metadata.run(restoreKmsKey(record))
    return must(await this.byId(id), "it has a row")
  }

  /** Removes the materials of a key without a row, because an operator says so. */
  removeMaterials(id: KmsKeyId): Promise<void> {
    return this.settings.materials.remove(id)
  }

  /** By the id in an ARN: rows outlive a change of the store's region. */
  private recordOf(keyArn: string): Soon<KmsKeyRecord> {
    const { reference } = parseKeyReference(keyArn)
    if (reference.kind !== "id") throw noSuchKey(keyArn)
    return after(this.settings.metadata.known(readKmsKey(reference)), record => {
      if (record === undefined) throw noSuchKey(keyArn)
      return record
    })
  }

  /** A random UUID, version 4. */
  private randomId(): KmsKeyId {
    const bytes = this.random.bytes(16)
    const hex = hexOf(bytes)
    const variant = "89ab"[(bytes[8] ?? 0) & 3] ?? "8"
    return parseKmsKeyId(keyIdText(`${hex.slice(0, 12)}4${hex.slice(13, 16)}${variant}${hex.slice(17)}`))
  }
}

const providerKey = (key: KmsKeyRecord): ProviderKey => ({
  id: key.id,
  name: key.external?.name ?? key.id,
  version: key.external === undefined ? currentVersionOf(key) : 1,
})
