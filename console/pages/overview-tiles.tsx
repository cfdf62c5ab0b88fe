/** The figures of the store in four tiles, each with the page that shows more. */
import type { ComponentChildren } from "preact"
import type { Buckets, Device, Status, Traffic } from "../api/shapes.js"
import { countText, percentText, plural, shareOf, sizeText } from "../parts/format.js"
import { pathTo } from "../shell/router.js"

const FULL_SHARES = [
  [0.9, "danger"],
  [0.75, "warning"],
] as const

/** Folders on one file system have the same bytes: each disk counts once. */
export function capacityOf(devices: readonly Device[]): { readonly totalBytes: number; readonly freeBytes: number } {
  const disks = new Map<string, Device>()
  for (const device of devices) {
    const { id, node = "", machine = "", disk = id } = device
    disks.set(`${node}\n${machine}\n${disk}`, device)
  }
  const sum = (of: (device: Device) => number) => [...disks.values()].reduce((total, device) => total + of(device), 0)
  return { totalBytes: sum(({ totalBytes }) => totalBytes), freeBytes: sum(({ freeBytes }) => freeBytes) }
}

function Tile(props: {
  readonly title: string
  readonly to: string
  readonly value: ComponentChildren
  readonly children: ComponentChildren
}) {
  const { title, to, value, children } = props
  return (
    <a class="figure-tile" href={to}>
      <span class="figure-title">{title}</span>
      <span class="figure-value">{value}</span>
      <span class="figure-note">{children}</span>
    </a>
  )
}

function Capacity({ status }: { readonly status: Status }) {
  const { totalBytes, freeBytes } = capacityOf(status.devices)
  const share = shareOf(totalBytes - freeBytes, totalBytes)
  const kind = FULL_SHARES.find(([from]) => share >= from)?.[1] ?? ""
  return (
    <Tile
      title="Capacity"
      to={pathTo(["devices"])}
      value={totalBytes === 0 ? "counting…" : `${sizeText(freeBytes)} free`}
    >
      <meter class={kind} value={share} aria-label="Used share of the disks" />
      {percentText(share)} of {sizeText(totalBytes)} in use
    </Tile>
  )
}

function Requests({ traffic: { total, seconds } }: { readonly traffic: Traffic }) {
  const errors = total.clientErrors + total.serverErrors
  return (
    <Tile title="Requests now" to={pathTo(["traffic"])} value={`${(total.requests / seconds).toFixed(1)}/s`}>
      {errors === 0 ? "no errors in the last minute" : `${plural(errors, "error")} in the last minute`}
    </Tile>
  )
}

function OfBuckets({ list: { buckets, next } }: { readonly list: Buckets }) {
  const sum = (of: (usage: Buckets["buckets"][number]["usage"]) => number) =>
    buckets.reduce((total, { usage }) => total + of(usage), 0)
  const count = plural(buckets.length, "bucket")
  return (
    <>
      <Tile title="Objects" to={pathTo(["buckets"])} value={countText(sum(({ objects }) => objects))}>
        {next === undefined ? `in ${count}` : `in the first ${count}`}
      </Tile>
      <Tile title="Stored" to={pathTo(["buckets"])} value={sizeText(sum(({ bytes }) => bytes))}>
        before redundancy
      </Tile>
    </>
  )
}

/** `list`: undefined until it has arrived, or if it may not be seen. */
export function Tiles(props: {
  readonly list: Buckets | undefined
  readonly status: Status | undefined
  readonly traffic: Traffic | undefined
}) {
  const { list, status, traffic } = props
  return (
    <div class="figure-tiles">
      {list && <OfBuckets list={list} />}
      {status && <Capacity status={status} />}
      {traffic && <Requests traffic={traffic} />}
    </div>
  )
}
