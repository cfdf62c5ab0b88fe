/**
 * Makes a checkout ready to run: dependencies installed, sources built.
 *
 * Uses the network only if the lockfile has changed since the last installation, so that a later
 * start works offline.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { createHash } from "node:crypto"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const STAMP = join(ROOT, "node_modules", ".hayloft-installed")

const lockHash = () =>
  createHash("sha256")
    .update(readFileSync(join(ROOT, "package-lock.json")))
    .digest("hex")

function installed(dev) {
  if (!existsSync(STAMP)) return false
  const [hash, kind] = readFileSync(STAMP, "utf8").split(" ")
  return hash === lockHash() && (kind === "all" || !dev)
}

function install(dev) {
  process.stderr.write("installing dependencies (once) ...\n")
  const args = ["ci", "--no-audit", "--no-fund", "--loglevel=error", ...(dev ? ["--include=dev"] : ["--omit=dev"])]
  const outcome = spawnSync("npm", args, { cwd: ROOT, stdio: ["ignore", 2, 2] })
  if (outcome.status !== 0) {
    process.stderr.write("hayloft: npm could not install the dependencies; see its message above\n")
    process.exit(1)
  }
  writeFileSync(STAMP, `${lockHash()} ${dev ? "all" : "production"}`)
}

/** Installs if needed (with the development dependencies when `dev`), then builds what is stale. */
export async function ensure({ dev }) {
  if (!installed(dev)) install(dev)
  const { build } = await import("./build.mjs")
  await build()
}
