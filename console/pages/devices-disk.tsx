/** The disks below devices: what they read and write now, from two looks at their counters, and their health. */
import type { ComponentChildren } from "preact"
import { useRef } from "preact/hooks"
import { useLive } from "../api/live.js"
import type { DeviceDisks } from "../api/shapes.js"
import { countText, durationText, latencyText, sizeText } from "../parts/format.js"
import { Badge, Facts, Section } from "../parts/page.js"
import { mayUse } from "../shell/session.js"

const EVERY_MS = 5_000
const HOUR_SECONDS = 3_600
/** Warmer is bad for a disk that turns. */
const WARM_CELSIUS = 55

type DiskFacts = DeviceDisks["disks"][number]
type Io = DiskFacts["io"]

/** The load of a disk now. */
interface Rates {
  readonly reads: number
  readonly readBytes: number
  readonly writes: number
  readonly writtenBytes: number
  /** The time of a read or a write; undefined without any. */
  readonly latencyMs: number | undefined
}

export interface ShownDisk extends DiskFacts {
  /** It is undefined until there were two looks. */
  readonly rates: Rates | undefined
}

function ratesOf(before: DiskFacts | undefined, now: DiskFacts): Rates | undefined {
  const seconds = before === undefined ? 0 : (now.atMs - before.atMs) / 1_000
  if (before === undefined || seconds <= 0 || now.io.reads < before.io.reads) return undefined
  const change = (name: keyof Io): number => now.io[name] - before.io[name]
  const calls = change("reads") + change("writes")
  return {
    reads: change("reads") / seconds,
    readBytes: change("readBytes") / seconds,
    writes: change("writes") / seconds,
    writtenBytes: change("writtenBytes") / seconds,
    latencyMs: calls === 0 ? undefined : (change("readMs") + change("writeMs")) / calls,
  }
}

/** The disks by the ids of their devices: those of the server that is asked. */
export function useDisks(): ReadonlyMap<string, ShownDisk> {
  const { value } = useLive<DeviceDisks>(mayUse("listDeviceDisks") ? "/v1/devices/disks" : undefined, EVERY_MS)
  const looks = useRef<{ now: DeviceDisks | undefined; shown: ReadonlyMap<string, ShownDisk> }>({
    now: undefined,
    shown: new Map(),
  })
  const { now, shown } = looks.current
  if (value === undefined || value === now) return shown
  const before = new Map(now?.disks.map(disk => [disk.device, disk]))
  const next = new Map(
    value.disks.map(disk => [disk.device, { ...disk, rates: ratesOf(before.get(disk.device), disk) }] as const),
  )
  looks.current = { now: value, shown: next }
  return next
}

const rateText = (calls: number, bytes: number): string =>
  calls === 0 ? "none" : `${calls < 10 ? calls.toFixed(1) : countText(Math.round(calls))}/s, ${sizeText(bytes)}/s`

/** `3.4 MiB/s`: both directions. */
export const ioText = ({ rates }: ShownDisk): string =>
  rates === undefined ? "…" : `${sizeText(rates.readBytes + rates.writtenBytes)}/s`

export function HealthBadge({ health }: Pick<ShownDisk, "health">) {
  if (health === undefined) return null
  const { isHealthy, celsius } = health
  const isWarm = celsius !== undefined && celsius >= WARM_CELSIUS
  const text = [
    ...(isHealthy === undefined ? [] : [isHealthy ? "healthy" : "failing"]),
    ...(celsius === undefined ? [] : [`${celsius} °C`]),
  ]
  return <Badge kind={isHealthy === false ? "danger" : isWarm ? "warning" : "good"}>{text.join(", ")}</Badge>
}

/** It shows nothing if the system tells nothing of the disk. */
export function DiskSection({ disk }: { readonly disk: ShownDisk | undefined }) {
  if (disk === undefined) return null
  const { name, io, rates, health = {} } = disk
  const { model, serial, powerOnHours, wearPercent, reallocatedSectors } = health
  const facts: readonly (readonly [string, ComponentChildren])[] = [
    ["Name", name],
    ["Model", model],
    ["Serial number", serial],
    ["Health", disk.health && <HealthBadge health={disk.health} />],
    ["In use for", powerOnHours === undefined ? undefined : durationText(powerOnHours * HOUR_SECONDS)],
    ["Wear", wearPercent === undefined ? undefined : `${wearPercent} % of its writes`],
    ["Sectors that failed", reallocatedSectors === undefined ? undefined : countText(reallocatedSectors)],
    ["Reads now", rates ? rateText(rates.reads, rates.readBytes) : "…"],
    ["Writes now", rates ? rateText(rates.writes, rates.writtenBytes) : "…"],
    ["Each takes", rates?.latencyMs === undefined ? "–" : latencyText(rates.latencyMs)],
    ["Waiting", countText(io.inFlight)],
  ]
  return (
    <Section title="Disk" hint="As the system has it, with what others do on the same disk.">
      <Facts facts={facts.filter(([, value]) => value !== undefined)} />
    </Section>
  )
}
