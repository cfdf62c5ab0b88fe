/** Archives that GNU tar and Python write, in all their formats: the same members at the same places as Python finds. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { TarIndex } from "@hayloft/engine/format/objects/tar-index.js"
import { archiveMember } from "./tar-archive.js"
import { indexOfBytes } from "./testing-tar.js"

const isThere = (program: string): boolean => spawnSync(program, ["--version"]).status === 0
const skip = isThere("tar") && isThere("python3") ? false : "tar and python3 are not installed"

function run(program: string, args: readonly string[], folder: string, input = ""): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: folder,
    input,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, LC_ALL: "C.UTF-8" },
  })
  assert.equal(status, 0, `${program} ${args.join(" ")}: ${stderr}`)
  return stdout
}

/** Members as Python sees them. */
const LISTING = `
import tarfile, json, sys
def listing(file):
    with tarfile.open(fileobj=file, mode="r:") as tar:
        return [{"path": raw(m.name), "type": m.type.decode("latin1"), "size": m.size, "mtime": m.mtime,
                 "offset": m.offset_data, "target": raw(m.linkname), "sparse": m.issparse()} for m in tar]
def raw(text):
    return text.encode("utf8", "surrogateescape").hex()
`

interface PythonMember {
  readonly path: string
  readonly type: string
  readonly size: number
  readonly mtime: number
  readonly offset: number
  readonly target: string
  readonly sparse: boolean
}

const listedBy = (folder: string, file: string): readonly PythonMember[] =>
  JSON.parse(
    run("python3", ["-c", `${LISTING}\nprint(json.dumps(listing(open(sys.argv[1], "rb"))))`, file], folder),
  ) as readonly PythonMember[]

const KINDS: Readonly<Record<string, string>> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  "1": "hardLink",
  "2": "symlink",
  "3": "characterDevice",
  "4": "blockDevice",
  "5": "directory",
  "6": "fifo",
  S: "sparse",
}

const plainPath = (hex: string): string => {
  const path = Buffer.from(hex, "hex").toString("latin1")
  return Buffer.from(path.replace(/^(?:\.\/+)+(?=.)/s, ""), "latin1").toString("hex")
}

/** Compares the index with Python's list, of which the last member of each path counts. */
function assertSame(index: TarIndex, listing: readonly PythonMember[], what: string): void {
  const last = new Map(listing.map(member => [plainPath(member.path), member]))
  const found = [...index.from(new Uint8Array(0))]
  assert.deepEqual(
    found.map(({ path }) => hexOf(path)),
    [...last.keys()].sort(),
    what,
  )
  for (const { path, kind, sizeBytes, modifiedMs, offsetBytes, linkTarget } of found) {
    const member = last.get(hexOf(path))
    assert.ok(member)
    const shown = `${what}: ${Buffer.from(path).toString()}`
    assert.equal(kind, member.sparse ? "sparse" : KINDS[member.type], shown)
    assert.equal(modifiedMs, Math.floor(member.mtime * 1000), shown)
    if (linkTarget !== undefined) assert.equal(hexOf(linkTarget), member.target, shown)
    if (kind === "file" || kind === "sparse") assert.equal(sizeBytes, member.size, shown)
    if (kind === "file") assert.equal(offsetBytes, member.offset, shown)
  }
}

const CONTENTS: Readonly<Record<string, string>> = {
  empty: "",
  "one.txt": "1",
  "block.bin": "b".repeat(512),
  "more.bin": "m".repeat(513),
  "dir/é ü.txt": "accents",
  "dir/日本語": "names",
}
const LONG: Readonly<Record<string, string>> = {
  [`${"d".repeat(60)}/${"m".repeat(60)}/${"n".repeat(90)}`]: "ustar holds it in a prefix",
}
const LONGER: Readonly<Record<string, string>> = {
  [`${"e".repeat(200)}/${"f".repeat(200)}/${"ü".repeat(100)}`]: "longer than 255 bytes",
  ["s".repeat(101)]: "a name longer than its field",
}

function inFolder(work: (folder: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "hayloft-tar-"))
    try {
      await work(folder)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
}

function writeFiles(folder: string, contents: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(contents)) {
    mkdirSync(join(folder, path, ".."), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  linkSync(join(folder, "more.bin"), join(folder, "zz-hard"))
  symlinkSync("one.txt", join(folder, "symbolic"))
}

const contentsFor = (format: string): Readonly<Record<string, string>> => {
  if (format === "v7") return CONTENTS
  return format === "ustar" ? { ...CONTENTS, ...LONG } : { ...CONTENTS, ...LONG, ...LONGER }
}

for (const format of ["v7", "oldgnu", "gnu", "ustar", "pax"]) {
  test(
    `GNU tar, ${format}`,
    { skip },
    inFolder(async folder => {
      const contents = contentsFor(format)
      mkdirSync(join(folder, "files"))
      writeFiles(join(folder, "files"), contents)
      run("tar", [`--format=${format}`, "-C", "files", "-cf", "a.tar", "."], folder)
      writeFileSync(join(folder, "files/one.txt"), "one again")
      run("tar", [`--format=${format}`, "-C", "files", "-rf", "a.tar", "one.txt"], folder)
      const archive = readFileSync(join(folder, "a.tar"))
      const index = await indexOfBytes(archive)
      assertSame(index, listedBy(folder, "a.tar"), format)
      const expected = { ...contents, "one.txt": "one again", "zz-hard": "m".repeat(513) }
      for (const [path, content] of Object.entries(expected)) {
        const { range } = archiveMember(index, path)
        const found = archive.subarray(range.first, range.first + range.lengthBytes)
        assert.equal(found.toString(), content, path)
      }
    }),
  )
}

for (const options of [
  ["--format=gnu"],
  ["--format=oldgnu"],
  ...["0.0", "0.1", "1.0"].map(version => ["--format=pax", `--sparse-version=${version}`]),
]) {
  test(
    `GNU tar, sparse files, ${options.join(" ")}`,
    { skip },
    inFolder(async folder => {
      for (const path of ["holes", "plain"]) writeFileSync(join(folder, path), path)
      for (const at of Array.from({ length: 60 }, (_, i) => i + 1)) {
        truncateSync(join(folder, "holes"), at * 100_000)
        writeFileSync(join(folder, "holes"), "x", { flag: "a" })
      }
      run("tar", [...options, "--sparse", "-cf", "a.tar", "holes", "plain"], folder)
      const archive = readFileSync(join(folder, "a.tar"))
      assert.ok(archive.length < 1_000_000)
      const index = await indexOfBytes(archive)
      assertSame(index, listedBy(folder, "a.tar"), options.join(" "))
      assert.throws(
        () => archiveMember(index, "holes"),
        error => isFailure(error, "invalidRequest") && /sparse/.test(error.message),
      )
      const { range } = archiveMember(index, "plain")
      assert.equal(archive.subarray(range.first, range.first + range.lengthBytes).toString(), "plain")
    }),
  )
}

/**
 * Random archives, with what Python finds in them. Not with the type of Unix V7: if the header has the first 100 bytes of a
 * longer name and these end with "/", Python takes the file for a directory, and loses the rest of the archive.
 */
const RANDOM = `${LISTING}
import random, io, base64
rng = random.Random(int(sys.argv[1]))
def name(depth):
    parts = []
    for _ in range(rng.randint(1, depth)):
        length = rng.choice([1, 2, 3, 8, 50, 99, 100, 101, 130])
        parts.append("".join(rng.choice("abé日\\udcff.-= \\n") for _ in range(length)).strip(".") or "x")
    return ("./" if rng.random() < 0.2 else "") + "/".join(parts)
def archive():
    out = io.BytesIO()
    form = rng.choice([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    known = []
    headers = {"comment": "c", "mtime": "77.25"} if rng.random() < 0.2 else {}
    with tarfile.open(fileobj=out, mode="w", format=form, pax_headers=headers, errors="surrogateescape") as tar:
        # Python cannot read an archive that has a global header and no member.
        for _ in range(rng.randint(1 if headers else 0, 30)):
            info = tarfile.TarInfo(rng.choice(known) if known and rng.random() < 0.2 else name(4))
            info.type = rng.choice([tarfile.REGTYPE] * 6 + [tarfile.CONTTYPE, tarfile.LNKTYPE,
                tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
            info.mtime = rng.choice([0, 1, 1700000000, 1700000000.25, 8**11 - 1])
            if form == tarfile.USTAR_FORMAT: info.mtime = int(info.mtime)
            info.size = rng.choice([0, 1, 511, 512, 513, 5000]) if info.isreg() else 0
            if info.type in (tarfile.LNKTYPE, tarfile.SYMTYPE): info.linkname = rng.choice(known) if known else name(2)
            try:
                tar.addfile(info, io.BytesIO(rng.randbytes(info.size)))
                known.append(info.name)
            except ValueError: pass
    bytes = out.getvalue()
    return {"archive": base64.b64encode(bytes).decode(), "listing": listing(io.BytesIO(bytes))}
for _ in range(int(sys.argv[2])): print(json.dumps(archive()))
`

test(
  "random archives of Python have the members that Python finds",
  { skip },
  inFolder(async folder => {
    const lines = run("python3", ["-c", RANDOM, String(TEST_SEED), "300"], folder)
      .trim()
      .split("\n")
    let members = 0
    for (const [i, line] of lines.entries()) {
      const { archive, listing } = JSON.parse(line) as { archive: string; listing: readonly PythonMember[] }
      assertSame(await indexOfBytes(Buffer.from(archive, "base64")), listing, `archive ${i}`)
      members += listing.length
    }
    assert.ok(members > 3000, `${members} members`)
  }),
)
