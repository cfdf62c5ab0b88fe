/**
 * `npm run release`: the files of a release, in dist/release.
 *
 *   hayloft-VERSION.tgz                 the npm package
 *   hayloft-VERSION.cdx.json            what it contains and depends on, as CycloneDX JSON
 *   hayloft-SYSTEM-PROCESSOR            executables (tools/executables.mjs)
 *   hayloft-VERSION-executables.cdx.json   what these contain: the same, Node, and what Node contains
 *   hayloft-VERSION-licences.txt        the licences of all of it
 *   hayloft_VERSION_ARCHITECTURE.deb    Debian packages of the executables for Linux (tools/debian.mjs)
 *   install.sh                          downloads, checks and installs an executable
 *   SHA256SUMS                          for `sha256sum --check`
 *   SHA256SUMS.sig                      its signature by the key of the releaser
 *
 *   --key FILE           signs with this private key, in PEM: `openssl ecparam -genkey -name prime256v1 -noout -out FILE`. Without
 *                        it, there is no signature, and install.sh says so.
 *   --sign               makes nothing, and signs the files that are there, by the key in the variable RELEASE_KEY
 *   --executables FOLDER takes executables that are there, made on machines of their own kinds, instead of making them
 *   --package-only       makes no executables and no packages of Debian
 *   --check              then tests the files as a user would: the tests of CHECKS, with these files
 *
 * The same commit gives the same files, but for times, signatures, and V8's code cache in executables.
 */
import { spawnSync } from "node:child_process"
import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto"
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { ARCHITECTURES, makeDebianPackage } from "./debian.mjs"
import { ensure } from "./ensure.mjs"
import { installedNodes, makeExecutable, TARGETS } from "./executables.mjs"
import { licenceTexts } from "./licences.mjs"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const OUTPUT_BYTES_MAX = 64 * 2 ** 20
/** Tests that take the files of a release from RELEASE_FOLDER. */
const CHECKS = ["tools/executable", "tools/install", "docs/image"]
const SUMS = "SHA256SUMS"
/** Parts of Node whose versions it names: others are of the system, of the build, or no software. */
const NO_PARTS = new Set(["node", "modules", "napi", "cldr", "tz", "unicode"])

/** Returns the output of npm in a folder. */
function npm(cwd, ...args) {
  const options = { cwd, encoding: "utf8", maxBuffer: OUTPUT_BYTES_MAX, stdio: ["ignore", "pipe", "inherit"] }
  const { status, stdout } = spawnSync("npm", args, options)
  if (status !== 0) throw new Error(`npm ${args.join(" ")} ended with ${status}`)
  return stdout
}

/** Writes the package and the list of its contents; returns the version. */
function makePackage(folder) {
  const [{ filename, version }] = JSON.parse(npm(ROOT, "pack", "--json", "--pack-destination", folder))
  writeFileSync(join(folder, filename.replace(/\.tgz$/, ".cdx.json")), listContents())
  return version
}

/**
 * Writes the files; returns their names.
 *
 * `key`: the private key that signs. `ready`: a folder with executables. `isPackageOnly`: no executables.
 */
export async function makeRelease(folder, { key, ready, isPackageOnly = false } = {}) {
  const signingKey = key === undefined ? undefined : parseKey(readFileSync(key), key)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const version = makePackage(folder)
  if (!isPackageOnly) await makePrograms(folder, version, ready)
  return completeRelease(folder, version, signingKey)
}

/** Adds the installer, which knows the key, the checksums, and their signature; returns the names of all files. */
export function completeRelease(folder, version, signingKey) {
  writeFileSync(join(folder, "install.sh"), installerOf(version, signingKey), { mode: 0o755 })
  const names = readdirSync(folder)
    .filter(name => !name.startsWith(SUMS))
    .sort()
  const sums = names.map(name => `${sha256(join(folder, name))}  ${name}\n`).join("")
  writeFileSync(join(folder, SUMS), sums)
  if (signingKey === undefined) return [...names, SUMS]
  writeFileSync(join(folder, `${SUMS}.sig`), sign("sha256", Buffer.from(sums), signingKey))
  return [...names, SUMS, `${SUMS}.sig`]
}

/** Writes executables, Debian packages, and what these contain. */
async function makePrograms(folder, version, ready) {
  const nodes = installedNodes()
  const licences = licenceTexts(nodes[0].folder)
  writeFileSync(join(folder, `hayloft-${version}-licences.txt`), licences)
  const contents = JSON.parse(readFileSync(join(folder, `hayloft-${version}.cdx.json`), "utf8"))
  const components = [...contents.components, ...partsOfNode(nodes)]
  writeFileSync(
    join(folder, `hayloft-${version}-executables.cdx.json`),
    JSON.stringify({ ...contents, components }, null, 2),
  )
  for (const target of Object.keys(TARGETS)) {
    const path = join(folder, `hayloft-${target}`)
    if (ready === undefined) await makeExecutable(target, path)
    else copyFileSync(join(ready, `hayloft-${target}`), path)
    const architecture = ARCHITECTURES[target]
    if (architecture !== undefined)
      makeDebianPackage(target, path, licences, join(folder, `hayloft_${version}_${architecture}.deb`))
  }
}

/** Each version of Node, and what it says of its parts. */
function partsOfNode(nodes) {
  return nodes.flatMap(({ versions }) => {
    const parts = Object.entries(versions).filter(([name]) => !NO_PARTS.has(name))
    return [
      componentOf("node", versions.node, "platform"),
      ...parts.map(([name, version]) => componentOf(name, version, "library", versions.node)),
    ]
  })
}

/** A component of a list in CycloneDX; `node` is the version of Node that contains it. */
const componentOf = (name, version, type, node) => ({
  "bom-ref": node === undefined ? `${name}@${version}` : `node@${node}|${name}@${version}`,
  type,
  name,
  version,
  purl: `pkg:generic/${name}@${encodeURIComponent(version)}`,
})

/** Returns the text of install.sh with the version, and with the public key of the releaser. */
export function installerOf(version, signingKey) {
  const text = readFileSync(join(ROOT, "deploy", "install.sh"), "utf8")
  const publicKey =
    signingKey === undefined ? "" : createPublicKey(signingKey).export({ type: "spki", format: "pem" }).trim()
  return text.replace("@VERSION@", version).replace("@PUBLIC_KEY@", publicKey)
}

/** Every openssl can check signatures of such keys, and LibreSSL, which macOS has, no others. Throws for another key. */
function parseKey(text, from) {
  const key = createPrivateKey(text)
  if (["ec", "rsa"].includes(key.asymmetricKeyType)) return key
  throw new Error(`${from}: a release is signed by an EC or RSA key, not by ${key.asymmetricKeyType}`)
}

/**
 * Lists the contents of a description without packages of development: with `--omit=dev` alone, npm leaves out those
 * that both need. The name of the folder is that of the component.
 */
function listContents() {
  const parent = mkdtempSync(join(tmpdir(), "hayloft-release-"))
  try {
    const { name, version, license, dependencies, overrides } = JSON.parse(readFileSync(join(ROOT, "package.json")))
    const folder = join(parent, name)
    mkdirSync(folder)
    const description = { name, version, license, dependencies, overrides }
    writeFileSync(join(folder, "package.json"), JSON.stringify(description))
    copyFileSync(join(ROOT, "package-lock.json"), join(folder, "package-lock.json"))
    npm(folder, "install", "--package-lock-only", "--offline", "--no-audit", "--no-fund", "--loglevel=error")
    return npm(folder, "sbom", "--package-lock-only", "--sbom-format=cyclonedx", "--sbom-type=application")
  } finally {
    rmSync(parent, { recursive: true })
  }
}

const sha256 = path => createHash("sha256").update(readFileSync(path)).digest("hex")

/** Tests the files of a release in a folder; returns whether they pass. */
async function check(folder) {
  await ensure({ dev: true })
  const tests = CHECKS.map(name => join(ROOT, "dist", "tests", `${name}.test.js`))
  const args = ["--require", join(ROOT, "tools", "plain-tests.cjs"), "--test", ...tests]
  const env = { ...process.env, RELEASE_FOLDER: folder }
  return spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit", env }).status === 0
}

/** Signs the files of a release that is there. */
function signed(folder) {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
  return completeRelease(folder, version, parseKey(process.env.RELEASE_KEY ?? "", "RELEASE_KEY"))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      key: { type: "string" },
      executables: { type: "string" },
      "package-only": { type: "boolean" },
      sign: { type: "boolean" },
      check: { type: "boolean" },
    },
  })
  const folder = join(ROOT, "dist", "release")
  const options = { key: values.key, ready: values.executables, isPackageOnly: values["package-only"] }
  const names = values.sign ? signed(folder) : await makeRelease(folder, options)
  for (const name of names) process.stdout.write(`${join(folder, name)}\n`)
  if (values.check && !(await check(folder))) process.exitCode = 1
}
