/**
 * The Debian package: an executable for Linux (tools/executables.mjs) with a systemd unit, a user, a config file and completion.
 *
 * Its contents are deploy/debian and, with other paths, the unit in deploy/systemd. It needs `dpkg-deb`.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const DEBIAN = join(ROOT, "deploy", "debian")
const PROGRAM = "/usr/bin/hayloft"
const CONFIG = "/etc/hayloft/hayloft.json"
const SCRIPTS = ["postinst", "prerm", "postrm"]

/** Debian's names of the processors of executables. */
export const ARCHITECTURES = { "linux-x64": "amd64", "linux-arm64": "arm64" }

/** Paths of the unit for a checkout, and those of the package. */
const PATHS = [
  ["/etc/systemd/system/hayloft.service", "/usr/lib/systemd/system/hayloft.service"],
  ["/usr/bin/node /opt/hayloft/bin/hayloft", PROGRAM],
  ["/etc/hayloft.json", CONFIG],
  ["=/srv/hayloft", "=/var/lib/hayloft"],
]

const LICENCES = `On Debian systems the text of this license is in /usr/share/common-licenses/Apache-2.0.
Those of what the program contains, Node.js and packages of npm, are in licences.txt.gz beside this file.
`

function unit() {
  const text = readFileSync(join(ROOT, "deploy", "systemd", "hayloft.service"), "utf8")
  return PATHS.reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`deploy/systemd/hayloft.service does not name ${from}`)
    return changed.replaceAll(from, to)
  }, text)
}

const controlOf = ({ version, description, homepage }, architecture, installedKib) => `Package: hayloft
Version: ${version}
Architecture: ${architecture}
Maintainer: The Hayloft authors <noreply@hayloft.invalid>
Installed-Size: ${installedKib}
Depends: adduser, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 5)
Recommends: ca-certificates
Section: net
Priority: optional
Homepage: ${homepage}
Description: ${description.replace(/^An? /, "")}
 Hayloft is one server, or several over a PostgreSQL database. It keeps objects
 erasure-coded over disks, and has a console, metrics and a command line.
`

function runOk(program, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    ...options,
  })
  if (status === 0) return stdout
  throw new Error(`${program} ${args.join(" ")} ended with ${error?.message ?? status}: ${stderr}`)
}

/**
 * Makes the package of an executable.
 *
 * `compression`: of `dpkg-deb -Z`; default: zstd, which Debian 12 and Ubuntu 22.04 can read, and which takes a tenth of the time of xz.
 */
export function makeDebianPackage(target, executable, licences, output, compression = "zstd") {
  const tree = mkdtempSync(join(tmpdir(), "hayloft-debian-"))
  try {
    chmodSync(tree, 0o755)
    const put = (path, content, mode = 0o644) => {
      mkdirSync(dirname(join(tree, path)), { recursive: true })
      writeFileSync(join(tree, path), content)
      chmodSync(join(tree, path), mode)
    }
    const description = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
    const completion = runOk(process.execPath, [join(ROOT, "bin", "hayloft"), "completion", "bash"])
    put("usr/share/bash-completion/completions/hayloft", completion)
    put("usr/lib/systemd/system/hayloft.service", unit())
    put(CONFIG, readFileSync(join(DEBIAN, "hayloft.json")))
    put("usr/share/doc/hayloft/changelog.gz", gzipSync(readFileSync(join(ROOT, "CHANGELOG.md")), { level: 9 }))
    put("usr/share/doc/hayloft/copyright", `${readFileSync(join(ROOT, "NOTICE"), "utf8")}\n${LICENCES}`)
    put("usr/share/doc/hayloft/licences.txt.gz", gzipSync(licences, { level: 9 }))
    mkdirSync(join(tree, "usr", "bin"))
    copyFileSync(executable, join(tree, PROGRAM))
    chmodSync(join(tree, PROGRAM), 0o755)
    const kib = Math.ceil(statSync(executable).size / 1024) + 1024
    put("DEBIAN/control", controlOf(description, ARCHITECTURES[target], kib))
    put("DEBIAN/conffiles", `${CONFIG}\n`)
    for (const name of SCRIPTS) put(`DEBIAN/${name}`, readFileSync(join(DEBIAN, name)), 0o755)
    runOk("dpkg-deb", ["--root-owner-group", `-Z${compression}`, "--build", tree, output])
  } finally {
    rmSync(tree, { recursive: true })
  }
}
