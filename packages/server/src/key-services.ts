/** The external key services of the real process, called over HTTP. */
import type { ServeConfig } from "@hayloft/node/config/config.js"
import { ExternalKeys } from "@hayloft/access/keys/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { WebServices } from "@hayloft/base/seams/web/contract.js"
import { RealWeb } from "@hayloft/base/seams/web/real.js"

interface KeyServiceSeams {
  readonly clock: Clock
  readonly disk: Disk
  readonly random: Random
  readonly telemetry: Telemetry
}

interface KeyServices {
  readonly keys: ExternalKeys
  /** For other services that the operator has chosen. */
  readonly web: WebServices
  /** Drops all opened keys and connections. */
  close(): void
}

/** The operator chose the addresses, so local ones and those without TLS are allowed. */
export function openKeyServices(
  { clock, disk, random, telemetry }: KeyServiceSeams,
  { keyServices }: ServeConfig,
): KeyServices {
  const web = new RealWeb(true)
  const seams = { clock, disk, random: random.fork("key services"), telemetry, web }
  const keys = new ExternalKeys(seams, keyServices)
  return {
    keys,
    web,
    close: () => {
      keys.close()
      web.close()
    },
  }
}
