/** The executable: made from what is built, it serves a store in an empty folder, on a machine without Node. */
import assert from "node:assert/strict"
import { spawn, type ChildProcess } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, writeFileSync } from "node:fs"
import { chmod, copyFile, link, mkdir, mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { pathToFileURL } from "node:url"
import { bindChild, findProgram, run, runOk } from "../harness/commands.js"
import { NODE_24, noNode24 } from "../harness/new-node.js"
import { ROOT } from "../harness/server.js"

interface ExecutableTool {
  makeExecutable(
    target: string,
    output: string,
    nodes: { program: string; maker: string; isOwn: boolean },
  ): Promise<void>
}
interface ElfTool {
  withNote(program: Buffer, name: string, data: Buffer): Buffer
}
interface MachTool {
  signed(program: Buffer, identifier: string): Buffer
}

const toolAt = async (path: string): Promise<unknown> => import(pathToFileURL(join(ROOT, "tools", path)).href)
const { makeExecutable } = (await toolAt("executables.mjs")) as ExecutableTool
const { withNote } = (await toolAt("executables/elf.mjs")) as ElfTool
const { signed } = (await toolAt("executables/mach-o.mjs")) as MachTool

const isLinux = process.platform === "linux" && process.arch === "x64"
/** A release whose executable is tested instead of a new one. */
const RELEASE = process.env["RELEASE_FOLDER"]
const skip = isLinux ? RELEASE === undefined && noNode24 : "the test makes an executable for Linux x64"
const NAME = "hayloft-linux-x64"
/** The libraries of Debian's libc6-arm64-cross and libstdc++6-arm64-cross. */
const ARM_SYSTEM = "/usr/aarch64-linux-gnu"
/** No folder of it has Node. */
const ENVIRONMENT = { PATH: "/nowhere" }

let work = ""
let program = ""
before(async () => {
  if (skip !== false) return
  work = await mkdtemp(join(tmpdir(), "hayloft-executable-"))
  program = join(work, NAME)
  if (RELEASE !== undefined) return copyFile(join(RELEASE, NAME), program)
  assert.ok(NODE_24 !== undefined)
  // Without a code cache, whose making takes seconds: `npm run release -- --check` tests executables as they are released.
  await makeExecutable("linux-x64", program, { program: NODE_24, maker: NODE_24, isOwn: false })
})
after(() => (work === "" ? undefined : rm(work, { recursive: true })))

/** Runs the executable to its end, in a folder. */
const hayloft = (cwd: string, ...args: string[]): Promise<string> => runOk(program, args, { cwd, env: ENVIRONMENT })

/** A process of `serve`, and what it prints. */
class Serving {
  output = ""
  readonly ended: Promise<number | null>
  private readonly child: ChildProcess
  private wake = (): void => undefined

  constructor(cwd: string, args: readonly string[]) {
    const ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    const child = spawn(program, ["serve", ...ports, ...args], {
      cwd,
      env: ENVIRONMENT,
      stdio: ["ignore", "pipe", "pipe"],
    })
    this.child = child
    bindChild(child)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.output += text
        this.wake()
      })
    }
    this.ended = new Promise(resolve => child.once("close", resolve))
  }

  /** Waits for a text, and returns its first group. */
  async said(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.output)
      if (found !== null) return found[1] ?? ""
      const more = new Promise<void>(resolve => (this.wake = resolve))
      const code = await Promise.race([more, this.ended])
      assert.ok(code === undefined, this.output)
    }
  }

  stop(): Promise<number | null> {
    this.child.kill("SIGTERM")
    return this.ended
  }
}

test(
  "in an empty folder it serves a first object, with all threads and processes, the documents and the console",
  { skip },
  async () => {
    const folder = join(work, "empty")
    await mkdir(folder)
    const serving = new Serving(folder, ["--threads", "1", "--transforms"])
    try {
      const admin = await serving.said(/admin (http:\S+)/)
      assert.equal(await serving.said(/later: (\S+) env/), program, "the command is the one that was typed")
      const body = Buffer.alloc(2_000_000, "hay")
      writeFileSync(join(folder, "hello.bin"), body)
      await hayloft(folder, "cp", "hello.bin", "s3://first/")
      await hayloft(folder, "cp", "s3://first/hello.bin", "back.bin")
      assert.deepEqual(await readFile(join(folder, "back.bin")), body)
      const text = async (path: string) => (await fetch(new URL(path, admin))).text()
      assert.match(await text("/docs/guide/install.md"), /In the background/)
      const page = await text("/console/")
      const [, asset = ""] = /src="(\/console\/assets\/main-[^"]+)"/.exec(page) ?? []
      assert.ok((await text(asset)).length > 100_000, page)
      const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string }
      assert.match(
        await hayloft(folder, "--version"),
        new RegExp(`^hayloft ${version.replaceAll(".", "\\.")} \\(Node 2`),
      )
      // By a process of the sandbox, which has a bundle of its own.
      const url = await hayloft(folder, "presign", "--transform", "gzip", "s3://first/hello.bin")
      const answer = await fetch(url.trim())
      assert.equal(answer.headers.get("content-encoding"), "gzip")
      assert.deepEqual(Buffer.from(await answer.arrayBuffer()), body)
      assert.equal(await serving.stop(), 0)
      assert.match(serving.output, /hayloft: stopped\n$/)
    } finally {
      await serving.stop()
    }
  },
)

test("it starts a store in the background: its own program is what it is called by", { skip }, async () => {
  const folder = join(work, "background")
  await mkdir(folder)
  await hayloft(folder, "dev", "up", "--folders", "1", "--port", "0")
  try {
    assert.match(await hayloft(folder, "status", "--config", "hayloft-dev/node-1.json"), /health +ready/)
  } finally {
    await hayloft(folder, "dev", "clean")
  }
})

test("a package beside it is loaded, and none from a folder above, which others may write to", { skip }, async () => {
  const folder = join(work, "above", "program")
  const copy = join(folder, NAME)
  await mkdir(join(work, "above", "node_modules", "msgpackr-extract"), { recursive: true })
  await mkdir(folder)
  await link(program, copy)
  const planted = (parent: string): void =>
    writeFileSync(join(parent, "node_modules", "msgpackr-extract", "index.js"), `process.stderr.write("planted")`)
  planted(join(work, "above"))
  const version = () => run(copy, ["--version"], { cwd: folder, env: ENVIRONMENT })
  assert.doesNotMatch((await version()).stderr, /planted/)
  await mkdir(join(folder, "node_modules", "msgpackr-extract"), { recursive: true })
  planted(folder)
  assert.match((await version()).stderr, /planted/)
  await chmod(folder, 0o777)
  assert.doesNotMatch((await version()).stderr, /planted/)
})

const EMULATOR = findProgram("qemu-aarch64-static")
const noArm =
  RELEASE === undefined
    ? "there is no RELEASE_FOLDER"
    : (EMULATOR === undefined || !existsSync(ARM_SYSTEM)) && `qemu-aarch64-static or ${ARM_SYSTEM} is missing`

test("the executable for ARM starts in an emulator", { skip: noArm }, async () => {
  const args = ["-L", ARM_SYSTEM, join(RELEASE ?? "", "hayloft-linux-arm64"), "--version"]
  assert.match(await runOk(EMULATOR ?? "", args), /^hayloft \d/)
})

const SEGMENT_BYTES = 56

/** An ELF program with the segments that Node's have: a table, the path of the linker, the code, and notes. */
function smallProgram(): Buffer {
  const bytes = Buffer.alloc(1024)
  bytes.write("\x7fELF\x02\x01", "latin1")
  bytes.writeBigUInt64LE(64n, 32)
  bytes.writeUInt16LE(SEGMENT_BYTES, 54)
  const segments = [
    [6, 64, 4 * SEGMENT_BYTES],
    [3, 288, 28],
    [1, 0, 1000],
    [4, 316, 68],
  ] as const
  bytes.writeUInt16LE(segments.length, 56)
  for (const [i, [type, from, length]] of segments.entries()) {
    const at = 64 + i * SEGMENT_BYTES
    bytes.writeUInt32LE(type, at)
    const values = [from, 0x400000 + from, 0x400000 + from, length, length, 4]
    for (const [j, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), at + 8 + j * 8)
  }
  bytes.write("/lib64/ld-linux-x86-64.so.2\0", 288, "latin1")
  bytes.write("code", 996, "latin1")
  return bytes
}

test("data becomes a note of a program for Linux in a segment of its own; other layouts are refused", () => {
  const made = withNote(smallProgram(), "NAME", Buffer.from("application"))
  const count = made.readUInt16LE(56)
  const segments = Array.from({ length: count }, (_, i) => {
    const at = 64 + i * SEGMENT_BYTES
    const [from, address, , length] = [0, 1, 2, 3].map(j => Number(made.readBigUInt64LE(at + 8 + j * 8)))
    return { type: made.readUInt32LE(at), from: from ?? 0, address: address ?? 0, length: length ?? 0 }
  })
  assert.deepEqual(
    segments.map(({ type }) => type),
    [6, 3, 1, 1, 4],
  )
  const [table, linker, , added, note] = segments
  assert.equal(table?.length, 5 * SEGMENT_BYTES)
  assert.equal(made.toString("latin1", linker?.from, (linker?.from ?? 0) + 27), "/lib64/ld-linux-x86-64.so.2")
  assert.equal((linker?.address ?? 0) - (linker?.from ?? 0), 0x400000)
  assert.deepEqual({ ...added, type: 4 }, note)
  assert.deepEqual([(note?.from ?? 1) % 65536, (note?.address ?? 1) % 65536], [0, 0])
  assert.equal(
    made.toString("latin1", note?.from, made.length),
    "\x05\0\0\0\x0b\0\0\0\0\0\0\0NAME\0\0\0\0application\0",
  )
  assert.equal(made.toString("latin1", 996, 1000), "code")
  const other = smallProgram()
  other.writeUInt32LE(7, 64 + 3 * SEGMENT_BYTES)
  assert.throws(() => withNote(other, "NAME", Buffer.from("x")), /other kinds of segments/)
  assert.throws(() => withNote(made, "NAME", Buffer.from("x")), /its notes are elsewhere/)
  assert.throws(() => withNote(Buffer.alloc(4096), "NAME", Buffer.from("x")), /no ELF file/)
})

const LINK_AT = 32 + 152

/** A program for macOS with code, whose section leaves space for commands, and with a last segment. */
function smallMacProgram(): Buffer {
  const bytes = Buffer.alloc(10_000, "x")
  bytes.fill(0, 0, 1000)
  bytes.writeUInt32LE(0xfeedfacf, 0)
  bytes.writeUInt32LE(2, 16)
  bytes.writeUInt32LE(152 + 72, 20)
  const segment = (at: number, name: string, size: number, from: number, length: number): void => {
    bytes.writeUInt32LE(0x19, at)
    bytes.writeUInt32LE(size, at + 4)
    bytes.write(name, at + 8, "latin1")
    for (const [i, value] of [from, length, from, length].entries())
      bytes.writeBigUInt64LE(BigInt(value), at + 24 + i * 8)
  }
  segment(32, "__TEXT", 152, 0, 8192)
  bytes.writeUInt32LE(1, 32 + 64)
  bytes.writeUInt32LE(1000, 32 + 72 + 48)
  segment(LINK_AT, "__LINKEDIT", 72, 8192, 10_000 - 8192)
  return bytes
}

test("a program for macOS gets hashes of its pages, once", () => {
  const made = signed(smallMacProgram(), "hayloft")
  assert.deepEqual([made.readUInt32LE(16), made.readUInt32LE(20)], [3, 152 + 72 + 16])
  const command = LINK_AT + 72
  const [kind, size, from, length] = [0, 4, 8, 12].map(more => made.readUInt32LE(command + more))
  assert.deepEqual([kind, size, from, (from ?? 0) + (length ?? 0)], [0x1d, 16, 10_000, made.length])
  assert.equal(Number(made.readBigUInt64LE(LINK_AT + 40) + made.readBigUInt64LE(LINK_AT + 48)), made.length)
  const at = (from ?? 0) + made.readUInt32BE((from ?? 0) + 16)
  const hashes = at + made.readUInt32BE(at + 16)
  assert.deepEqual(
    [made.readUInt32BE(at), made.readUInt32BE(at + 28), made.readUInt32BE(at + 32)],
    [0xfade0c02, 3, from],
  )
  for (let page = 0; page < 3; page++) {
    const code = made.subarray(page * 4096, Math.min((page + 1) * 4096, from ?? 0))
    const hash = createHash("sha256").update(code).digest("hex")
    assert.equal(made.toString("hex", hashes + page * 32, hashes + (page + 1) * 32), hash, String(page))
  }
  assert.equal(made.toString("latin1", at + 88, at + 96), "hayloft\0")
  assert.throws(() => signed(made, "hayloft"), /it has a signature/)
})
