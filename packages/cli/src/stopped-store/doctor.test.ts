/** Tests of what doctor concludes from facts, and of the facts of a real machine. */
import assert from "node:assert/strict"
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { GIB, MIB } from "@hayloft/base/limits.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { doctorCommand } from "./doctor-command.js"
import { doctorFindings, type DoctorFacts, type FolderFacts } from "./doctor-core.js"
import { messageOf } from "../exit-codes.js"
import { runHayloft } from "../testing-process.js"
import { testIo } from "../testing-io.js"

const NOW_MS = Date.UTC(2030, 0, 1)
const DAY_MS = 86_400_000

const folder = (path: string, of: Partial<FolderFacts> = {}): FolderFacts => ({
  path,
  isDevice: true,
  isInUse: false,
  isWritable: true,
  disks: [`disk of ${path}`],
  space: { totalBytes: 1000 * GIB, freeBytes: 500 * GIB, fileSystemId: `fs of ${path}`, fileSystemKind: "xfs" },
  inodes: { total: 1000, free: 900 },
  ...of,
})
const space = (of: Partial<NonNullable<FolderFacts["space"]>>): Partial<FolderFacts> => ({
  space: { totalBytes: 1000 * GIB, freeBytes: 500 * GIB, fileSystemId: "one", fileSystemKind: "xfs", ...of },
})

const WELL: DoctorFacts = {
  nowMs: NOW_MS,
  nodeVersion: "22.1.0",
  settings: [],
  clock: "synchronised",
  nodeClocks: [],
  store: undefined,
  folders: [folder("/a"), folder("/b")],
  systemFileSystem: "fs of /",
  limits: { openFiles: 65_536, memoryBytes: 8 * GIB, connectionsQueued: 4_096 },
  wanted: { openFiles: 11_000, connectionsQueued: 4_096 },
  ports: [{ flag: "--listen", address: "127.0.0.1:9000", trouble: undefined }],
  certificates: [{ path: "/c.pem", fromMs: NOW_MS - DAY_MS, untilMs: NOW_MS + 60 * DAY_MS }],
  secretFiles: [{ path: "/m.key", what: "the master key", mode: 0o100600 }],
  database: undefined,
}

/** Findings that are not ok, as `level check: found`. */
const trouble = (of: Partial<DoctorFacts>): string[] =>
  doctorFindings({ ...WELL, ...of })
    .filter(({ level }) => level !== "ok")
    .map(({ level, check, found }) => `${level} ${check}: ${found}`)

test("a machine that is well has only findings that say so, one for each check", () => {
  assert.deepEqual(trouble({}), [])
  const checks = doctorFindings(WELL).map(({ check }) => check)
  for (const check of ["node", "clock", "folder", "space", "inodes", "disks", "port", "certificate", "secrets"])
    assert.ok(checks.includes(check), check)
})

const CASES: readonly (readonly [name: string, of: Partial<DoctorFacts>, ...expected: RegExp[]])[] = [
  ["an old Node", { nodeVersion: "18.20.4" }, /^problem node: Node 18\.20\.4 is too old/],
  [
    "wrong settings",
    { settings: ["--listen: wrong", "x"] },
    /^problem settings: --listen: wrong$/,
    /^problem settings: x/,
  ],
  ["a clock that runs free", { clock: "not synchronised" }, /^problem clock: .*chrony/],
  ["a clock whose state is unknown", { clock: "unknown" }, /^warning clock: .*timedatectl/],
  [
    "clocks of nodes that differ",
    {
      nodeClocks: [
        { name: "n1", aheadMs: 900, uncertainMs: 10 },
        { name: "n2", aheadMs: -5_000, uncertainMs: 1_000 },
        { name: "n3", aheadMs: 70_000, uncertainMs: 10 },
      ],
    },
    /^warning clock of n2: at least 4 s behind/,
    /^problem clock of n3: at least 1 min ahead of/,
  ],
  [
    "a disk that is not mounted, without and with its mount point",
    { folders: [{ path: "/a", trouble: "ENOENT" }, folder("/b"), folder("/c", { isDevice: false })] },
    /^problem folder: \/a does not exist.*mount its disk/,
    /^warning folder: \/c has no device of the store, other folders have: is its disk not mounted/,
  ],
  ["no store yet", { folders: [{ path: "/a", trouble: "ENOENT" }] }, /^warning folder: \/a .* serve creates it/],
  [
    "a disk with errors",
    { folders: [{ path: "/a", trouble: "EIO" }] },
    /^problem folder: \/a cannot be looked at \(EIO\)/,
  ],
  ["a folder of another user", { folders: [folder("/a", { isWritable: false })] }, /^problem folder: .*chown/],
  [
    "a disk in memory",
    { folders: [folder("/a", space({ fileSystemKind: "tmpfs" }))] },
    /^warning file system: .*power cut/,
  ],
  [
    "a remote disk",
    { folders: [folder("/a", space({ fileSystemKind: "nfs" }))] },
    /^warning file system: .*handles a sync/,
  ],
  [
    "a disk that fills up",
    { folders: [folder("/a", space({ freeBytes: 99 * GIB }))] },
    /^warning space: \/a: 99\.0 GiB of/,
  ],
  ["a full disk", { folders: [folder("/a", space({ freeBytes: 19 * GIB }))] }, /^problem space: /],
  [
    "no inodes",
    { folders: [folder("/a", { inodes: { total: 1000, free: 1 } })] },
    /^problem inodes: \/a: 1 of 1000 free/,
  ],
  ["a file system without inodes", { folders: [folder("/a", { inodes: { total: 0, free: 0 } })] }],
  [
    "two folders on one file system, said once",
    { folders: [folder("/a", { ...space({}), disks: ["sda"] }), folder("/b", { ...space({}), disks: ["sda"] })] },
    /^warning disks: \/a, \/b are on one file system and fail together/,
  ],
  [
    "two partitions of one disk",
    { folders: [folder("/a", { disks: ["sda"] }), folder("/b", { disks: ["sdb", "sda"] }), folder("/c")] },
    /^warning disks: \/a, \/b are on one disk \(sda\)/,
  ],
  [
    "one folder on the system disk, the others not",
    { systemFileSystem: "fs of /b" },
    /^warning disks: \/b: on the system disk, the others are not: is a disk not mounted there/,
  ],
  ["all folders on the system disk", { folders: [folder("/b")], systemFileSystem: "fs of /b" }],
  [
    "few open files",
    { limits: { ...WELL.limits, openFiles: 4_096 } },
    /^warning open files: at most 4096, .*LimitNOFILE/,
  ],
  ["very few open files", { limits: { ...WELL.limits, openFiles: 256 } }, /^problem open files: /],
  ["little memory", { limits: { ...WELL.limits, memoryBytes: 128 * MIB } }, /^problem memory: 128\.0 MiB/],
  ["a short queue", { limits: { ...WELL.limits, connectionsQueued: 128 } }, /^warning somaxconn: 128.*sysctl/],
  [
    "a port that is taken",
    { ports: [{ flag: "--listen", address: "a:1", trouble: "a:1 is in use by another process; choose another" }] },
    /^problem port: a:1 is in use by another process/,
  ],
  [
    "a taken port of a gateway, which may run",
    { ports: [{ flag: "--listen", address: "a:1", trouble: "a:1 is in use by another process" }], folders: [] },
    /^warning port: a:1 is in use, by this node or by another process/,
  ],
  [
    "a port that the running store has",
    {
      ports: [{ flag: "--listen", address: "a:1", trouble: "a:1 is in use by another process" }],
      folders: [folder("/a", { isInUse: true })],
      store: { trouble: undefined, isReady: true, reasons: [] },
    },
  ],
  [
    "a store that is not ready",
    { store: { trouble: undefined, isReady: false, reasons: ["a disk is missing"] } },
    /^problem store: not ready: a disk is missing/,
  ],
  [
    "a store that is silent",
    { store: { trouble: "refused", isReady: false, reasons: [] } },
    /^problem store: .*refused/,
  ],
  [
    "certificates at their end",
    {
      certificates: [
        { path: "/old", fromMs: 0, untilMs: NOW_MS - 1 },
        { path: "/soon", fromMs: 0, untilMs: NOW_MS + 2 * DAY_MS },
        { path: "/later", fromMs: 0, untilMs: NOW_MS + 20 * DAY_MS },
        { path: "/early", fromMs: NOW_MS + 1, untilMs: NOW_MS + 90 * DAY_MS },
        { path: "/bad", trouble: "the key belongs to another certificate" },
      ],
    },
    /^problem certificate: \/old expired on 2029-12-31/,
    /^problem certificate: \/soon is valid until 2030-01-03, for 2 d 0 h more/,
    /^warning certificate: \/later is valid until 2030-01-21/,
    /^problem certificate: \/early is not valid yet/,
    /^problem certificate: \/bad cannot be used: the key belongs/,
  ],
  [
    "secrets that others can read",
    {
      secretFiles: [
        { path: "/m", what: "the master key", mode: 0o100644 },
        { path: "/g", what: "the token", mode: 0o100640 },
        { path: "/n", what: "the token", trouble: "ENOENT" },
      ],
    },
    /^problem secrets: \/m \(the master key\) can be read by every user \(mode 644\): chmod 600 \/m/,
    /^warning secrets: \/g \(the token\) can be read by its group/,
    /^problem secrets: \/n \(the token\) cannot be read: ENOENT/,
  ],
  [
    "a database that does not answer",
    { database: { url: "postgres://u:***@db/x", trouble: "connection refused" } },
    /^problem database: postgres:\/\/u:\*\*\*@db\/x: connection refused/,
  ],
  [
    "a database with another time",
    { database: { url: "postgres://db", trouble: undefined, aheadMs: -90_000 } },
    /^problem clock: at least 1 min behind the database's clock/,
  ],
]
for (const [name, of, ...expected] of CASES) {
  test(`${name}: ${expected.length === 0 ? "nothing to report" : "reported"}`, () => {
    const found = trouble(of)
    assert.equal(found.length, expected.length, found.join("\n"))
    for (const [at, pattern] of expected.entries()) assert.match(found[at] ?? "", pattern)
  })
}

test("problems of the settings are findings too, a warning alone is no failure, and --json prints one finding a line", async () => {
  const examined = async (facts: DoctorFacts, environment: Record<string, string>) => {
    const { io, written } = testIo({ environment })
    const done = doctorCommand(io, { json: true }, new AbortController().signal, async () => facts)
    const failure = await done.then(
      () => undefined,
      (error: unknown) => messageOf(error),
    )
    return { failure, findings: written.out.trim().split("\n") }
  }
  const warned = await examined({ ...WELL, clock: "unknown" }, {})
  assert.equal(warned.failure, undefined)
  assert.match(warned.findings[3] ?? "", /^\{"level":"warning","check":"clock","found":"[^"]+"\}$/)
  const wrong = await examined(WELL, { HAYLOFT_LISTEN: "x", HAYLOFT_SCRUB_DAYS: "0" })
  assert.equal(wrong.failure, "2 problems")
  assert.match(wrong.findings.join("\n"), /"level":"problem","check":"settings","found":"HAYLOFT_SCRUB_DAYS: /)
})

test("a real machine: a taken port, a readable key and a missing folder are problems; a running store has its ports", async () => {
  const place = await mkdtemp(join(tmpdir(), "hayloft-doctor-"))
  const server = createServer()
  try {
    await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const key = join(place, "master.key")
    await writeFile(key, "00".repeat(32))
    await chmod(key, 0o644)
    const environment = { HAYLOFT_LISTEN: `127.0.0.1:${port}`, HAYLOFT_ADMIN_LISTEN: "127.0.0.1:0" }
    const args = ["doctor", "--data", join(place, "absent"), "--master-key-file", key]
    const stopped = await runHayloft(args, { environment })
    const text = stopped.out.toString("utf8")
    assert.equal(stopped.code, 1, text + stopped.error)
    assert.match(text, new RegExp(`^problem +port +127\\.0\\.0\\.1:${port} is in use by another process`, "m"))
    assert.match(text, /^problem +secrets .*master\.key .*every user \(mode 644\)/m)
    assert.match(text, /^warning +folder +.*absent does not exist/m)
    assert.match(stopped.error, /^hayloft: \d+ problems\n$/)
    assert.doesNotMatch(text, /0{20}/)

    const data = join(place, "data")
    await mkdir(data)
    const store = await StoreProcess.start({ dataFolders: [data] }, new RealClock())
    try {
      const { endpoint } = await store.access()
      const ports = { HAYLOFT_LISTEN: new URL(endpoint).host, HAYLOFT_ADMIN_LISTEN: "127.0.0.1:0" }
      const running = await runHayloft(["doctor", "--data", data, "--json"], { environment: ports })
      const findings = running.out.toString("utf8")
      assert.match(findings, /"level":"ok","check":"store","found":"it runs and is ready"/, findings + running.error)
      assert.match(findings, /"level":"ok","check":"port","found":"[^"]+ is in use while a store runs/)
      assert.match(findings, /"level":"ok","check":"folder","found":"[^"]+ is a device, in use, on /)
      assert.match(findings, /"level":"ok","check":"secrets","found":"[^"]+control \(the master key of the store\)/)
    } finally {
      await store.stop()
    }
  } finally {
    await new Promise(resolve => server.close(resolve))
    await rm(place, { recursive: true, force: true })
  }
})
