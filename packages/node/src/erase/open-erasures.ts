/** Opens the erasures of buckets over the parts of an engine. */
import type { StoreServices } from "@hayloft/features/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { RecordEpochKeys } from "../control/epoch-keys.js"
import type { NamedKeyStore } from "../control/named-keys.js"
import type { RecordManager } from "../control/record-manager.js"
import type { KeysOnDevices } from "../control/keys-on-devices.js"
import { Erasures } from "./erasures.js"
import { KeyTurnover } from "./key-turnover.js"

interface Seams {
  readonly clock: Clock
  readonly random: Random
  readonly telemetry: Telemetry
}

interface Sources {
  readonly records: RecordManager
  readonly epochs: RecordEpochKeys
  /** The keys on the devices of this node. */
  readonly devices: KeysOnDevices
  readonly namedKeys: Pick<NamedKeyStore, "forgetSecrets">
  /** How long the former key stays; see `KeyTurnover`. */
  readonly keptMs: number
}

export type { Erasures }

export function openErasures(
  { clock, random, telemetry }: Seams,
  { tablet: metadata, metadataBackup: backup, erasing, buckets }: StoreServices,
  { devices, namedKeys, keptMs, ...sources }: Sources,
): Erasures {
  const keys = { ...sources, forgetSecrets: () => namedKeys.forgetSecrets() }
  const turnover = new KeyTurnover({ ...keys, metadata, backup, random: random.fork("key turnover"), clock, keptMs })
  const readPolicies = () => buckets.readPolicies()
  return new Erasures(clock, telemetry, { ...keys, erasing, turnover, devices, readPolicies })
}
