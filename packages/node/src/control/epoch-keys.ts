/**
 * Epoch keys: those of the key ring in the control record, opened with the master key. See decision 57.
 *
 * Promises  The first use makes the ring: before a key is used, the superblocks of all open devices of this node have the
 *           format epoch of keys, so that no earlier release opens them, and all these devices have the record with the
 *           key: it is lost only with all of them, as the data is.
 *           A crash in between leaves devices with the higher epoch, or a record whose key nothing uses yet; the next
 *           use goes on from there. The devices of other nodes are raised by these as soon as they read the record.
 *           A key that another node has just made is found: the record is read again before one is called missing.
 * Refuses   Keys that the ring lacks, or that the master key does not open, with `keysUnavailable`.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { asFailure, fail, type Failure } from "@hayloft/base/failures.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { formatEpochOf, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { EPOCH_KEYS_MAX, type KeyringRecord } from "@hayloft/engine/format/device/keyring.js"
import { openBytes, sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { FORMAT_EPOCH_OF_KEYS } from "@hayloft/engine/format/device/superblock.js"
import type { EpochKey, EpochKeys } from "@hayloft/access/keys/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { RecordManager } from "./record-manager.js"

const EPOCH_KEY_BYTES = 32
/** Numbers begin with 1. */
const FIRST_EPOCH = 1
const FIRST_MASTER_KEY = 1

const purposeOfEpoch = (number: number): string => `epoch key ${number}`

type SealedEpoch = KeyringRecord["epochs"][number]

/** New secrets use the newest. */
const newestIn = ({ keyring }: ControlRecord): SealedEpoch | undefined =>
  keyring?.epochs.reduce((newest, epoch) => (epoch.number > newest.number ? epoch : newest))

interface Seams {
  readonly clock: Pick<Clock, "wallMs">
  readonly random: Random
  readonly log: Log
}

interface Store {
  readonly records: Pick<RecordManager, "record" | "change" | "onChange" | "spread">
  /** Reads the record now; undefined: only this process changes it. */
  readonly refresh: (() => Promise<void>) | undefined
  /** Raises the superblocks of the open devices of this process. */
  readonly raiseFormatEpoch: (formatEpoch: number) => Promise<void>
  /** The present one: a rotation replaces it together with the record. */
  readonly masterKey: Uint8Array
}

export class RecordEpochKeys implements EpochKeys {
  /** By number, with the bytes that it was opened from. */
  private readonly opened = new Map<number, { readonly sealed: Uint8Array; readonly key: Uint8Array }>()
  /** The newest epoch key that all devices of this process have, with its format epoch; 0: none. */
  private readyUpTo = 0
  private preparing: Promise<void> | undefined

  constructor(
    private readonly seams: Seams,
    private readonly store: Store,
  ) {
    store.records.onChange(record => {
      this.forgetOthers(record)
      // A failure here was logged, and the next use and the next start try again.
      if (record.keyring !== undefined) this.ready()?.catch(() => undefined)
    })
  }

  /** Brings the devices of this process up to the record. */
  async start(): Promise<void> {
    const { records, raiseFormatEpoch } = this.store
    if (records.record.keyring === undefined) return
    await raiseFormatEpoch(formatEpochOf(records.record))
    // A full device does not prevent the start: what fails was logged, and is tried again before a key seals anything.
    await this.ready()?.catch(() => undefined)
  }

  current(above = 0): Soon<EpochKey> {
    return after(this.ready(), () => {
      // Another key came meanwhile.
      if (!this.isReady) return this.current(above)
      const { refresh } = this.store
      const isLate = (newestIn(this.store.records.record)?.number ?? 0) <= above
      return isLate && refresh !== undefined ? refresh().then(() => this.newest(above)) : this.newest(above)
    })
  }

  /** The number of a key that seals nothing that `usedUpTo` or an earlier one has sealed: a new one if there is none. */
  async renew(usedUpTo: number): Promise<number> {
    await this.ready()
    const record = await this.store.records.change("new epoch key", before => {
      const newest = newestIn(before)?.number ?? 0
      if (before.keyring === undefined || newest > usedUpTo) return undefined
      const { clock, random } = this.seams
      return { ...before, keyring: withNewEpoch(before.keyring, this.store.masterKey, random, clock.wallMs()) }
    })
    await this.ready()
    return newestIn(record)?.number ?? 0
  }

  private newest(above: number): EpochKey {
    const newest = newestIn(this.store.records.record)
    if (newest === undefined) throw unavailable(FIRST_EPOCH, "the control record has no key ring")
    if (newest.number <= above) throw unavailable(above + 1, "the control record lacks it")
    return { number: newest.number, key: this.open(newest) }
  }

  get(number: number): Soon<Uint8Array> {
    const found = this.find(number)
    if (found !== undefined) return this.open(found)
    const { refresh } = this.store
    if (refresh === undefined) throw unavailable(number, "the control record lacks it")
    return refresh().then(() => {
      const late = this.find(number)
      if (late === undefined) throw unavailable(number, "the control record lacks it")
      return this.open(late)
    })
  }

  private find(number: number): SealedEpoch | undefined {
    return this.store.records.record.keyring?.epochs.find(epoch => epoch.number === number)
  }

  private open(epoch: SealedEpoch): Uint8Array {
    const { number, sealed } = epoch
    const known = this.opened.get(number)
    if (known !== undefined && equalBytes(known.sealed, sealed)) return known.key
    const key = openEpochKey(this.store.masterKey, epoch)
    this.opened.set(number, { sealed, key })
    return key
  }

  /** An erasure drops keys. */
  private forgetOthers({ keyring }: ControlRecord): void {
    for (const [number, { key }] of this.opened) {
      if (keyring?.epochs.some(epoch => epoch.number === number)) continue
      key.fill(0)
      this.opened.delete(number)
    }
  }

  private get isReady(): boolean {
    const newest = newestIn(this.store.records.record)
    return newest !== undefined && newest.number <= this.readyUpTo
  }

  private ready(): Promise<void> | undefined {
    if (this.isReady) return undefined
    this.preparing ??= this.prepare().finally(() => (this.preparing = undefined))
    return this.preparing
  }

  private async prepare(): Promise<void> {
    const { records, raiseFormatEpoch } = this.store
    try {
      await raiseFormatEpoch(FORMAT_EPOCH_OF_KEYS)
      const { clock, random } = this.seams
      // Sealed within the change: the master key may be replaced before it.
      await records.change("first key", record =>
        record.keyring === undefined
          ? { ...record, keyring: newKeyring(this.store.masterKey, random, clock.wallMs()) }
          : undefined,
      )
      // Devices that came in meanwhile.
      await raiseFormatEpoch(formatEpochOf(records.record))
      this.readyUpTo = newestIn(await records.spread())?.number ?? 0
    } catch (error) {
      const failure = asFailure(error)
      this.seams.log.warn("first_key_not_made", { error: failure.message })
      throw failure
    }
  }
}

/** A ring with a first epoch key. */
export function newKeyring(
  masterKey: Uint8Array,
  random: Random,
  nowMs: number,
): KeyringRecord & { readonly epochs: readonly [SealedEpoch] } {
  const epochs = [newEpoch(FIRST_EPOCH, masterKey, random, nowMs)] as const
  return { masterKeyNumber: FIRST_MASTER_KEY, previous: undefined, epochs, atRest: undefined, materials: [] }
}

/** Throws `limitExceeded`. */
export function withNewEpoch(ring: KeyringRecord, masterKey: Uint8Array, random: Random, nowMs: number): KeyringRecord {
  const { epochs } = ring
  if (epochs.length >= EPOCH_KEYS_MAX) {
    throw fail("limitExceeded", {
      message: "too many buckets are being erased; see what they wait for: hayloft status",
    })
  }
  const newest = Math.max(...epochs.map(({ number }) => number))
  return { ...ring, epochs: [...epochs, newEpoch(newest + 1, masterKey, random, nowMs)] }
}

function newEpoch(number: number, masterKey: Uint8Array, random: Random, createdMs: number): SealedEpoch {
  return { number, createdMs, sealed: sealEpochKey(masterKey, number, random.bytes(EPOCH_KEY_BYTES), random) }
}

export const sealEpochKey = (masterKey: Uint8Array, number: number, key: Uint8Array, random: Random): Uint8Array =>
  sealBytes(masterKey, purposeOfEpoch(number), key, random)

/** Throws `keysUnavailable`. */
export function openEpochKey(masterKey: Uint8Array, { number, sealed }: SealedEpoch): Uint8Array {
  const key = openBytes(masterKey, purposeOfEpoch(number), sealed)
  if (key === undefined) throw unavailable(number, "the master key does not open it")
  return key
}

const unavailable = (epoch: number, reason: string): Failure =>
  fail("keysUnavailable", {
    message: `epoch key ${epoch}, under which keys of buckets are, is missing: ${reason}`,
    epoch,
  })
