/**
 * Makes a checkout ready to run: dependencies installed, sources built.
 *
 * Uses the network only if the lockfile has changed since the last installation, so that a later
 * start works offline. An installation never removes a package that a running store may use. A start needs the dependencies of the program and the packages that build it, which are a small
 * part of the development dependencies.
 *
 *   node tools/ensure.mjs     what `npm start` does before it serves
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { createHash } from "node:crypto"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const STAMP = join(ROOT, "node_modules", ".hayloft-installed")

/** The packages that `tools/build.mjs` uses, and those that it puts into the web console. */
const BUILD_PACKAGES = ["esbuild", "preact", "@preact/signals"]

const lockHash = () =>
  createHash("sha256")
    .update(readFileSync(join(ROOT, "package-lock.json")))
    .digest("hex")

function installed(dev) {
  if (!existsSync(STAMP)) return false
  const [hash, kind] = readFileSync(STAMP, "utf8").split(" ")
  return hash === lockHash() && (kind === "all" || !dev)
}

/** `npm ci` removes node_modules first: it is for a checkout without one. */
export function installation({ dev, hasPackages }) {
  if (!dev) return ["install", "--no-save", "--save-prod", "--omit=dev", ...buildPackages()]
  return hasPackages ? ["install", "--no-save", "--include=dev"] : ["ci", "--include=dev"]
}

function install(dev) {
  process.stderr.write("installing dependencies (once) ...\n")
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
  const args = installation({ dev, hasPackages: existsSync(join(ROOT, "node_modules")) })
  const outcome = spawnSync("npm", [...args, ...quiet], { cwd: ROOT, stdio: ["ignore", 2, 2] })
  if (outcome.status !== 0) {
    process.stderr.write("hayloft: npm could not install the dependencies; see its message above\n")
    process.exit(1)
  }
  writeFileSync(STAMP, `${lockHash()} ${dev ? "all" : "production"}`)
}

/** With the versions of the lockfile. */
function buildPackages() {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
  return BUILD_PACKAGES.map(name => `${name}@${devDependencies[name]}`)
}

/** Installs if needed (all development dependencies when `dev`), then builds what is stale, of these packages only if some are given. */
export async function ensure({ dev, packages }) {
  if (!installed(dev)) install(dev)
  const { build } = await import("./build.mjs")
  await build(packages)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await ensure({ dev: false })
