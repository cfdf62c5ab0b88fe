/** The list of devices: state, fullness, weight; a filter for many of them. */
import { useSignal } from "@preact/signals"
import type { Device } from "../api/shapes.js"
import { TextField } from "../parts/fields.js"
import { durationText, percentText, plural, sizeText } from "../parts/format.js"
import { Badge } from "../parts/page.js"
import { Meter } from "../parts/progress.js"
import { EmptyState } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { pathTo } from "../shell/router.js"
import { diskColumns, UnshownDisks, useDisks } from "./devices-disk.js"
import { fullnessOf, kindOfState, placeOfDevice, shortNames } from "./safety-problems.js"

/** From this many devices on, there is a filter. */
const FILTER_MIN = 10

const METADATA = { yes: "replica", learning: "learning", no: "none" } as const

export function Fullness({ device }: { readonly device: Device }) {
  const share = fullnessOf(device)
  if (share === undefined) return <span class="faint">unknown</span>
  return <Meter label={`Used on ${placeOfDevice(device)}`} share={share} text={percentText(share)} />
}

const freeOf = ({ usableBytes, freeBytes }: Device): number => usableBytes ?? freeBytes

const nameColumn = (names: ReadonlyMap<string, string>): Column<Device> => ({
  key: "path",
  title: "Device",
  cell: device => (
    <div class="words">
      <a href={pathTo(["devices", device.id])}>{names.get(device.id)}</a>
      <p class="hint">{placeOfDevice(device)}</p>
    </div>
  ),
  sortBy: placeOfDevice,
})

const COLUMNS: readonly Column<Device>[] = [
  {
    key: "state",
    narrow: "end",
    title: "State",
    cell: ({ state, reason }) => (
      <>
        <Badge kind={kindOfState(state)}>{state}</Badge> <span class="faint">{reason}</span>
      </>
    ),
    sortBy: ({ state }) => state,
  },
  { key: "used", title: "Used", cell: device => <Fullness device={device} />, sortBy: d => fullnessOf(d) ?? -1 },
  {
    key: "free",
    title: "Free",
    align: "end",
    cell: device => (device.totalBytes > 0 ? sizeText(freeOf(device)) : "unknown"),
    sortBy: freeOf,
  },
  {
    key: "size",
    narrow: "minor",
    title: "Size",
    align: "end",
    cell: ({ totalBytes }) => (totalBytes > 0 ? sizeText(totalBytes) : "unknown"),
    sortBy: ({ totalBytes }) => totalBytes,
  },
  {
    key: "fullIn",
    title: "Full in",
    align: "end",
    cell: ({ fullInSeconds }) => (fullInSeconds === undefined ? "–" : durationText(fullInSeconds)),
    sortBy: ({ fullInSeconds = Infinity }) => fullInSeconds,
  },
  {
    key: "weight",
    narrow: "minor",
    title: "Weight",
    align: "end",
    cell: ({ weight }) => String(weight),
    sortBy: d => d.weight,
  },
  {
    key: "metadata",
    narrow: "minor",
    title: "Metadata",
    cell: ({ metadataReplica }) => METADATA[metadataReplica],
    sortBy: ({ metadataReplica }) => metadataReplica,
  },
]

interface Housed {
  readonly zone?: string | undefined
  readonly machine?: string | undefined
}

/** The column with zones and machines; none if no device has either. */
export const zoneColumns = <Row extends Housed>(devices: readonly Row[]): readonly Column<Row>[] =>
  devices.every(({ zone, machine }) => zone === undefined && machine === undefined)
    ? []
    : [
        {
          key: "zone",
          title: "Zone",
          cell: ({ zone = "–", machine }) => (machine === undefined ? zone : `${zone} / ${machine}`),
          sortBy: ({ zone = "", machine = "" }) => `${zone}/${machine}`,
        },
      ]

const textOf = (device: Device): string =>
  [placeOfDevice(device), device.id, device.state, device.zone, device.machine, device.reason].join(" ").toLowerCase()

export function DeviceList({ devices }: { readonly devices: readonly Device[] }) {
  const filter = useSignal("")
  const words = filter.value.toLowerCase().split(/\s+/)
  const rows = devices.filter(device => words.every(word => textOf(device).includes(word)))
  const { byDevice, unshown } = useDisks()
  return (
    <div class="card">
      <UnshownDisks unshown={unshown} />
      {devices.length >= FILTER_MIN && (
        <TextField
          label="Filter"
          type="search"
          value={filter}
          placeholder="folder, node, zone or state"
          hint={`${plural(rows.length, "device")} of ${devices.length}`}
        />
      )}
      <DataTable
        caption="Devices"
        columns={[nameColumn(shortNames(devices)), ...zoneColumns(devices), ...COLUMNS, ...diskColumns(byDevice)]}
        rows={rows}
        rowKey={({ id }) => id}
        sort={{ key: "path", isDown: false }}
        empty={
          <EmptyState title={devices.length === 0 ? "This store has no devices" : "No device matches"} icon="device" />
        }
      />
    </div>
  )
}
