/** The erasure of a bucket as text for people. Pure. */
import type { z } from "zod"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { printable } from "@hayloft/base/text/report-text.js"
import type { ERASURE } from "../store/store-schemas.js"

/** Returns the text about what an erasure waits for. */
export function erasureText({ keysReplaced, versions, uploads, devices }: z.output<typeof ERASURE>): string {
  const rows = versions + uploads === 0 ? [] : [`${plural(versions, "version")} and ${plural(uploads, "upload")} left`]
  if (!keysReplaced)
    return [
      "keys of the other buckets are sealed again, and the metadata is backed up (with --cluster, after --erased-keys-kept)",
      ...rows,
    ].join("; ")
  const names = devices.map(({ path, node, isOffline }) => {
    const place = node === undefined ? printable(path) : `${printable(path)} on ${node}`
    return isOffline ? `${place} (offline: until it returns or is forgotten)` : place
  })
  const waits = names.length === 0 ? [] : [`waits for ${names.join(", ")}, which may still have the old key`]
  return [...waits, ...rows].join("; ") || "ends"
}
