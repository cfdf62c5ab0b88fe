/** The npm package: what it contains, and that it serves a store where nothing else of this project is. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { tmpdir } from "node:os"
import { bindChild, findProgram, run, runOk } from "../harness/commands.js"
import * as library from "@hayloft/client/library.js"
import type * as Declared from "../../declarations/client.js"
import * as tables from "@hayloft/engine/table-files/library.js"
import type * as DeclaredTables from "../../declarations/table.js"
import * as erasure from "@hayloft/engine/erasure/library.js"
import type * as DeclaredErasure from "../../declarations/erasure.js"
import * as placement from "@hayloft/engine/placement/library.js"
import type * as DeclaredPlacement from "../../declarations/placement.js"
import * as simulation from "@hayloft/base/simulation/library.js"
import type * as DeclaredSimulation from "../../declarations/simulation.js"
import * as volumes from "@hayloft/engine/volume-store/library.js"
import type * as DeclaredVolumes from "../../declarations/volumes.js"
import { withRegistry } from "../harness/registry.js"
import { ROOT } from "../harness/server.js"
import { compareTypes, type CanStandFor } from "./strict-types.js"

const START_MS_MAX = 120_000
const POLL_MS = 50
/** Bytes of a tarball that a mistake in `files` would exceed. */
const BYTES_MAX = 12 * 2 ** 20
const BUILD_TOOLS = ["esbuild", "typescript", "preact", "@preact/signals"]

interface Description {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
}

const { version, dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Description

let work = ""
/** The files of a release, in `release` of the folder. */
let released: readonly string[] = []
const tarball = (): string => join(work, "release", `hayloft-${version}.tgz`)
before(async () => {
  work = await mkdtemp(join(tmpdir(), "hayloft-package-"))
  const { makeRelease } = (await import(pathToFileURL(join(ROOT, "tools/release.mjs")).href)) as {
    makeRelease: (folder: string, options: { isPackageOnly: boolean }) => Promise<string[]>
  }
  // To pack takes seconds, so the package is that of the release.
  released = await makeRelease(join(work, "release"), { isPackageOnly: true })
})
after(() => rm(work, { recursive: true, force: true }))

test("the package contains the program, its documents and source maps, and no sources, tests or build tools", async () => {
  const listed = (await runOk("tar", ["-tzf", tarball()])).trimEnd().split("\n")
  assert.deepEqual(
    listed.filter(path => !path.startsWith("package/")),
    [],
  )
  const paths = listed.map(path => path.replace("package/", ""))
  for (const path of [
    "LICENSE",
    "NOTICE",
    "README.md",
    "CHANGELOG.md",
    "bin/hayloft",
    "docs/guide/install.md",
    "dist/bundle/hayloft.cjs",
    "dist/bundle/hayloft.cjs.map",
    "dist/web/index.html",
    "dist/bundle/client.cjs",
    "declarations/client.d.ts",
    "dist/bundle/table.cjs",
    "declarations/table.d.ts",
    "dist/bundle/erasure.cjs",
    "declarations/erasure.d.ts",
    "dist/bundle/placement.cjs",
    "declarations/placement.d.ts",
    "dist/bundle/simulation.cjs",
    "declarations/simulation.d.ts",
    "dist/bundle/volumes.cjs",
    "declarations/volumes.d.ts",
  ])
    assert.ok(paths.includes(path), path)
  const expected =
    /^(bin|docs|declarations|dist\/bundle|dist\/web)\/|^(LICENSE|NOTICE|README|CHANGELOG|SECURITY|package)(\.\w+)?$/
  assert.deepEqual(
    paths.filter(path => !expected.test(path) || /(?<!\.d)\.(ts|tsx|cache)$|\.test\./.test(path)),
    [],
  )
  const { size } = statSync(tarball())
  assert.ok(size < BYTES_MAX, `${size} bytes`)
})

test("its description is complete, and build tools are no dependencies", () => {
  const description = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Record<string, unknown>
  for (const name of ["description", "license", "repository", "bugs", "homepage", "keywords", "exports", "engines"])
    assert.ok(description[name] !== undefined, name)
  assert.equal(description["private"], undefined)
  const names = Object.keys(description["dependencies"] as object)
  assert.deepEqual(
    names.filter(name => BUILD_TOOLS.includes(name)),
    [],
  )
})

interface Reader {
  read(key: string): Promise<Reader>
}

interface WiderReader {
  read(key: string | number): Promise<WiderReader>
}

test("a declaration whose methods take more than there is does not compile", () => {
  // The compiler alone assigns it, since these are methods.
  const assigned = (there: Reader): WiderReader => there
  const same: CanStandFor<Reader, WiderReader> = true
  const returned: CanStandFor<() => Map<string, WiderReader>, () => Map<string, Reader>> = false
  const passed: CanStandFor<(use: (it: WiderReader) => void) => void, (use: (it: Reader) => void) => void> = false
  const wider: CanStandFor<WiderReader, Reader> = false
  assert.deepEqual([typeof assigned, same, wider, returned, passed], ["function", true, false, false, false])
})

test("the client is what its types say", () => {
  const declared: typeof Declared = library
  compareTypes<typeof Declared, typeof library>(there => there)
  assert.deepEqual(Object.keys(declared).sort(), ["RemoteFailure", "Unreachable", "connectCoordination"])
})

test("the library of tables is what its types say", () => {
  const declared: typeof DeclaredTables = tables
  compareTypes<typeof DeclaredTables, typeof tables>(there => there)
  assert.deepEqual(Object.keys(declared).sort(), ["buildTable", "openTable"])
})

test("the library of erasure codes is what its types say", () => {
  const declared: typeof DeclaredErasure = erasure
  compareTypes<typeof DeclaredErasure, typeof erasure>(there => there)
  assert.deepEqual(Object.keys(declared), ["ErasureCode"])
})

test("the library of placement is what its types say", () => {
  const declared: typeof DeclaredPlacement = placement
  compareTypes<typeof DeclaredPlacement, typeof placement>(there => there)
  assert.deepEqual(Object.keys(declared).sort(), ["compareDurability", "openLayout", "planLayout"])
})

test("the library of simulation is what its types say", () => {
  const declared: typeof DeclaredSimulation = simulation
  compareTypes<typeof DeclaredSimulation, typeof simulation>(there => there)
  assert.deepEqual(Object.keys(declared).sort(), ["findFailure", "simulate"])
})

test("the library of volumes is what its types say", () => {
  const declared: typeof DeclaredVolumes = volumes
  compareTypes<typeof DeclaredVolumes, typeof volumes>(there => there)
  assert.deepEqual(Object.keys(declared).sort(), ["VolumeError", "fsckVolumes", "openVolumes", "rebuildIndex"])
})

test("npx hayloft serves in an empty folder where only the package was installed", async t => {
  if (findProgram("tar") === undefined) return t.skip("tar is not installed")
  const folder = join(work, "empty")
  await mkdir(folder)
  const env = { npm_config_cache: join(work, "cache"), npm_config_update_notifier: "false" }
  const inFolder = { cwd: folder, env: { ...env, HAYLOFT_DATA: join(folder, "data") } }
  await withRegistry(async registry => {
    await runOk("npm", ["install", "--registry", registry, "--no-audit", "--no-fund", tarball()], inFolder)
  })
  const installed = readdirSync(join(folder, "node_modules"))
  assert.ok(installed.includes("hayloft"))
  assert.deepEqual(
    installed.filter(name => BUILD_TOOLS.includes(name)),
    [],
  )
  const hayloft = (...args: string[]) => runOk("npx", ["--no-install", "hayloft", ...args], inFolder)
  assert.match(await hayloft("--version"), new RegExp(`^hayloft ${version.replaceAll(".", "\\.")} `))
  const ports = { HAYLOFT_LISTEN: "127.0.0.1:0", HAYLOFT_ADMIN_LISTEN: "127.0.0.1:0", HAYLOFT_COORDINATION: "yes" }
  const child = spawn("npx", ["--no-install", "hayloft", "serve"], {
    cwd: folder,
    // A group of its own, as in a terminal.
    detached: true,
    env: { ...process.env, ...inFolder.env, ...ports },
    stdio: ["ignore", "pipe", "pipe"],
  })
  bindChild(child)
  let output = ""
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text))
  const exited = new Promise<number | null>(resolve => void child.once("close", code => resolve(code)))
  try {
    for (const endMs = performance.now() + START_MS_MAX; !/npx hayloft cp /.test(output); await later(POLL_MS))
      assert.ok(child.exitCode === null && performance.now() < endMs, output)
    writeFileSync(join(folder, "hello.txt"), "hello")
    await hayloft("cp", "hello.txt", "s3://first/")
    assert.equal(await hayloft("cp", "s3://first/hello.txt", "-"), "hello")
    await clientWorks(folder, await hayloft("env", "--admin"))
    process.kill(-(child.pid ?? 0), "SIGINT")
    await exited
    assert.match(output, /hayloft: stopped\n$/)
  } finally {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), "SIGKILL")
  }
  await sourcesAreNamed(join(folder, "node_modules", "hayloft", "bin", "hayloft"), join(folder, "never"))
})

const PROGRAM = `import { connectCoordination, RemoteFailure, type CoordLock } from "hayloft/client"
const { HAYLOFT_ADMIN_ENDPOINT: endpoint = "", HAYLOFT_ADMIN_TOKEN: token = "" } = process.env
const client = connectCoordination({ endpoint, token })
const session = await client.begin({ name: "program" })
const lock: CoordLock | undefined = await session.acquire("package/lock")
const failed = await session.write("package/file", "x", { ifVersion: 7 }).catch((error: unknown) => error)
console.log(lock?.fence.startsWith("package/lock:"), await lock?.isHeld(), failed instanceof RemoteFailure && failed.status)
await session.end()
client.close()
`

/** A program of another project uses the client, and its types. */
async function clientWorks(folder: string, environment: string): Promise<void> {
  const file = join(folder, "program.mts")
  writeFileSync(file, PROGRAM)
  // The compiler's own declarations are left out, and those of the package are not.
  const strict = ["--strict", "--skipDefaultLibCheck"]
  const options = ["--module", "nodenext", "--target", "es2022", ...strict, "--types", "node"]
  const types = ["--typeRoots", join(ROOT, "node_modules/@types")]
  await runOk(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), ...options, ...types, file], {
    cwd: folder,
  })
  const env = Object.fromEntries(
    [...environment.matchAll(/export (\w+)='?([^'\n]*)/g)].map(([, name = "", value = ""]) => [name, value]),
  )
  assert.equal(await runOk(process.execPath, [join(folder, "program.mjs")], { cwd: folder, env }), "true true 412\n")
}

/** With Node's own option, the positions of an error are those in the TypeScript files. */
async function sourcesAreNamed(program: string, data: string): Promise<void> {
  const plant = join(work, "plant.cjs")
  writeFileSync(plant, `require("node:fs").readdir = () => { throw new Error("planted") }`)
  await mkdir(data)
  const args = ["--enable-source-maps", "--require", plant, program, "serve", "--data", data]
  const { code, stderr } = await run(process.execPath, [
    ...args,
    "--listen",
    "127.0.0.1:0",
    "--admin-listen",
    "127.0.0.1:0",
  ])
  assert.notEqual(code, 0)
  assert.match(stderr, /packages\/base\/src\/seams\/disk\/real\.ts:\d+:\d+/)
  assert.equal(existsSync(join(data, "superblock")), false)
}

test("a release has the package, the list of its contents, and checksums that fit", () => {
  const folder = join(work, "release")
  const [sbom = "", packed = "", installer = "", sums = ""] = released
  assert.deepEqual(released, [`hayloft-${version}.cdx.json`, `hayloft-${version}.tgz`, "install.sh", "SHA256SUMS"])
  const hash = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(folder, name)))
      .digest("hex")
  assert.equal(
    readFileSync(join(folder, sums), "utf8"),
    [sbom, packed, installer].map(name => `${hash(name)}  ${name}\n`).join(""),
  )
  const contents = JSON.parse(readFileSync(join(folder, sbom), "utf8")) as {
    bomFormat: string
    components: readonly { name: string; version: string }[]
  }
  assert.equal(contents.bomFormat, "CycloneDX")
  for (const [name, wanted] of Object.entries(dependencies))
    assert.equal(contents.components.find(each => each.name === name)?.version, wanted, name)
  assert.equal(
    contents.components.find(({ name }) => BUILD_TOOLS.includes(name)),
    undefined,
  )
})
