/**
 * Rows of leases. A lease says which process does a job, so that others save the work. It is no fence: a process that
 * has lost a lease may not know it yet. What it does must be safe if two do it at the same time. Pure.
 *
 * Promises  Of two processes that saw the same row only one takes the lease. A row that was taken, renewed or released
 *           since it was seen differs from what was seen.
 */
import type { RowKey } from "@hayloft/base/ids.js"
import { decodeLeaseRow, encodeLeaseRow, LEASE_ROWS, leaseRowKey, type LeaseRow } from "../format/nodes/cluster-rows.js"
import type { EntryWrite } from "../format/device/entry.js"
import { command, query, type DecisionTime, type MetadataRow, type Touches } from "../metadata/index.js"

interface LeaseView {
  ifPresent(family: "cluster", key: RowKey): MetadataRow | undefined
}

export const leaseTouches = (names: readonly string[]): Touches => names.map(name => ["cluster", leaseRowKey(name)])

/** In the order of their names' bytes. */
export const leaseRows = query("LeaseRows", view =>
  Array.from(view.range("cluster", LEASE_ROWS), ([, row]) => decodeLeaseRow(row.value)),
)

/** The writes that renew those of the leases that the deciding process has. */
export function renewals(view: LeaseView, { incarnations }: DecisionTime, names: readonly string[]) {
  return names.flatMap(name => {
    const key = leaseRowKey(name)
    const row = view.ifPresent("cluster", key)
    const lease = row && decodeLeaseRow(row.value)
    if (lease?.incarnation !== incarnations.own) return []
    const write: EntryWrite = { family: "cluster", key, value: encodeLeaseRow({ ...lease, beat: lease.beat + 1 }) }
    return [{ name, write }]
  })
}

/** Takes the lease if its row is the one that was seen (undefined: none). Returns whether it was taken. */
export const takeLease = command<[name: string, seen: Omit<LeaseRow, "name"> | undefined], boolean>({
  name: "TakeLease",
  grows: false,
  touches: name => leaseTouches([name]),
  decide(view, { incarnations }, name, seen) {
    const key = leaseRowKey(name)
    const row = view.ifPresent("cluster", key)
    const lease = row && decodeLeaseRow(row.value)
    if (lease?.incarnation !== seen?.incarnation || lease?.beat !== seen?.beat) return { writes: [], result: false }
    const value = encodeLeaseRow({ name, incarnation: incarnations.own, beat: (lease?.beat ?? 0) + 1 })
    return { writes: [{ family: "cluster", key, value }], result: true }
  },
})

/** Releases those of the leases that the process has: others may take them at once. */
export const releaseLeases = command<[names: readonly string[]], void>({
  name: "ReleaseLeases",
  grows: false,
  touches: names => leaseTouches(names),
  decide(view, { incarnations }, names) {
    const writes = names.flatMap((name): EntryWrite[] => {
      const key = leaseRowKey(name)
      const row = view.ifPresent("cluster", key)
      const lease = row && decodeLeaseRow(row.value)
      if (lease?.incarnation !== incarnations.own) return []
      const value = encodeLeaseRow({ name, incarnation: undefined, beat: lease.beat + 1 })
      return [{ family: "cluster", key, value }]
    })
    return { writes, result: undefined }
  },
})
