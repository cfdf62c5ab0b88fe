/** Rows of repair and scrub (`devices.ts`): their speed against plain file calls, and their effect on clients. */
import { join } from "node:path"
import { must } from "@hayloft/base/assert.js"
import { DEVICE_STORES, devicesScenario, TARGETS, type DevicesOptions, type DevicesResult } from "../devices.js"
import type { Bench } from "../bench.js"
import { all, atLeast, atMost, type Measured, type Row } from "../row.js"
import { theme, type Fixture, type Theme } from "../theme.js"

type Work = "repair" | "scrub"

/** Measures everything before the first row. */
class Devices implements Fixture {
  constructor(private readonly result: DevicesResult) {}

  async close(): Promise<void> {
    // The measurement has removed its store.
  }

  speed(work: Work): Measured {
    const { seconds, plainSeconds, bytes } = must(
      this.result.speeds.find(({ what }) => what === work),
      "both are measured",
    )
    const [own, plain] = [bytes / 1e6 / seconds, bytes / 1e6 / plainSeconds]
    return { figure: own, unit: "MB/s", limit: plain, also: { bytes, seconds, plainSeconds } }
  }

  latency(work: Work): Measured {
    const { load, alone, requestsPerSecond } = must(
      this.result.latencies.find(({ during }) => during === work),
      "both are measured",
    )
    const also = { p50Ms: load.p50Ms, requestsPerSecond, errors: load.errors }
    return { figure: load.p99Ms, unit: "ms", limit: alone.p99Ms, also }
  }
}

export interface DeviceScale {
  readonly bytes: number
  readonly seconds: number
}

function devicesTheme(store: (typeof DEVICE_STORES)[number], scale: DeviceScale): Theme {
  const on = `, ${store.redundancy}`
  return theme<Devices>({
    name: "devices",
    isOnRequest: true,
    async open(bench: Bench) {
      const { clock, signal, say, workFolder, scale: of } = bench
      const options: DevicesOptions = { ...store, ...scale, rounds: of.rounds }
      const folder = join(workFolder, `devices-${store.folders}`)
      return new Devices(await devicesScenario(folder, options, clock, signal, say))
    },
    rows: () =>
      (["repair", "scrub"] as const).flatMap((work): Row<Devices>[] => [
        {
          work: `${work}${on}, against plain files`,
          target: all(atLeast("ratio", TARGETS.share)),
          measure: async it => it.speed(work),
          isOnce: true,
        },
        {
          work: `p99 of 64 KiB during ${work}${on}`,
          target: all(atMost("ratio", TARGETS.times), atMost("errors", 0)),
          measure: async it => it.latency(work),
          isOnce: true,
        },
      ]),
  })
}

/** Rows for a store of this many folders. */
export const devicesThemes = (folders: readonly number[], scale: DeviceScale): Theme[] =>
  DEVICE_STORES.filter(store => folders.includes(store.folders)).map(store => devicesTheme(store, scale))
