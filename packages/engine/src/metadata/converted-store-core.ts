/** Determines whether a database keeps the metadata of a store that was converted, or is being converted. Pure. */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { ConversionRow } from "../format/nodes/cluster-rows.js"

/** Returns why no node may use the database; undefined: it keeps the metadata, as far as the row shows. */
export function whyElsewhere(conversion: ConversionRow | undefined): Failure | undefined {
  if (conversion === undefined || conversion.state === "active") return undefined
  const { state, node } = conversion
  const place = node === undefined ? "its disks" : `the disks of node ${node}`
  const message = {
    copying: "the metadata of the store is being moved to this database: first start the node that has its disks",
    copied: "the metadata of the store is being moved to this database: first start the node that has its disks",
    leaving: `the store is leaving this database, or has left it: its metadata moves to ${place}. Start that node first, and, if the store has left, use that node`,
    left: `the store has left this database: its metadata is on ${place} since. Stop this process, and use that node`,
  }[state]
  return fail("metadataElsewhere", { message })
}
