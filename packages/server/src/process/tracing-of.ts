/** Tracing of a thread that serves; the packages for it are loaded only if there is a collector. */
import { readVersion } from "@hayloft/cli/version.js"
import type { ServeConfig } from "@hayloft/node/config/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

/** Returns undefined if nothing is traced. Throws `invalidConfig`. */
export async function tracingOf({ tracing, cluster }: ServeConfig, random: Random) {
  if (tracing === undefined) return undefined
  const { openTracing } = await import("./tracing.js")
  return openTracing({ ...tracing, version: readVersion(), node: cluster?.node }, random)
}
