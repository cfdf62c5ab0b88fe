/** Opens what encrypts an existing store over the parts of an engine. */
import type { StoreServices } from "@hayloft/features/index.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { hasPlainObjects, mustSealNewBytes } from "../control/at-rest.js"
import type { RecordManager } from "../control/record-manager.js"
import type { DeviceStack } from "../devices/device-stack.js"
import { FileEncryption } from "./file-encryption.js"

export type { FileEncryption }

/** For the services: whether they encrypt, and whether existing objects may be plain; only a store of one process converts. */
export const encryptingBy = (records: Pick<RecordManager, "record">, isAlone: boolean) => ({
  encryptsAtRest: mustSealNewBytes(records.record),
  encryptsExisting: isAlone ? () => hasPlainObjects(records.record) : undefined,
})

/** Returns undefined if this process converts nothing. */
export function openFileEncryption(
  { tablet: metadata, metadataBackup: backup, encrypt, orphans }: StoreServices,
  records: RecordManager,
  devices: () => readonly DeviceStack[],
  log: Log,
): FileEncryption | undefined {
  return encrypt && new FileEncryption({ records, metadata, backup, encrypt, orphans, devices, log })
}
