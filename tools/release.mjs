/**
 * `npm run release`: the files of a release, in dist/release.
 *
 *   hayloft-VERSION.tgz         the npm package
 *   hayloft-VERSION.cdx.json    what it contains and depends on, as CycloneDX JSON
 *   SHA256SUMS                  for `sha256sum --check`
 *
 * The same commit gives the same package, but for the time in the list of contents.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const OUTPUT_BYTES_MAX = 64 * 2 ** 20

/** Returns the output of npm in a folder. */
function npm(cwd, ...args) {
  const options = { cwd, encoding: "utf8", maxBuffer: OUTPUT_BYTES_MAX, stdio: ["ignore", "pipe", "inherit"] }
  const { status, stdout } = spawnSync("npm", args, options)
  if (status !== 0) throw new Error(`npm ${args.join(" ")} ended with ${status}`)
  return stdout
}

/** Writes the files; returns their names. */
export function makeRelease(folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const [{ filename }] = JSON.parse(npm(ROOT, "pack", "--json", "--pack-destination", folder))
  writeFileSync(join(folder, filename.replace(/\.tgz$/, ".cdx.json")), listContents())
  const names = readdirSync(folder).sort()
  const sums = names.map(name => `${sha256(join(folder, name))}  ${name}\n`)
  writeFileSync(join(folder, "SHA256SUMS"), sums.join(""))
  return [...names, "SHA256SUMS"]
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

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = join(ROOT, "dist", "release")
  for (const name of makeRelease(folder)) process.stdout.write(`${join(folder, name)}\n`)
}
