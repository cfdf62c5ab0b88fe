/**
 * Offline cipher: opens the files of an encrypted device for a command that runs without the store. See decision 56,
 * "At rest".
 */
import { DeviceCipher } from "../../base/device-cipher.js"
import { fail } from "../../base/failures.js"
import type { DeviceId } from "../../base/ids.js"
import type { ControlRecord } from "../../format/control-record.js"
import type { Random } from "../../seams/random/contract.js"
import { deviceForAll, deviceKeysIn, isEncryptedAtRest } from "../control/at-rest.js"
import { openSecrets } from "./secrets.js"

/**
 * Undefined if the store does not encrypt what its devices hold. `fileKey`: reads the operator's master key, if there is
 * one; only called if it is needed. `deviceId`: undefined for what all devices hold alike. Throws `wrongMasterKey` without a key, and for another one.
 */
export async function offlineCipher(
  record: ControlRecord,
  deviceId: DeviceId | undefined,
  fileKey: () => Promise<Uint8Array | undefined>,
  random: Random,
): Promise<DeviceCipher | undefined> {
  if (!isEncryptedAtRest(record)) return undefined
  const given = await fileKey()
  if (given === undefined) {
    throw fail("wrongMasterKey", { message: "the store encrypts everything at rest: pass --master-key-file" })
  }
  // Also tells whether it is the store's key.
  const { masterKey } = openSecrets(record, { current: given })
  const id = deviceId ?? deviceForAll(record)
  const keys = id && deviceKeysIn(record, masterKey, id)
  return keys && new DeviceCipher(keys, random)
}
