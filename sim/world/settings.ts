/** What a simulated store is configured as: the defaults of its number of devices, with small limits. */
import { parseAccessKeyId, parseAccountId, parseDeviceId, parseEpoch, parseIncarnation } from "../../src/base/ids.js"
import { KIB } from "../../src/base/limits.js"
import { defaultMetaCopies, defaultPolicy, shardCount } from "../../src/base/policy.js"
import type { EngineSettings } from "../../src/main/engine/engine.js"
import { planLayout, type Layout } from "../../src/placement/index.js"

export const DEFAULT_BLOCK_BYTES = 128 * KIB
/** Small, so that a short run makes many checkpoints. */
const CHECKPOINTS = {
  logBytesMax: 256 * KIB,
  rowsMax: 64,
  quietMs: 2_000,
  pollMs: 100,
  confirmMs: 1_000,
  retryMs: 1_000,
}

const idOfDevice = (number: number) => parseDeviceId(number.toString(16).padStart(16, "0"))

/** The same devices have the same layout in every run. */
const layouts = new Map<number, Layout>()

function layoutOf(count: number): Layout {
  const known = layouts.get(count)
  if (known) return known
  const devices = Array.from({ length: count }, (_, i) => ({ id: idOfDevice(i + 1), weight: 1 }))
  const layout = planLayout(devices, shardCount(defaultPolicy(count)))
  layouts.set(count, layout)
  return layout
}

export function settingsFor(count: number, life: number, blockBytes: number): EngineSettings {
  const incarnation = parseIncarnation(life)
  const layout = layoutOf(count)
  const policy = defaultPolicy(count)
  return {
    devices: layout.devices.map((id, i) => ({ id, path: `/d${i + 1}`, incarnation })),
    layout,
    store: { policy, blockBytes },
    members: layout.devices.slice(0, defaultMetaCopies(count, policy)),
    epoch: parseEpoch(1),
    incarnation,
    masterKey: new Uint8Array(32),
    root: {
      accountId: parseAccountId("root"),
      accessKeyId: parseAccessKeyId("ROOTKEY"),
      secret: "secret",
      createdMs: 0,
    },
    deviceOptions: { checkpointLimits: CHECKPOINTS },
  }
}
