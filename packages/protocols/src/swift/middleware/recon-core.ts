/**
 * `/recon/WHAT`: what Swift's servers tell of themselves, as far as it means something here. Pure.
 *
 * Source  `common/middleware/recon.py`, OpenStack Swift. There each machine tells of its own disks; here each tells of all
 *         devices of the store, with the node of each.
 */
import { posix } from "node:path"
import { fail } from "@hayloft/base/failures.js"

/** A device as its store reports it. */
export interface InsideDevice {
  readonly id: string
  /** Its folder. */
  readonly path: string
  /** The node that serves it; absent on one machine. */
  readonly node?: string | undefined
  readonly state: string
  /** 0: it does not answer. */
  readonly totalBytes: number
  readonly freeBytes: number
  readonly metadataReplica: string
}

interface ReconFacts {
  readonly version: string
  readonly nowMs: number
  readonly devices: readonly InsideDevice[]
  /** `/proc/loadavg` and `/proc/meminfo` of this machine; undefined where there is none. */
  readonly load: string | undefined
  readonly memory: string | undefined
}

const unmounted = ({ totalBytes }: InsideDevice): boolean => totalBytes === 0

const namesOf = ({ id, node, state }: InsideDevice) => ({ device: id, ...(node !== undefined && { node }), state })

function devicesOf(devices: readonly InsideDevice[]): Readonly<Record<string, readonly string[]>> {
  const folders = new Map<string, string[]>()
  for (const { path } of devices) {
    const folder = posix.dirname(path)
    folders.set(folder, [...(folders.get(folder) ?? []), posix.basename(path)])
  }
  return Object.fromEntries(folders)
}

function usageOf(device: InsideDevice) {
  const { totalBytes: size, freeBytes: avail } = device
  if (unmounted(device)) return { ...namesOf(device), mounted: false, size: "", used: "", avail: "" }
  return { ...namesOf(device), mounted: true, size, used: size - avail, avail }
}

const unknown = (what: string) =>
  fail("notImplemented", {
    message: `/recon/${what}: this operating system does not tell; see /metrics of the admin port`,
  })

function loadOf(text: string | undefined) {
  const [one, five, fifteen, tasks, latest] = (text ?? "").trim().split(" ")
  if (latest === undefined) throw unknown("load")
  const averages = { "1m": Number(one), "5m": Number(five), "15m": Number(fifteen) }
  return { ...averages, tasks, processes: Number(latest) }
}

function memoryOf(text: string | undefined): Readonly<Record<string, string>> {
  if (text === undefined) throw unknown("mem")
  const lines = text.split("\n").filter(line => line.includes(":"))
  const entries = lines.map((line): readonly [string, string] => {
    const colon = line.indexOf(":")
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  return Object.fromEntries(entries)
}

const TOLD: Readonly<Record<string, (facts: ReconFacts) => unknown>> = {
  version: ({ version }) => ({ version: `Hayloft/${version}` }),
  time: ({ nowMs }) => nowMs / 1000,
  load: ({ load }) => loadOf(load),
  mem: ({ memory }) => memoryOf(memory),
  devices: ({ devices }) => devicesOf(devices),
  diskusage: ({ devices }) => devices.map(usageOf),
  unmounted: ({ devices }) => devices.filter(unmounted).map(device => ({ ...namesOf(device), mounted: false })),
}

/** The reports that Swift's daemons make, and who makes them here. */
const ELSEWHERE: readonly string[] = [
  "account",
  "async",
  "auditor",
  "container",
  "driveaudit",
  "expirer",
  "mounted",
  "object",
  "quarantined",
  "relinker",
  "reconstruction",
  "replication",
  "ringmd5",
  "sharding",
  "sockstat",
  "swiftconfmd5",
  "updater",
]

/** The document. Throws `notImplemented` for what Swift tells and this server does not, `invalidUri` for all else. */
export function reconOf(what: string, facts: ReconFacts): string {
  const told = Object.hasOwn(TOLD, what) ? TOLD[what] : undefined
  if (told !== undefined) return JSON.stringify(told(facts))
  const names = Object.keys(TOLD).join(", ")
  if (ELSEWHERE.includes(what.split("/", 1)[0] ?? ""))
    throw fail("notImplemented", {
      message: `/recon/${what.slice(0, 80)} is not implemented: \`hayloft status\` tells of repair, scrub and jobs; here are ${names}`,
    })
  throw fail("invalidUri", { message: `there is no /recon/${what.slice(0, 80)}: there are ${names}` })
}
