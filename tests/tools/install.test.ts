/**
 * install.sh and the Debian package, with a small program in the place of the executable, or with the files of a release in
 * RELEASE_FOLDER (`npm run release -- --check`).
 */
import assert from "node:assert/strict"
import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { pathToFileURL } from "node:url"
import { findProgram, run, runOk } from "../harness/commands.js"
import { ROOT } from "../harness/server.js"

interface ReleaseTool {
  completeRelease(folder: string, version: string, key: KeyObject | undefined): readonly string[]
  installerOf(version: string, key: KeyObject | undefined): string
}
interface DebianTool {
  makeDebianPackage(target: string, executable: string, licences: string, output: string, compression: string): void
}

const toolAt = async (name: string): Promise<unknown> => import(pathToFileURL(join(ROOT, "tools", name)).href)
const { completeRelease, installerOf } = (await toolAt("release.mjs")) as ReleaseTool
const { makeDebianPackage } = (await toolAt("debian.mjs")) as DebianTool

const RELEASE = process.env["RELEASE_FOLDER"]
const { version: VERSION } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string }
const PROGRAM = `#!/bin/sh\necho "hayloft ${VERSION} (a small one)"\n`
const KEYS = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
const NAME = `hayloft-linux-${process.arch}`
const noTools =
  process.platform !== "linux"
    ? "the test installs a program for Linux"
    : ["curl", "openssl"].some(name => findProgram(name) === undefined) && "curl or openssl is not installed"
const noPackages = findProgram("dpkg-deb") === undefined && "dpkg-deb is not installed"

let work = ""
/** Files of a release, by name, as they are served. */
const served = new Map<string, Buffer>()
let from = ""
const server = createServer((request, response) => {
  const body = served.get((request.url ?? "").slice(1))
  response.writeHead(body === undefined ? 404 : 200).end(body)
})
before(async () => {
  work = await mkdtemp(join(tmpdir(), "hayloft-install-"))
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  from = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
after(async () => {
  server.close()
  await rm(work, { recursive: true })
})

/** Serves a release of a version with a program, signed by a key. */
function serve(program: Buffer, { version = VERSION, key = KEYS.privateKey } = {}): void {
  const files = new Map([
    [NAME, program],
    [`hayloft-${version}.tgz`, Buffer.from("the package")],
  ])
  const sums = [...files]
    .map(([name, bytes]) => `${createHash("sha256").update(bytes).digest("hex")}  ${name}\n`)
    .join("")
  served.clear()
  for (const [name, bytes] of files) served.set(name, bytes)
  served.set("SHA256SUMS", Buffer.from(sums))
  served.set("SHA256SUMS.sig", sign("sha256", Buffer.from(sums), key))
}

let installs = 0

/** Runs install.sh; returns the folder, which has what was installed and nothing else, and what it says. */
async function install(
  installer: string,
  ...args: string[]
): Promise<{ to: string; files: string[]; said: string; code: number | null }> {
  installs += 1
  const to = join(work, `bin-${installs}`)
  const script = join(work, "install.sh")
  writeFileSync(script, installer)
  const { code, stdout, stderr } = await run("sh", [script, "--from", from, "--to", to, ...args])
  return { to, files: readdirSync(to), said: stdout + stderr, code }
}

test("install.sh puts one file into one folder, after it has checked it", { skip: noTools }, async () => {
  serve(Buffer.from(PROGRAM))
  const { to, files, said, code } = await install(installerOf(VERSION, KEYS.privateKey))
  assert.deepEqual([code, files], [0, ["hayloft"]], said)
  assert.equal(await runOk(join(to, "hayloft"), []), `hayloft ${VERSION} (a small one)\n`)
  assert.match(said, new RegExp(`^${to}/hayloft is hayloft [^\\n]*\\n.*${to}/hayloft serve\\n$`))
  await mkdir(join(work, `bin-${installs + 1}`, "hayloft"), { recursive: true })
  const refused = await install(installerOf(VERSION, KEYS.privateKey))
  assert.deepEqual([refused.code, refused.files], [1, ["hayloft"]])
  assert.match(refused.said, /\/hayloft is a folder, and would be the program/)
})

test("install.sh refuses what is not what was signed, and installs nothing", { skip: noTools }, async () => {
  const installer = installerOf(VERSION, KEYS.privateKey)
  const refused = async (pattern: RegExp, ...args: string[]): Promise<void> => {
    const { files, said, code } = await install(installer, ...args)
    assert.deepEqual([code, files], [1, []], said)
    assert.match(said, pattern)
  }
  serve(Buffer.from(PROGRAM))
  served.set(NAME, Buffer.from(`${PROGRAM}echo tampered\n`))
  await refused(/the checksum of .* is wrong: nothing was installed/)
  // With a checksum that fits.
  const signature = served.get("SHA256SUMS.sig")
  serve(Buffer.from(`${PROGRAM}echo tampered\n`))
  served.set("SHA256SUMS.sig", signature ?? Buffer.alloc(0))
  await refused(/the signature of .* is wrong: nothing was installed/)
  serve(Buffer.from(PROGRAM), { key: generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey })
  await refused(/the signature of .* is wrong/)
  serve(Buffer.from(PROGRAM), { version: "0.0.9" })
  await refused(/is not of version/)
  served.delete("SHA256SUMS.sig")
  await refused(/cannot download .*SHA256SUMS\.sig/)
  serve(Buffer.from("#!/bin/sh\nexit 1\n"))
  await refused(/does not run on this system/)
  await refused(/unknown option --elsewhere/, "--elsewhere").catch((error: unknown) => {
    // It has not made the folder yet.
    assert.ok(error instanceof Error && "code" in error && error.code === "ENOENT", String(error))
  })
})

test("a release that nobody has signed is installed only by those who say so", { skip: noTools }, async () => {
  serve(Buffer.from(PROGRAM))
  const unsigned = installerOf(VERSION, undefined)
  const plain = await install(unsigned)
  assert.deepEqual([plain.code, plain.files], [1, []])
  assert.match(plain.said, /this release is not signed/)
  assert.deepEqual((await install(unsigned, "--unsigned")).files, ["hayloft"])
  served.set(NAME, Buffer.from("tampered"))
  assert.match((await install(unsigned, "--unsigned")).said, /the checksum of .* is wrong/)
})

test(
  "the files of the release install and run",
  { skip: RELEASE === undefined && "there is no RELEASE_FOLDER" },
  async () => {
    const folder = RELEASE ?? ""
    served.clear()
    for (const name of readdirSync(folder)) served.set(name, readFileSync(join(folder, name)))
    const isSigned = served.has("SHA256SUMS.sig")
    const { to } = await install(readFileSync(join(folder, "install.sh"), "utf8"), ...(isSigned ? [] : ["--unsigned"]))
    assert.match(await runOk(join(to, "hayloft"), ["--version"]), new RegExp(`^hayloft ${VERSION} `))
    await runOk("sha256sum", ["--check", "--quiet", "SHA256SUMS"], { cwd: folder })
    const unpacked = join(work, "unpacked")
    await runOk("dpkg-deb", ["-x", join(folder, `hayloft_${VERSION}_amd64.deb`), unpacked])
    assert.match(await runOk(join(unpacked, "usr/bin/hayloft"), ["--version"]), new RegExp(`^hayloft ${VERSION} `))
  },
)

test(
  "the package of Debian has the program, a unit that names its paths, and a config file that upgrades keep",
  { skip: noPackages },
  async () => {
    const [program, file, folder] = ["program", "hayloft.deb", "tree"].map(name => join(work, name))
    assert.ok(program !== undefined && file !== undefined && folder !== undefined)
    writeFileSync(program, PROGRAM)
    makeDebianPackage("linux-arm64", program, "all licences", file, "none")
    const fieldOf = async (name: string) => (await runOk("dpkg-deb", ["--field", file, name])).trim()
    const fields = await Promise.all(["Package", "Version", "Architecture", "Depends"].map(fieldOf))
    assert.deepEqual(fields, ["hayloft", VERSION, "arm64", "adduser, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 5)"])
    const lines = (await runOk("dpkg-deb", ["--contents", file])).trim().split("\n")
    const entries = new Map(
      lines.map(line => [line.split(/\s+/).at(-1) ?? "", line.split(/\s+/).slice(0, 2).join(" ")]),
    )
    const expected = {
      "./": "drwxr-xr-x root/root",
      "./usr/bin/hayloft": "-rwxr-xr-x root/root",
      "./etc/hayloft/hayloft.json": "-rw-r--r-- root/root",
      "./usr/lib/systemd/system/hayloft.service": "-rw-r--r-- root/root",
      "./usr/share/bash-completion/completions/hayloft": "-rw-r--r-- root/root",
      "./usr/share/doc/hayloft/copyright": "-rw-r--r-- root/root",
      "./usr/share/doc/hayloft/licences.txt.gz": "-rw-r--r-- root/root",
    }
    for (const [path, mode] of Object.entries(expected)) assert.equal(entries.get(path), mode, path)
    await mkdir(folder)
    await runOk("dpkg-deb", ["--raw-extract", file, folder])
    const read = (path: string) => readFileSync(join(folder, path), "utf8")
    assert.equal(read("DEBIAN/conffiles"), "/etc/hayloft/hayloft.json\n")
    const unit = read("usr/lib/systemd/system/hayloft.service")
    assert.match(unit, /^ExecStart=\/usr\/bin\/hayloft serve --config \/etc\/hayloft\/hayloft\.json$/m)
    assert.match(unit, /^ReadWritePaths=\/var\/lib\/hayloft$/m)
    assert.doesNotMatch(unit, /node|\/opt|\/srv/)
    const { data } = JSON.parse(read("etc/hayloft/hayloft.json")) as { data: string }
    assert.equal(data, "/var/lib/hayloft")
    await runOk(process.execPath, [
      join(ROOT, "bin/hayloft"),
      "config",
      "validate",
      join(folder, "etc/hayloft/hayloft.json"),
    ])
    for (const name of ["postinst", "prerm", "postrm"]) await runOk("sh", ["-n", join(folder, "DEBIAN", name)])
    assert.equal(await runOk(join(folder, "usr/bin/hayloft"), []), `hayloft ${VERSION} (a small one)\n`)
    assert.ok(!existsSync(join(folder, "var")), "the data is not of the package, which would remove it")
  },
)

test(
  "files that are there are signed later, and again: openssl accepts them by the installer's key",
  { skip: noTools },
  async () => {
    const folder = await mkdtemp(join(work, "files-"))
    writeFileSync(join(folder, NAME), PROGRAM)
    assert.deepEqual(completeRelease(folder, VERSION, undefined), [NAME, "install.sh", "SHA256SUMS"])
    for (const key of [generateKeyPairSync("ec", { namedCurve: "prime256v1" }), KEYS]) {
      const names = completeRelease(folder, VERSION, key.privateKey)
      assert.deepEqual(names, [NAME, "install.sh", "SHA256SUMS", "SHA256SUMS.sig"])
      const [publicKey = ""] =
        /-----BEGIN PUBLIC KEY-----[^]*?-----END PUBLIC KEY-----/.exec(
          readFileSync(join(folder, "install.sh"), "utf8"),
        ) ?? []
      writeFileSync(join(folder, "../public.pem"), publicKey)
      const verifying = ["dgst", "-sha256", "-verify", "../public.pem", "-signature", "SHA256SUMS.sig", "SHA256SUMS"]
      await runOk("openssl", verifying, { cwd: folder })
      await runOk("sha256sum", ["--check", "--quiet", "SHA256SUMS"], { cwd: folder })
    }
  },
)

test("an upgrade whose store does not start again is complete, and says so", async () => {
  const folder = await mkdtemp(join(work, "upgrade-"))
  const systemd = join(folder, "systemd")
  await mkdir(systemd)
  const script = readFileSync(join(ROOT, "deploy/debian/postinst"), "utf8")
    .replaceAll("/run/systemd/system", systemd)
    .replaceAll("/var/lib/hayloft", folder)
  writeFileSync(join(folder, "systemctl"), `#!/bin/sh\necho "$*" >> ${folder}/calls\n[ "$1" != try-restart ]\n`, {
    mode: 0o755,
  })
  writeFileSync(join(folder, "getent"), "#!/bin/sh\n", { mode: 0o755 })
  const env = { PATH: `${folder}:${process.env["PATH"] ?? ""}` }
  const { code, stderr } = await run("sh", ["-c", script, "postinst", "configure", "0.0.9"], { env })
  assert.equal(readFileSync(join(folder, "calls"), "utf8"), "daemon-reload\ntry-restart hayloft.service\n")
  assert.deepEqual([code, stderr], [0, "hayloft: the store did not start again: journalctl -u hayloft says why\n"])
})
