/**
 * Key turnover: after secrets of buckets were destroyed, everything else that is sealed under the same epoch keys is sealed
 * under a newer one, and the keys leave the control record. Rows of the destroyed secrets remain for a while in logs,
 * tables and backups: nothing opens them any more.
 *
 * Promises  Each step may be repeated, and is after a crash: rows and the record say what remains. A key leaves the record
 *           only after a pass over all secrets has found none under it, a backup of the metadata that began later is
 *           complete, and a last look has found none either; the database or the tablet refuses new secrets under it
 *           all the while. A reconciliation may bring secrets under it back: then all begins again. Materials of named
 *           keys, and the key at rest, change with the same change of the record. A secret that cannot be opened stops it.
 *           Where a database may lose its last changes (an asynchronous standby takes over), it would lose secrets under
 *           the new key: there the former key stays for `keptMs` after they were stored, and all are looked at again.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseKmsKeyId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { purposeOfSecret } from "@hayloft/engine/format/objects/bucket-key.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { KeyringRecord } from "@hayloft/engine/format/device/keyring.js"
import { openBytes, sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import type { EpochKey, EpochKeys } from "@hayloft/access/keys/contract.js"
import { keyIdText, resealSecrets, secretsUnder, type StoredSecret } from "@hayloft/access/keys/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { MetadataBackup } from "@hayloft/upkeep/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { PURPOSE_AT_REST } from "../control/at-rest.js"
import { purposeOfMaterial } from "../control/key-materials.js"
import type { RecordManager } from "../control/record-manager.js"
import { epochNumbers } from "../control/keys-on-devices.js"

/** "backup": waits for one. "kept": the former key stays for some time. */
export type TurnoverOutcome = "done" | "more" | "backup" | "kept"

const FIRST = rowKeyOf("")

interface TurnoverStore {
  readonly metadata: Pick<Metadata, "ask" | "run" | "incarnations">
  readonly records: Pick<RecordManager, "record" | "change">
  readonly epochs: EpochKeys
  /** The backup is undefined if the metadata is not backed up. */
  readonly backup: Pick<MetadataBackup, "order" | "isComplete"> | undefined
  readonly random: Random
  readonly clock: Pick<Clock, "monotonicMs">
  /** How long the former key stays once no secret is under it; 0 where the metadata loses no changes. */
  readonly keptMs: number
  /** Secrets that this process has opened are not used any more. */
  readonly forgetSecrets: () => void
}

interface Pass {
  /** Keys up to this one go. */
  readonly epochMax: number
  /** How often the metadata was reconciled before. */
  readonly reconciliations: number
  from: RowKey
  found: number
  isOver: boolean
  /** When the former key may go, by the monotonic clock; undefined: no pass has ended yet. */
  dueMs: number | undefined
  /** Since then a pass has found no secret under the former key. */
  isRepeated: boolean
  /** The order of a backup that begins after the pass. */
  order: number | undefined
}

export class KeyTurnover {
  private pass: Pass | undefined

  constructor(private readonly store: TurnoverStore) {}

  /** A step of removing the keys of epochs up to `epochMax`. */
  async step(epochMax: number): Promise<TurnoverOutcome> {
    const { records, backup } = this.store
    if (epochNumbers(records.record).every(number => number > epochMax)) {
      this.pass = undefined
      return "done"
    }
    const pass = this.passNow(epochMax)
    if (!pass.isOver) {
      await this.goOn(pass)
      return "more"
    }
    if (!pass.isRepeated) return this.keep(pass)
    if (backup !== undefined) {
      pass.order ??= backup.order()
      if (!backup.isComplete(pass.order)) return "backup"
    }
    if ((await this.isAnyUnder(epochMax)) || this.passNow(epochMax) !== pass) this.begin(epochMax)
    else await this.removeKeys(epochMax)
    return "more"
  }

  /** The findings of a pass before a reconciliation do not hold any more. */
  private passNow(epochMax: number): Pass {
    const { pass } = this
    const isOfNow = pass?.epochMax === epochMax && pass.reconciliations === this.reconciliations
    return isOfNow ? pass : this.begin(epochMax)
  }

  private begin(epochMax: number): Pass {
    this.pass = newPass(epochMax, this.reconciliations)
    return this.pass
  }

  private get reconciliations(): number {
    return this.store.metadata.incarnations.reconciliations ?? 0
  }

  /** Waits, and then begins the last pass. */
  private keep(pass: Pass): TurnoverOutcome {
    const { clock, keptMs } = this.store
    const nowMs = clock.monotonicMs()
    pass.dueMs ??= nowMs + keptMs
    if (nowMs < pass.dueMs) return "kept"
    pass.isRepeated = true
    pass.isOver = keptMs === 0
    return "more"
  }

  /** Another process goes on, from the beginning. */
  release(): void {
    this.pass = undefined
  }

  private async goOn(pass: Pass): Promise<void> {
    const { secrets, next } = await this.store.metadata.ask(secretsUnder(pass.epochMax, pass.from))
    if (secrets.length > 0) await this.reseal(secrets, pass.epochMax)
    pass.found += secrets.length
    pass.from = next ?? FIRST
    if (next !== undefined) return
    pass.isOver = pass.found === 0
    // The database has lost secrets under the new key: they are stored again, and kept for as long again.
    if (!pass.isOver && pass.isRepeated) this.begin(pass.epochMax)
    pass.found = 0
  }

  /** Returns true if a secret is sealed under the keys that are about to go. */
  private async isAnyUnder(epochMax: number): Promise<boolean> {
    for await (const page of walkPages(FIRST, from => this.store.metadata.ask(secretsUnder(epochMax, from)))) {
      if (page.secrets.length > 0) return true
    }
    return false
  }

  private async reseal(secrets: readonly StoredSecret[], epochMax: number): Promise<void> {
    const { metadata, epochs, random, forgetSecrets } = this.store
    const to = await epochs.current(epochMax)
    const resealed = []
    for (const { rowKey, bucketId, number, secret } of secrets) {
      const purpose = purposeOfSecret(bucketId, number)
      const plain = openBytes(await epochs.get(secret.epoch), purpose, secret.sealed)
      if (plain === undefined) throw fail("keysUnavailable", { bucketId, number, epoch: secret.epoch })
      resealed.push({
        rowKey,
        before: secret,
        after: { epoch: to.number, sealed: sealBytes(to.key, purpose, plain, random) },
      })
      plain.fill(0)
    }
    await metadata.run(resealSecrets(resealed))
    forgetSecrets()
  }

  private async removeKeys(epochMax: number): Promise<void> {
    const { records, epochs, random } = this.store
    const to = await epochs.current(epochMax)
    const keys = new Map<number, Uint8Array>()
    for (const number of epochNumbers(records.record)) keys.set(number, await epochs.get(number))
    await records.change("epoch keys erased", record => withoutEpochs(record, { epochMax, to, keys, random }))
  }
}

const newPass = (epochMax: number, reconciliations: number): Pass => ({
  epochMax,
  reconciliations,
  from: FIRST,
  found: 0,
  isOver: false,
  dueMs: undefined,
  isRepeated: false,
  order: undefined,
})

interface Removal {
  readonly epochMax: number
  readonly to: EpochKey
  /** By epoch. */
  readonly keys: ReadonlyMap<number, Uint8Array>
  readonly random: Random
}

/** Returns undefined if there is nothing to remove. Throws `keysUnavailable`. */
function withoutEpochs(record: ControlRecord, { epochMax, to, keys, random }: Removal): ControlRecord | undefined {
  const { keyring } = record
  const epochs = keyring?.epochs.filter(({ number }) => number > epochMax)
  if (keyring === undefined || epochs === undefined || epochs.length === keyring.epochs.length) return undefined
  if (!epochs.some(({ number }) => number === to.number)) throw fail("keysUnavailable", { epoch: to.number })
  const resealed = (sealed: Uint8Array, epoch: number, purpose: string): Uint8Array => {
    const key = keys.get(epoch)
    const plain = key && openBytes(key, purpose, sealed)
    if (plain === undefined) throw fail("keysUnavailable", { epoch, purpose })
    return sealBytes(to.key, purpose, plain, random)
  }
  const { atRest } = keyring
  const materials = keyring.materials.map(material =>
    material.epoch > epochMax
      ? material
      : { ...material, epoch: to.number, sealed: resealed(material.sealed, material.epoch, purposeOf(material)) },
  )
  const isOld = atRest !== undefined && atRest.epoch <= epochMax
  const atRestNow = isOld
    ? { ...atRest, epoch: to.number, sealed: resealed(atRest.sealed, atRest.epoch, PURPOSE_AT_REST) }
    : atRest
  return { ...record, keyring: { ...keyring, epochs, materials, atRest: atRestNow } }
}

const purposeOf = ({ keyId, version }: KeyringRecord["materials"][number]): string =>
  purposeOfMaterial(parseKmsKeyId(keyIdText(hexOf(keyId))), version)
