/** Keys of a rescue's sources: those of its control record, opened with a master key, which open secrets of buckets. */
import { hexOf } from "@hayloft/base/bytes.js"
import { parseKmsKeyId, type BucketId, type KmsKeyId } from "@hayloft/base/ids.js"
import { BUCKET_SECRET, purposeOfSecret } from "@hayloft/engine/format/objects/bucket-key.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { openBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { keyIdText } from "@hayloft/access/keys/index.js"
import type { SealedSecret } from "@hayloft/access/keys/contract.js"

const NO_MASTER_KEY = "it is encrypted, and its keys cannot be opened without the master key: give --master-key-file"

const keyIdOf = (bytes: Uint8Array): KmsKeyId => parseKmsKeyId(keyIdText(hexOf(bytes)))

export class SourceKeys {
  private readonly epochs = new Map<number, Uint8Array>()

  constructor(
    private readonly record: Pick<ControlRecord, "keyring"> | undefined,
    private readonly masterKeys: readonly Uint8Array[],
  ) {}

  /** The secret of a bucket, or why it cannot be opened. */
  open(bucketId: BucketId, { epoch, sealed }: SealedSecret): Uint8Array | string {
    const key = this.epoch(epoch)
    if (typeof key === "string") return key
    const purpose = purposeOfSecret(bucketId, BUCKET_SECRET)
    return openBytes(key, purpose, sealed) ?? "it is encrypted, and no key opens the secret of its bucket"
  }

  /** The built-in keys that have materials. */
  get materialIds(): readonly KmsKeyId[] {
    return [...new Set(this.materials.map(({ keyId }) => keyIdOf(keyId)))]
  }

  /**
   * Returns the materials of a key, in the order of their versions, or why they cannot be had. `count` is undefined if
   * unknown.
   */
  materialsOf(id: KmsKeyId, count: number | undefined): readonly Uint8Array[] | string {
    const own = this.materials.filter(({ keyId }) => keyIdOf(keyId) === id).sort((a, b) => a.version - b.version)
    if (own.length === 0 || own.length < (count ?? 1) || own.some(({ version }, i) => version !== i + 1))
      return "the control record does not have its materials"
    const opened: Uint8Array[] = []
    for (const { version, epoch, sealed } of own) {
      const key = this.epoch(epoch)
      if (typeof key === "string") return key
      const material = openBytes(key, `kms ${id} ${version}`, sealed)
      if (material === undefined) return "no key opens its materials"
      opened.push(material)
    }
    return opened
  }

  private get materials() {
    return this.record?.keyring?.materials ?? []
  }

  private epoch(number: number): Uint8Array | string {
    const { record, masterKeys } = this
    const known = this.epochs.get(number)
    if (known !== undefined) return known
    if (record === undefined) return "it is encrypted, and its keys are lost with the control record"
    if (masterKeys.length === 0) return NO_MASTER_KEY
    const found = record.keyring?.epochs.find(epoch => epoch.number === number)
    if (found === undefined) return `it is encrypted, and the control record has no key ${number}`
    const opened = masterKeys.map(masterKey => openBytes(masterKey, `epoch key ${number}`, found.sealed))
    const key = opened.find(each => each !== undefined)
    if (key === undefined) return "it is encrypted, and the master key does not open its keys"
    this.epochs.set(number, key)
    return key
  }
}
