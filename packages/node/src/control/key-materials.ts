/**
 * Materials of named keys: in the key ring of the control record, each sealed under an epoch key. See decision 57.
 *
 * Promises  A material is in the record on every open voting device before it is used: it is lost only with all of them. One that another
 *           node has just made is found: the record is read again before one is called missing.
 * Refuses   Materials that the ring lacks, or that their epoch key does not open, with `keysUnavailable`; more than
 *           `KEY_MATERIALS_MAX` with `limitExceeded`.
 */
import { bytesOfHex, equalBytes, hexOf } from "@hayloft/base/bytes.js"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseKmsKeyId, type KmsKeyId } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { KEY_MATERIALS_MAX, type KeyringRecord } from "@hayloft/engine/format/device/keyring.js"
import { openBytes, sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import type { EpochKey, EpochKeys } from "@hayloft/access/keys/contract.js"
import { keyIdText, type KeyMaterials, type KeyWithMaterials } from "@hayloft/access/keys/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { RecordManager } from "./record-manager.js"

const MATERIAL_BYTES = 32

type SealedMaterial = KeyringRecord["materials"][number]

interface Store {
  readonly records: Pick<RecordManager, "record" | "change" | "onChange" | "spread">
  /** Reads the record now; undefined: only this process changes it. */
  readonly refresh: (() => Promise<void>) | undefined
  readonly epochs: EpochKeys
  readonly clock: Pick<Clock, "wallMs">
  readonly random: Random
}

const bytesOf = (keyId: KmsKeyId): Uint8Array => must(bytesOfHex(keyId.replaceAll("-", "")), "key ids are hex")
const keyIdOf = (bytes: Uint8Array): KmsKeyId => parseKmsKeyId(keyIdText(hexOf(bytes)))
const nameOf = (keyId: KmsKeyId, version: number): string => `${keyId} ${version}`
export const purposeOfMaterial = (keyId: KmsKeyId, version: number): string => `kms ${nameOf(keyId, version)}`

export class RecordKeyMaterials implements KeyMaterials {
  /** By name, with the bytes that they were opened from. At most one for each material of the ring. */
  private readonly opened = new Map<string, { readonly sealed: Uint8Array; readonly material: Uint8Array }>()

  constructor(private readonly store: Store) {
    store.records.onChange(record => this.forgetOthers(record))
  }

  get(keyId: KmsKeyId, version: number): Soon<Uint8Array> {
    const found = this.find(keyId, version)
    if (found !== undefined) return this.open(found)
    const { refresh } = this.store
    if (refresh === undefined) throw unavailable(keyId, version)
    return refresh().then(() => {
      const late = this.find(keyId, version)
      if (late === undefined) throw unavailable(keyId, version)
      return this.open(late)
    })
  }

  async add(
    keyId: KmsKeyId,
    version: number,
    material: Uint8Array = this.store.random.bytes(MATERIAL_BYTES),
  ): Promise<void> {
    const { epochs } = this.store
    const current = await epochs.current()
    try {
      await this.addUnder(current, keyId, version, material)
    } catch (error) {
      if (!isFailure(error, "conflict")) throw error
      // An erasure has removed this key meanwhile.
      await this.addUnder(await epochs.current(current.number), keyId, version, material)
    }
  }

  /** Throws `conflict` if the record lacks the epoch key. */
  private async addUnder(
    { number: epoch, key }: EpochKey,
    keyId: KmsKeyId,
    version: number,
    material: Uint8Array,
  ): Promise<void> {
    const { records, clock, random } = this.store
    const sealed = sealBytes(key, purposeOfMaterial(keyId, version), material, random)
    const added: SealedMaterial = { keyId: bytesOf(keyId), version, createdMs: clock.wallMs(), epoch, sealed }
    await records.change("new key", record => {
      const { keyring } = record
      if (keyring === undefined || findIn(record, keyId, version) !== undefined) return undefined
      if (!keyring.epochs.some(({ number }) => number === epoch)) throw fail("conflict", { epoch })
      const { materials } = keyring
      if (materials.length >= KEY_MATERIALS_MAX) {
        throw fail("limitExceeded", {
          message: `The store has ${KEY_MATERIALS_MAX} versions of keys, the most it can.`,
        })
      }
      return { ...record, keyring: { ...keyring, materials: [...materials, added] } }
    })
    await records.spread()
  }

  async remove(keyId: KmsKeyId): Promise<void> {
    const bytes = bytesOf(keyId)
    await this.store.records.change("key deleted", record => {
      const { keyring } = record
      const materials = keyring?.materials.filter(material => !equalBytes(material.keyId, bytes))
      if (keyring === undefined || materials?.length === keyring.materials.length) return undefined
      return { ...record, keyring: { ...keyring, materials: materials ?? [] } }
    })
  }

  all(): readonly KeyWithMaterials[] {
    const found = new Map<KmsKeyId, KeyWithMaterials["versions"]>()
    const materials = this.store.records.record.keyring?.materials ?? []
    for (const { keyId, version, createdMs } of [...materials].sort((a, b) => a.version - b.version)) {
      const id = keyIdOf(keyId)
      found.set(id, [...(found.get(id) ?? []), { version, createdMs }])
    }
    return [...found].map(([keyId, versions]) => ({ keyId, versions }))
  }

  private find(keyId: KmsKeyId, version: number): SealedMaterial | undefined {
    return findIn(this.store.records.record, keyId, version)
  }

  private open({ keyId: bytes, version, epoch, sealed }: SealedMaterial): Soon<Uint8Array> {
    const keyId = keyIdOf(bytes)
    const known = this.opened.get(nameOf(keyId, version))
    if (known !== undefined && equalBytes(known.sealed, sealed)) return known.material
    return after(this.store.epochs.get(epoch), key => {
      const material = openBytes(key, purposeOfMaterial(keyId, version), sealed)
      if (material === undefined) throw unavailable(keyId, version)
      this.opened.set(nameOf(keyId, version), { sealed, material })
      return material
    })
  }

  /** A deleted key leaves no material in memory. */
  private forgetOthers({ keyring }: ControlRecord): void {
    if (this.opened.size === 0) return
    const names = new Set(keyring?.materials.map(({ keyId, version }) => nameOf(keyIdOf(keyId), version)))
    for (const [name, { material }] of this.opened) {
      if (names.has(name)) continue
      material.fill(0)
      this.opened.delete(name)
    }
  }
}

function findIn({ keyring }: ControlRecord, keyId: KmsKeyId, version: number): SealedMaterial | undefined {
  const bytes = bytesOf(keyId)
  return keyring?.materials.find(each => each.version === version && equalBytes(each.keyId, bytes))
}

const unavailable = (keyId: KmsKeyId, version: number) =>
  fail("keysUnavailable", { message: `version ${version} of the key ${keyId} is missing in the control record`, keyId })
