/**
 * Every declared record, by its golden bytes: what is written is what was read, and what is cut, lengthened, or has a member of
 * another type is refused, or ignored where a later release may append members.
 */
import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId, parseAuditId, parseDeviceId } from "@hayloft/base/ids.js"
import { parseStoredTimestamp } from "@hayloft/base/text/timestamp.js"
import { encodeAuditQueue } from "./accounts/audit-queue.js"
import { encodeChange } from "./objects/change.js"
import { encodeEvent } from "./event-record.js"
import { encodeKeyring } from "./device/keyring.js"
import { packMembers, unpackMembers } from "./encoding/pack.js"
import { encodeShares } from "./records.js"
import { encodeScrubRecord } from "./device/scrub-record.js"
import { encodeStoreSecrets } from "./device/store-secrets.js"
import { encodeSwiftAccount } from "./swift/swift-account.js"
import { filled, plain } from "./testing-golden.js"
import { encodeAbout } from "./tables/user-table.js"

const SOURCES = new URL("../../../../../packages/engine/src/format/", import.meta.url)

/** So many golden records of each are changed, and cut at so many places. */
const [RECORDS_MAX, PREFIXES_MAX] = [3, 200]

/** Records that are decoded as parts of others: of texts, of several rows, or with a length. */
const PARTS = ["marker", "swift token", "row set aside", "pack directory", "segment list"]

/** Records that no file of golden bytes has. */
const SAMPLES = [
  encodeEvent({ atMs: 1, lastMs: 2, count: 3, level: "warn", code: "x", node: "n1", fields: "{}" }),
  encodeChange({ id: "decision", removedAt: parseStoredTimestamp(5), isCopied: true, notedMs: 6 }),
  encodeAuditQueue({ number: 7, queued: { atMs: 5, id: parseAuditId("1767225600000-aaaaaaaa") } }),
  encodeShares(7),
  encodeStoreSecrets({
    masterKey: undefined,
    accountId: parseAccountId("root"),
    accessKeyId: parseAccessKeyId("HLKEY"),
    createdMs: 5,
    rootSecret: filled(40, 1),
    adminToken: filled(40, 2),
  }),
  encodeScrubRecord({ passStartedMs: 1, wholePassStartedMs: 2, state: { at: undefined, damaged: [] } }),
  encodeSwiftAccount({ metadata: [["a", "b"]], access: "", quotesEtags: true, deletedMs: 5 }),
  encodeAbout({ values: "json", notes: new Map([["from", "a test"]]) }),
  encodeKeyring({
    masterKeyNumber: 2,
    previous: { number: 1, sinceMs: 1, sealed: filled(60, 1) },
    epochs: [{ number: 1, createdMs: 1, sealed: filled(60, 2) }],
    atRest: {
      startedMs: 1,
      epoch: 1,
      sealed: filled(60, 3),
      firstIncarnation: undefined,
      converting: [{ id: parseDeviceId("00000000000000a2"), emptyUpTo: { needles: 7, payloads: 0 } }],
    },
    materials: [{ keyId: filled(16, 4), version: 1, createdMs: 1, epoch: 1, sealed: filled(60, 5) }],
  }),
]

type Codec = {
  readonly decode: (bytes: Uint8Array) => unknown
  readonly encode: ((value: unknown) => unknown) | undefined
}

/** The files below the folder, as paths from there. */
const filesIn = (folder: URL): readonly string[] => readdirSync(folder, { recursive: true, encoding: "utf8" })

const textOf = (name: string): string => readFileSync(new URL(name, SOURCES), "utf8")

function goldens(): readonly Uint8Array[] {
  const lines = readdirSync(new URL("golden/", SOURCES)).flatMap(name => textOf(`golden/${name}`).trim().split("\n"))
  return [...lines.flatMap(line => bytesOfHex(line.slice(line.lastIndexOf(" ") + 1)) ?? []), ...SAMPLES].filter(
    isRecord,
  )
}

function isRecord(bytes: Uint8Array): boolean {
  try {
    return typeof unpackMembers("golden", bytes)[0] === "number"
  } catch {
    return false
  }
}

/** The names of the records that the sources declare. */
const declared = (): readonly string[] =>
  filesIn(SOURCES)
    .filter(name => /^[\w/-]+\.ts$/.test(name))
    .flatMap(name => Array.from(textOf(name).matchAll(/\brecord(?:Of)?\(\s*"([^"]+)"/g), ([, what = ""]) => what))

/** All codecs of this folder, by the names of their records. */
async function codecs(): Promise<ReadonlyMap<string, Codec>> {
  const found = new Map<string, Codec>()
  const folder = new URL(".", import.meta.url)
  for (const file of filesIn(folder).filter(name => /^[\w/-]+\.js$/.test(name))) {
    const exported = new Map(Object.entries((await import(new URL(file, folder).href)) as Record<string, unknown>))
    for (const [name, decode] of exported) {
      if (typeof decode !== "function" || !/^decode[A-Z]/.test(name)) continue
      const encode = exported.get(name.replace(/^decode/, "encode"))
      const codec = { decode, encode: typeof encode === "function" ? encode : undefined } as Codec
      found.set(nameOf(codec), codec)
    }
  }
  return found
}

/** Each decoder names the record that it refuses. */
function nameOf({ decode }: Codec): string {
  try {
    decode(packMembers([]))
  } catch (error) {
    if (isFailure(error, "corruptRecord")) return String(error.details["what"])
  }
  return ""
}

function outcome(codec: Codec, bytes: Uint8Array): unknown {
  try {
    return codec.decode(bytes)
  } catch (error) {
    assert.ok(isFailure(error, "corruptRecord"), String(error))
    return undefined
  }
}

const VALUES: readonly unknown[] = ["text", 7, Uint8Array.of(1, 2), [], true, {}]
const kindOf = (value: unknown): string =>
  value instanceof Uint8Array ? "bytes" : Array.isArray(value) ? "list" : typeof value

/** The lists of a record, each with the record around a list in its place. */
function* listsOf(
  list: readonly unknown[],
  around: (changed: readonly unknown[]) => readonly unknown[] = changed => changed,
): Generator<{ readonly list: readonly unknown[]; readonly around: (changed: readonly unknown[]) => Uint8Array }> {
  yield { list, around: changed => packMembers(around(changed)) }
  for (const [at, member] of list.entries())
    if (Array.isArray(member)) yield* listsOf(member, changed => around(list.with(at, changed)))
}

function checkRecord(codec: Codec, bytes: Uint8Array): void {
  const value = codec.decode(bytes)
  const written = codec.encode?.(value)
  if (written instanceof Uint8Array) assert.equal(hexOf(written), hexOf(bytes))
  for (let length = 0; length < bytes.length; length += Math.ceil(bytes.length / PREFIXES_MAX))
    assert.equal(outcome(codec, bytes.subarray(0, length)), undefined, `${length} bytes`)
  for (const { list, around } of listsOf(unpackMembers("record", bytes))) {
    for (const [at, member] of list.entries()) {
      for (const other of VALUES.filter(one => member !== null && kindOf(one) !== kindOf(member)))
        assert.equal(
          outcome(codec, around(list.with(at, other))),
          undefined,
          `${kindOf(other)} at ${at} of ${list.length}`,
        )
      outcome(codec, around(list.toSpliced(at, 1)))
    }
    for (const more of VALUES) outcome(codec, around([...list, more]))
  }
  const longer = outcome(codec, packMembers([...unpackMembers("record", bytes), ...Array<null>(20).fill(null), 1]))
  assert.deepEqual(plain(longer), plain(value), "members that a later release has appended are ignored")
}

test("each declared record keeps its bytes, and refuses what is cut or of another type", async () => {
  const [all, found] = [goldens(), await codecs()]
  for (const what of declared()) {
    if (PARTS.includes(what)) continue
    const codec = must(found.get(what), `${what}: a decoder is exported`)
    const records = all.filter(bytes => {
      const value = outcome(codec, bytes)
      if (value === undefined) return false
      const written = codec.encode?.(value)
      return !(written instanceof Uint8Array) || hexOf(written) === hexOf(bytes)
    })
    assert.ok(records.length > 0, `${what} has golden bytes`)
    for (const bytes of records.slice(0, RECORDS_MAX)) checkRecord(codec, bytes)
  }
})
