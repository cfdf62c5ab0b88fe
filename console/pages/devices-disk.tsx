/** The disks below devices: what they read and write now, from two looks at their counters, and their health. */
import type { ComponentChildren } from "preact"
import { useRef } from "preact/hooks"
import { useLive } from "../api/live.js"
import type { Device, DeviceDisks } from "../api/shapes.js"
import { countText, durationText, latencyText, plural, sizeText } from "../parts/format.js"
import { Badge, Facts, Section } from "../parts/page.js"
import { Notice } from "../parts/states.js"
import type { Column } from "../parts/table.js"
import { mayUse } from "../shell/session.js"

const EVERY_MS = 5_000
const HOUR_SECONDS = 3_600
/** Warmer is bad for a disk that turns. */
const WARM_CELSIUS = 55

type DiskFacts = DeviceDisks["disks"][number]
type Io = NonNullable<DiskFacts["io"]>

/** The load of a disk now. */
interface Rates {
  readonly reads: number
  readonly readBytes: number
  readonly writes: number
  readonly writtenBytes: number
  /** The time of a read or a write; undefined without any. */
  readonly latencyMs: number | undefined
}

interface ShownDisk extends DiskFacts {
  /** It is undefined until there were two looks. */
  readonly rates: Rates | undefined
}

function ratesOf(before: DiskFacts | undefined, now: DiskFacts): Rates | undefined {
  const [io, ioBefore] = [now.io, before?.io]
  const seconds = before === undefined ? 0 : (now.atMs - before.atMs) / 1_000
  if (io === undefined || ioBefore === undefined || seconds <= 0 || io.reads < ioBefore.reads) return undefined
  const change = (name: keyof Io): number => io[name] - ioBefore[name]
  const calls = change("reads") + change("writes")
  return {
    reads: change("reads") / seconds,
    readBytes: change("readBytes") / seconds,
    writes: change("writes") / seconds,
    writtenBytes: change("writtenBytes") / seconds,
    latencyMs: calls === 0 ? undefined : (change("readMs") + change("writeMs")) / calls,
  }
}

interface Disks {
  /** By the ids of their devices. */
  readonly byDevice: ReadonlyMap<string, ShownDisk>
  /** Nodes that have not answered, and why. */
  readonly unshown: NonNullable<DeviceDisks["unshown"]>
}

/** The disks of all nodes. */
export function useDisks(): Disks {
  const { value } = useLive<DeviceDisks>(mayUse("listDeviceDisks") ? "/v1/devices/disks" : undefined, EVERY_MS)
  const looks = useRef<{ now: DeviceDisks | undefined; shown: Disks }>({
    now: undefined,
    shown: { byDevice: new Map(), unshown: [] },
  })
  const { now, shown } = looks.current
  if (value === undefined || value === now) return shown
  const before = new Map(now?.disks.map(disk => [disk.device, disk]))
  const next = {
    byDevice: new Map(
      value.disks.map(disk => [disk.device, { ...disk, rates: ratesOf(before.get(disk.device), disk) }] as const),
    ),
    unshown: value.unshown ?? [],
  }
  looks.current = { now: value, shown: next }
  return next
}

const rateText = (calls: number, bytes: number): string =>
  calls === 0 ? "none" : `${calls < 10 ? calls.toFixed(1) : countText(Math.round(calls))}/s, ${sizeText(bytes)}/s`

const hasFacts = ({ io, failedCalls, health }: ShownDisk): boolean =>
  io !== undefined || failedCalls > 0 || health !== undefined

/** The column of a table of devices with what their disks do now, calls that failed, and health; none if nothing is known. */
export const diskColumns = (byDevice: Disks["byDevice"]): readonly Column<Device>[] =>
  [...byDevice.values()].some(hasFacts) ? [diskColumn(byDevice)] : []

const diskColumn = (byDevice: Disks["byDevice"]): Column<Device> => ({
  key: "disk",
  title: "Disk now",
  cell: ({ id }) => {
    const disk = byDevice.get(id)
    if (disk === undefined || !hasFacts(disk)) return "–"
    const { io, rates, failedCalls, health } = disk
    return (
      <div class="words">
        {io !== undefined && (
          <span>
            {rates ? `reads ${sizeText(rates.readBytes)}/s, writes ${sizeText(rates.writtenBytes)}/s` : "…"}
            {rates?.latencyMs !== undefined && `, ${latencyText(rates.latencyMs)} each`}
          </span>
        )}{" "}
        {failedCalls > 0 && <Badge kind="warning">{plural(failedCalls, "failed call")}</Badge>}{" "}
        <HealthBadge health={health} />
      </div>
    )
  },
})

/** Names the nodes whose disks are not shown. */
export const UnshownDisks = ({ unshown }: Pick<Disks, "unshown">) => (
  <>
    {unshown.map(({ node, reason }) => (
      <Notice key={node} kind="warning">
        The disks of node {node} are not shown: {reason}
      </Notice>
    ))}
  </>
)

function HealthBadge({ health }: Pick<ShownDisk, "health">) {
  if (health === undefined) return null
  const { isHealthy, celsius } = health
  const isWarm = celsius !== undefined && celsius >= WARM_CELSIUS
  const text = [
    ...(isHealthy === undefined ? [] : [isHealthy ? "healthy" : "failing"]),
    ...(celsius === undefined ? [] : [`${celsius} °C`]),
  ]
  return <Badge kind={isHealthy === false ? "danger" : isWarm ? "warning" : "good"}>{text.join(", ")}</Badge>
}

/** It shows nothing of a device that is not open. */
export function DiskSection({ disk }: { readonly disk: ShownDisk | undefined }) {
  if (disk === undefined) return null
  const { name, io, rates, failedCalls, health = {} } = disk
  const { model, serial, powerOnHours, wearPercent, reallocatedSectors } = health
  const facts: readonly (readonly [string, ComponentChildren])[] = [
    ["Name", name],
    ["Model", model],
    ["Serial number", serial],
    ["Health", disk.health && <HealthBadge health={disk.health} />],
    ["In use for", powerOnHours === undefined ? undefined : durationText(powerOnHours * HOUR_SECONDS)],
    ["Wear", wearPercent === undefined ? undefined : `${wearPercent} % of its writes`],
    ["Sectors that failed", reallocatedSectors === undefined ? undefined : countText(reallocatedSectors)],
    ...(io === undefined
      ? []
      : ([
          ["Reads now", rates ? rateText(rates.reads, rates.readBytes) : "…"],
          ["Writes now", rates ? rateText(rates.writes, rates.writtenBytes) : "…"],
          ["Each takes", rates?.latencyMs === undefined ? "–" : latencyText(rates.latencyMs)],
          ["Waiting", countText(io.inFlight)],
        ] as const)),
    [
      "Failed calls",
      failedCalls === 0 ? "none" : `${countText(failedCalls)} of this store since the device was opened`,
    ],
  ]
  return (
    <Section title="Disk" hint="As the system has it, with what others do on the same disk.">
      <Facts facts={facts.filter(([, value]) => value !== undefined)} />
    </Section>
  )
}
