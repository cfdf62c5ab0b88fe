/**
 * Offline cipher: opens the files of an encrypted device for a command that runs without the store. See decision 56,
 * "At rest".
 */
import { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { deviceForAll, deviceKeysIn, isEncryptedAtRest } from "../control/at-rest.js"
import { openSecrets, type MasterKeyFiles } from "./secrets.js"

/**
 * Returns undefined if the store does not encrypt what its devices hold. `fileKeys`: reads the operator's master keys,
 * if there are any; only called if they are needed. `deviceId`: undefined for what all devices hold alike. Throws
 * `wrongMasterKey` without a key, and for other keys.
 */
export async function offlineCipher(
  record: ControlRecord,
  deviceId: DeviceId | undefined,
  fileKeys: () => Promise<MasterKeyFiles>,
  random: Random,
): Promise<DeviceCipher | undefined> {
  if (!isEncryptedAtRest(record)) return undefined
  const given = await fileKeys()
  if ((given.current ?? given.next) === undefined) {
    throw fail("wrongMasterKey", { message: "the store encrypts everything at rest: pass --master-key-file" })
  }
  // Also tells whether one of them is the store's key.
  const { masterKey } = openSecrets(record, given)
  const id = deviceId ?? deviceForAll(record)
  const keys = id && deviceKeysIn(record, masterKey, id)
  return keys && new DeviceCipher(keys, random)
}
