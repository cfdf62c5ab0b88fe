/**
 * The image without a builder: what its `hayloft` does before the program runs, with a small one in its place, and the whole tree of
 * its files (deploy/image/make-tree.sh) in a root folder of its own, with the executable of a release in RELEASE_FOLDER. As root, on Debian.
 */
import assert from "node:assert/strict"
import { chownSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { chmod, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { findProgram, run, runOk, type CommandResult } from "../harness/commands.js"
import { ROOT } from "../harness/server.js"

const IMAGE = join(ROOT, "deploy/image")
const RELEASE = process.env["RELEASE_FOLDER"]
const SIZE_BYTES_MAX = 200 * 1000 * 1000
const isRoot = process.platform === "linux" && process.getuid?.() === 0
const skip = !isRoot
  ? "only root can give folders away"
  : findProgram("setpriv") === undefined && "setpriv is not installed"
const noTree =
  skip !== false
    ? skip
    : RELEASE === undefined
      ? "there is no RELEASE_FOLDER"
      : ["busybox", "curl", "unshare"].some(name => findProgram(name) === undefined) &&
        "busybox-static, curl or unshare is not installed"

let work = ""
let script = ""
before(async () => {
  work = await mkdtemp(join(tmpdir(), "hayloft-image-"))
  await chmod(work, 0o755)
  const program = join(work, "program")
  writeFileSync(program, `#!/bin/sh\necho "user $(id -u) group $(id -G) does $*"\n`, { mode: 0o755 })
  script = join(work, "hayloft")
  const text = readFileSync(join(IMAGE, "hayloft"), "utf8")
  assert.ok(text.includes("PROGRAM=/usr/bin/hayloft\n"))
  writeFileSync(script, text.replace("PROGRAM=/usr/bin/hayloft\n", `PROGRAM=${program}\n`), { mode: 0o755 })
})
after(() => rm(work, { recursive: true }))

let folders = 0

/** Makes a folder of a user; returns its path. */
function folderOf(uid: number, mode = 0o755): string {
  folders += 1
  const path = join(work, `folder${folders}`)
  mkdirSync(path, { mode })
  chownSync(path, uid, uid)
  return path
}

const ownerOf = (path: string): number => statSync(path).uid
const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}, uid = 0): Promise<CommandResult> =>
  run(script, args, { env: { HAYLOFT_DATA: join(work, "unused"), ...env }, ...(uid !== 0 && { uid, gid: uid }) })

test(
  "folders that root owns are given to user 1000, who runs the program; folders of others stay theirs",
  { skip },
  async () => {
    const [data, other, certificates] = [folderOf(0, 0o700), folderOf(2000), folderOf(0)]
    const { stdout } = await start(["server", data, other, "--certs-dir", certificates, "--console-address", ":9001"])
    assert.equal(
      stdout,
      `user 1000 group 1000 does server ${data} ${other} --certs-dir ${certificates} --console-address :9001\n`,
    )
    assert.deepEqual([data, other, certificates].map(ownerOf), [1000, 2000, 0])
  },
)

test("folders are found in all forms, and made where a volume is missing", { skip }, async () => {
  const parent = folderOf(0)
  const at = (name: string): string => join(parent, name)
  await start(["minio", "server", "--json", at("a{1...2}"), "--quiet"])
  await start(["serve", "--data", at("b"), "--data=" + at("c")])
  await start(["server"], { HAYLOFT_DATA: `${at("d")},${at("e{1...2}")}` })
  await start(["server", "--address", ":9000"], { MINIO_VOLUMES: `${at("f")} ${at("g")}` })
  for (const name of ["a1", "a2", "b", "c", "d", "e1", "e2", "f", "g"]) assert.equal(ownerOf(at(name)), 1000, name)
  // Other commands make nothing.
  assert.match((await start(["status", "--data", at("h")])).stdout, /^user 1000 .*does status/)
  assert.equal(existsSync(at("h")), false)
})

test("another user runs the program as itself, or is told what is in the way", { skip }, async () => {
  const [own, foreign] = [folderOf(1234), folderOf(0)]
  assert.match((await start(["server", own], {}, 1234)).stdout, /^user 1234 /)
  const { code, stdout, stderr } = await start(["server", foreign], {}, 1234)
  assert.deepEqual([code, stdout], [2, ""])
  assert.match(stderr, new RegExp(`^hayloft: user 1234 cannot write to ${foreign}, which belongs to user 0: chown it`))
})

test("without the capabilities that it needs it says which", { skip }, async () => {
  const without = (names: string, folder: string) =>
    run("setpriv", [`--bounding-set=${names}`, "--inh-caps=-all", script, "server", folder])
  assert.match((await without("-all", folderOf(1000))).stderr, /SETUID and SETGID: add them \(cap_add\)/)
  assert.match((await without("-all,+setuid,+setgid", folderOf(0))).stderr, /add the capability CHOWN \(cap_add\)/)
  const folder = folderOf(0)
  assert.match((await without("-all,+setuid,+setgid,+chown", folder)).stdout, /^user 1000 /)
  // In a folder that only its user may open.
  const closed = join(folderOf(1000, 0o750), "disk")
  for (const start of ["first", "second"]) {
    const { stdout, stderr } = await without("-all,+setuid,+setgid,+chown", closed)
    assert.match(stdout, /^user 1000 /, `${start} start: ${stderr}`)
  }
  assert.equal(ownerOf(closed), 1000)
})

test("a folder of the system is not given away by a link to it", { skip }, async () => {
  const [data, system] = [folderOf(1000), folderOf(0)]
  mkdirSync(join(system, "inner"))
  symlinkSync(system, join(data, "link"))
  for (const path of ["link", "link/", "link/inner"]) {
    const { code, stderr } = await start(["server", join(data, path)])
    assert.equal(code, 2, path)
    assert.match(stderr, /belongs to root, and a link leads there/)
  }
  assert.deepEqual([system, join(system, "inner")].map(ownerOf), [0, 0])
})

test("mc answers ready, and says what to use for all else", async () => {
  const { code, stderr } = await run(join(IMAGE, "mc"), ["mb", "local/x"])
  assert.equal(code, 1)
  assert.match(stderr, /this image has no client of MinIO.*HAYLOFT_BUCKETS/)
})

/** A container by hand: the tree read-only at the root, a folder at /data, networks and processes of its own, and few capabilities. */
const CONTAINER = `set -e
tree=$1 data=$2 command=$3
busybox ip link set lo up
mount --make-rprivate /
mount --bind "$tree" "$tree"
mount --bind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount --bind "$data" "$tree/data"
mount -o remount,ro,bind "$tree"
exec setpriv --bounding-set=-all,+chown,+setuid,+setgid,+sys_chroot --inh-caps=-all env -i PATH=/usr/local/bin:/usr/bin:/usr/sbin \\
  HAYLOFT_DATA=/unused HAYLOFT_LISTEN=0.0.0.0:9000 chroot "$tree" /bin/sh -c "$command"`

/** The folder of the volume belongs to root, and init scripts of others do the rest. */
const INSIDE = `set -e
mkdir -p /data/photos
minio server /data --console-address :9090 2>/tmp/log >/tmp/log &
server=$!
until hayloft health; do [ -d /proc/$server ]; sleep 0.1; done
mc ready local
curl -sf http://localhost:9000/minio/health/live
bash -c 'echo data | hayloft cp - s3://photos/first --data /data'
hayloft cp s3://photos/first - --data /data
grep -E "^(Uid|CapEff|NoNewPrivs)" /proc/$server/status
/usr/bin/setpriv --reuid=1000 --regid=1000 --clear-groups kill $server
wait $server && echo ended with $?`

test(
  "the tree of the image is small, names its packages, and serves from a folder of root's, read-only",
  { skip: noTree, timeout: 300_000 },
  async () => {
    const [tree, data] = [join(work, "tree"), folderOf(0)]
    await runOk("sh", [join(IMAGE, "make-tree.sh"), tree, join(RELEASE ?? "", "hayloft-linux-x64")])
    const [size = ""] = (await runOk("du", ["-s", "-b", tree])).split("\t")
    assert.ok(Number(size) < SIZE_BYTES_MAX, `${size} bytes`)
    assert.match(readFileSync(join(tree, "var/lib/dpkg/status.d/libc6"), "utf8"), /^Package: libc6$/m)
    assert.equal(ownerOf(join(tree, "data")), 1000)
    const tmp = join(work, "tmp")
    const args = [
      "-mpfn",
      "bash",
      "-c",
      CONTAINER.replace("exec setpriv", `mount -t tmpfs tmpfs "$tree/tmp"\nexec setpriv`),
    ]
    const { code, stdout, stderr } = await run("unshare", [...args, tmp, tree, data, INSIDE])
    assert.equal(code, 0, stdout + stderr)
    assert.match(stdout, /9090: ready\n/)
    assert.match(stdout, /^data$/m)
    assert.match(stdout, /^Uid:\t1000\t1000\t1000\t1000$/m)
    assert.match(stdout, /^CapEff:\t0+$/m)
    assert.match(stdout, /^NoNewPrivs:\t1$/m)
    assert.match(stdout, /ended with 0\n$/)
  },
)
