/** Commands on a store, as an operator types them, against the admin API over a store in memory. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeEach, test } from "node:test"
import { backupJob, ERASURE, NODES_REPORT, REPORT } from "@hayloft/admin/testing-reports.js"
import { FakeStore } from "@hayloft/admin/testing-store.js"
import { deletedOf } from "@hayloft/admin/testing-undelete.js"
import { fail } from "@hayloft/base/failures.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { findDevice } from "../stopped-store/named-device.js"
import { adminOver, operatorOf } from "../testing-admin.js"

const ID = "0123456789abcdef"
const OTHER = "0123456700000000"
let store = new FakeStore()

const operator = operatorOf(() => adminOver(store.parts))

beforeEach(() => {
  store = new FakeStore()
})

interface Person {
  /** The typed input; undefined for a script. */
  readonly types?: string
}

async function hayloft(args: readonly string[], { types }: Person = {}) {
  async function* input(): AsyncGenerator<Uint8Array> {
    if (types !== undefined) yield Buffer.from(types)
  }
  const isTerminal = types !== undefined
  return operator(args, {
    workingFolder: "/home/me",
    input: input(),
    inputIsTerminal: isTerminal,
    errorIsTerminal: isTerminal,
  })
}

const CHANGES = [
  [["device", "add", "disk"], { kind: "addDevice", path: "/home/me/disk", weight: undefined }],
  [["device", "add", "/mnt/b", "--weight", "2"], { kind: "addDevice", path: "/mnt/b", weight: 2 }],
  [["device", "drain", ID], { kind: "drainDevice", id: ID }],
  [["device", "remove", "/data"], { kind: "removeDevice", id: ID }],
  [["device", "forget", "0123"], { kind: "forgetDevice", id: ID, acceptLoss: false }],
  [["device", "forget", ID, "--accept-loss"], { kind: "forgetDevice", id: ID, acceptLoss: true }],
  [["device", "replace", ID, "new"], { kind: "replaceDevice", id: ID, path: "/home/me/new", acceptLoss: false }],
  [["device", "use", ID], { kind: "useDevice", id: ID }],
  [["device", "add", "/mnt/b", "--node", "n2"], { kind: "addDevice", path: "/mnt/b", weight: undefined, node: "n2" }],
  [["node", "drain", "n2"], { kind: "drainNode", node: "n2" }],
  [["node", "remove", "n2"], { kind: "removeNode", node: "n2" }],
  [["node", "use", "n2"], { kind: "useNode", node: "n2" }],
  [["node", "forget", "n2", "--accept-loss"], { kind: "forgetNode", node: "n2", acceptLoss: true }],
  [
    ["layout", "apply", "--weight", "/data=3", "--drain-node", "n2", "--remove-node", "n3"],
    {
      kind: "changeLayout",
      changes: [
        { kind: "setWeight", id: ID, weight: 3 },
        { kind: "drainNode", node: "n2" },
        { kind: "removeNode", node: "n3" },
      ],
    },
  ],
  [["layout", "revert"], { kind: "revertLayout" }],
  [["device", "set-weight", ID, "1.5"], { kind: "setWeight", id: ID, weight: 1.5 }],
  [["redundancy", "set", "automatic"], { kind: "setRedundancy", policy: "automatic", bucket: undefined }],
  [
    ["redundancy", "set", "replica:2", "--bucket", "photos"],
    { kind: "setRedundancy", policy: { kind: "replica", copies: 2 }, bucket: "photos" },
  ],
] as const
for (const [args, change] of CHANGES) {
  test(`${args.join(" ")}: shows the plan, and changes only what was confirmed`, async () => {
    const unasked = await hayloft(args)
    assert.equal(unasked.code, 2)
    assert.match(unasked.error, /nothing was changed; add --yes/)
    assert.match(unasked.out, /as asked[^]*any 1 lost disk before[^]*mind the gap/)
    const declined = await hayloft(args, { types: "n\n" })
    assert.deepEqual([declined.code, store.changes], [1, []])
    const tried = await hayloft([...args, "--dry-run", "--yes"])
    assert.deepEqual([tried.code, store.changes], [0, []])
    const agreed = await hayloft(args, { types: "y\n" })
    assert.deepEqual([agreed.code, store.changes], [0, [change]])
    const applied = await hayloft([...args, "--yes"])
    assert.deepEqual([applied.code, store.changes.length], [0, 2])
    assert.match(applied.out, /started; hayloft status shows the progress\n$/)
  })
}

test("a change that makes the store less safe requires its name", async () => {
  store.confirmBy = "replica:1"
  const args = ["redundancy", "set", "replica:1"]
  const script = await hayloft([...args, "--yes"])
  assert.deepEqual([script.code, store.changes], [2, []])
  assert.match(script.error, /nothing was changed; .* add --confirm replica:1/)
  assert.equal((await hayloft([...args, "--yes", "--confirm", "replica:2"])).code, 2)
  for (const types of ["y\n", "y\ny\n", "n\nreplica:1\n", "y\nreplica:10\n"]) {
    assert.deepEqual([(await hayloft(args, { types })).code, store.changes], [1, []], types)
  }
  assert.equal((await hayloft(args, { types: "y\nreplica:1\n" })).code, 0)
  assert.equal((await hayloft([...args, "--yes"], { types: "replica:1\n" })).code, 0)
  assert.equal((await hayloft([...args, "--yes", "--confirm", "replica:1"])).code, 0)
  assert.equal(store.changes.length, 3)
})

test("an answer at the terminal is to the plan that was shown, and a script accepts what there is", async () => {
  const args = ["device", "forget", ID, "--accept-loss"]
  const { plan } = store.operations
  /** More is lost by the time of the answer. */
  store.operations.plan = async change => {
    const planned = await plan(change)
    store.outlook = "disks=0 locked=0 ec:2+1=900"
    return planned
  }
  const shown = () => {
    store.outlook = "disks=1 locked=0"
  }
  shown()
  const late = await hayloft(args, { types: "y\n" })
  assert.deepEqual([late.code, store.changes], [6, []])
  assert.match(late.error, /the change was not made: disks=0 locked=0 ec:2\+1=900/)
  // The second look is at the new plan.
  assert.deepEqual([(await hayloft(args, { types: "y\n" })).code, store.changes.length], [0, 1])
  for (const script of [["--yes"], ["--yes", "--json"]]) {
    shown()
    assert.equal((await hayloft([...args, ...script])).code, 0)
  }
  assert.equal(store.changes.length, 3)
  // Only the name is typed: the plan was shown, unless the output is JSON.
  store.confirmBy = "disk"
  shown()
  assert.equal((await hayloft([...args, "--yes"], { types: "disk\n" })).code, 6)
  shown()
  assert.equal((await hayloft([...args, "--yes", "--json"], { types: "disk\n" })).code, 0)
  assert.equal(store.changes.length, 4)
})

test("a change that makes buckets with object lock less safe requires their names", async () => {
  store.lockedBuckets = ["backups", "ledger"]
  const args = ["device", "remove", ID]
  const script = await hayloft([...args, "--yes"])
  assert.deepEqual([script.code, store.changes], [2, []])
  assert.match(script.error, /nothing was changed; .* add --locked-buckets backups,ledger/)
  assert.equal((await hayloft([...args, "--yes", "--locked-buckets", "backups"])).code, 2)
  for (const types of ["y\n", "y\nbackups\n", "y\ny\n", "n\nbackups,ledger\n"]) {
    assert.deepEqual([(await hayloft(args, { types })).code, store.changes], [1, []], types)
  }
  assert.equal((await hayloft(args, { types: "y\nbackups,ledger\n" })).code, 0)
  assert.equal((await hayloft([...args, "--yes", "--locked-buckets", "ledger, backups"])).code, 0)
  assert.equal(store.changes.length, 2)
  store.confirmBy = "replica:1"
  assert.equal((await hayloft(args, { types: "y\nreplica:1\nbackups,ledger\n" })).code, 0)
  assert.equal((await hayloft([...args, "--yes", "--locked-buckets", "backups,ledger"])).code, 2)
  assert.equal(store.changes.length, 3)
})

test("--json prints one value: the plan of a dry run, or the change", async () => {
  const dry = await hayloft(["device", "drain", ID, "--dry-run", "--json"])
  assert.match(dry.out, /^\{"applied":false,"plan":\{"summary":"drainDevice as asked"[^\n]*\}\n$/)
  const made = await hayloft(["device", "drain", ID, "--yes", "--json"])
  assert.match(made.out, /^\{"applied":true,"plan":[^\n]*"generation":6\}\n$/)
  assert.equal(made.error, "")
})

test("--wait waits until nothing is moved, rebuilt or re-encoded", async () => {
  store.shown = { layout: { version: 2, width: 1, transition: { fromVersion: 1 } } }
  const [device] = REPORT.devices
  assert.ok(device)
  const steps = [
    { layout: { version: 2, width: 1 }, devices: [{ ...device, state: "rebuilding" as const }] },
    { layout: { version: 2, width: 1 } },
  ]
  const report = store.status.report.bind(store.status)
  let requestCount = 0
  store.status.report = () => {
    if (store.changes.length > 0) {
      requestCount += 1
      store.shown = steps[requestCount - 2] ?? store.shown
    }
    return report()
  }
  const { code, out } = await hayloft(["device", "drain", ID, "--yes", "--wait"])
  assert.deepEqual([code, requestCount], [0, 5])
  assert.match(out, /done\n$/)
})

test("a device is found by its id, by the beginning of it, or by its folder, and only if unambiguous", async () => {
  const [device] = REPORT.devices
  assert.ok(device)
  store.shown = { devices: [device, { ...device, id: parseDeviceId(OTHER), path: "/home/me/b" }] }
  for (const name of ["b", "/home/me/b", OTHER, "01234567000"]) {
    assert.equal((await hayloft(["device", "drain", name, "--yes"])).code, 0, name)
    assert.deepEqual(store.changes.pop(), { kind: "drainDevice", id: OTHER })
  }
  for (const [name, why] of [
    ["01234567", /matches the ids of several/],
    ["012", /not a device of this store/],
    ["ffff", /not a device of this store/],
  ] as const) {
    const { code, error } = await hayloft(["device", "drain", name, "--yes"])
    assert.equal(code, 3)
    assert.match(error, why)
  }
  assert.deepEqual(store.changes, [])
})

test("a refusal shows the store's message, with its exit code", async () => {
  store.broken = fail("conflict", { message: "shards still move after an earlier change" })
  const { code, error } = await hayloft(["redundancy", "set", "ec:4+2", "--yes"])
  assert.deepEqual([code, error], [6, "hayloft: shards still move after an earlier change\n"])
  store.broken = undefined
  const wrong = await hayloft(["redundancy", "set", "raid:5", "--yes"])
  assert.equal(wrong.code, 2)
  assert.match(wrong.error, /not a redundancy: "raid:5"/)
  assert.equal((await hayloft(["device", "set-weight", ID, "heavy"])).code, 2)
})

test("kms lists, changes, deletes and explains named keys", async () => {
  const id = "01234567-89ab-4def-8123-456789abcdef"
  const listed = await hayloft(["kms", "list"])
  assert.match(listed.out, new RegExp(`${id} +enabled +1 +alias/photos +photos`))
  assert.match((await hayloft(["kms", "create", "--alias", "alias/a"])).out, /^created arn:aws:kms:.* as alias\/a$/m)
  for (const [command, done] of [
    ["rotate", "rotated"],
    ["disable", "disabled"],
    ["enable", "enabled"],
    ["keep", "kept"],
  ] as const) {
    assert.equal((await hayloft(["kms", command, "alias/photos"])).out, `${done} key ${id}\n`)
  }
  assert.match((await hayloft(["kms", "delete", id, "--days", "7"])).out, /is deleted after 1970-01-08/)
  assert.equal((await hayloft(["kms", "delete", id, "--confirm-unreadable", "3"])).out, `deleted key ${id}\n`)
  assert.match((await hayloft(["kms", "adopt", id])).out, /^took back arn:.*; it is disabled, .*: set its policy, /)
  assert.match((await hayloft(["kms", "uses", id])).out, /photos +3/)
  assert.deepEqual(store.touched.filter(call => /[kK]ey|rotate|adopt|Enabled|Deletion/.test(call)).slice(-8), [
    "createNamedKey alias/a",
    "rotate alias/photos",
    "setEnabled alias/photos false",
    "setEnabled alias/photos true",
    "cancelDeletion alias/photos",
    `scheduleDeletion ${id}`,
    `deleteNamedKey ${id} 3`,
    `adopt ${id}`,
  ])
})

test("lifecycle explains an object by either name, and previews a bucket", async () => {
  for (const place of ["photos/logs/1", "s3://photos/logs/1"]) {
    const { code, out } = await hayloft(["lifecycle", "explain", place])
    assert.deepEqual([code, /^current version null, .*\n {2}rule /.test(out)], [0, true], out)
  }
  for (const place of ["photos", "s3://photos", "s3://photos/", "s3:///k", "/k"]) {
    assert.equal((await hayloft(["lifecycle", "explain", place])).code, 2, place)
  }
  assert.match((await hayloft(["lifecycle", "preview", "photos"])).out, /thirty days/)
})

test("token makes a token with scopes, shows it once, lists and revokes it", async () => {
  const made = await hayloft(["token", "create", "portal", "--scope", "read, buckets", "--expires", "90d"])
  assert.match(
    made.out,
    /^token AAAAAAAAAAAA for portal: read, buckets, until \d{4}-.*; it is shown only now\nhlt_A{12}_s{40}\n$/,
  )
  await hayloft(["token", "create", "ci", "--scope", "all"])
  const { out } = await hayloft(["token", "list"])
  assert.match(out, /AAAAAAAAAAAA +portal +read,buckets +\d{4}-\S+ .*never/)
  assert.match(out, /AAAAAAAAAAAB +ci +all +never +never/)
  assert.doesNotMatch(out, /hlt_/)
  assert.equal((await hayloft(["token", "revoke", "AAAAAAAAAAAB"])).out, "revoked token AAAAAAAAAAAB\n")
  assert.equal((await hayloft(["token", "revoke", "AAAAAAAAAAAB"])).code, 3)
  assert.equal((await hayloft(["token", "create", "x", "--scope", "write"])).code, 2)
  assert.equal((await hayloft(["token", "create", "x"])).code, 2)
})

test("master-key shows and rotates the master key", async () => {
  assert.equal((await hayloft(["master-key", "show"])).out, "master key 1\n")
  assert.match(
    (await hayloft(["master-key", "rotate"])).out,
    /^master key 2; key 1 needed until \d{4}-\d\d-\d\d .*Z\n\/mnt\/d on node-3 \(offline\) may still have a record .*\n$/,
  )
  assert.ok(store.touched.includes("rotateMasterKey"))
})

test("kms add registers a key of a key service, and says why it cannot", async () => {
  const added = await hayloft(["kms", "add", "pictures", "--vault", "photos"])
  assert.deepEqual(
    [added.code, added.out],
    [0, "registered arn:aws:kms:us-east-1:111122223333:key/01234567-89ab-4def-8123-456789abcdef as alias/pictures\n"],
  )
  const [lacking, down] = [
    await hayloft(["kms", "add", "pictures", "--vault", "nothing"]),
    await hayloft(["kms", "add", "pictures", "--aws", "arn"]),
  ]
  assert.ok(lacking.code > 0 && down.code > 0)
  assert.match(lacking.error, /the KMS key or alias does not exist/)
  assert.match(down.error, /the key service aws is down/)
  for (const options of [[], ["--vault", "a", "--aws", "b"]])
    assert.match(
      (await hayloft(["kms", "add", "pictures", ...options])).error,
      /name one key: --vault KEY or --aws ARN/,
    )
})

test("bucket erase needs the name again, names what holds it up, and says erased only when it is over", async () => {
  for (const confirm of [[], ["--confirm", "other"]]) {
    const { code, error } = await hayloft(["bucket", "erase", "secrets", ...confirm])
    assert.equal(code, 2)
    assert.match(error, /nothing was changed; an erasure cannot be undone: add --confirm secrets/)
  }
  const args = ["bucket", "erase", "secrets", "--confirm", "secrets"]
  const report = { ...ERASURE, versions: 0 }
  store.erasure = { state: "erasing", report }
  const held = await hayloft(args)
  assert.equal(held.code, 1)
  assert.match(
    held.error,
    /not erased yet: waits for \/d2 \(offline: until it returns or is forgotten\), which may still have the old key; it goes on by itself/,
  )
  assert.doesNotMatch(held.out, /erased/)
  store.erasure = { state: "erased", report: undefined }
  const { code, out } = await hayloft(args)
  assert.deepEqual([code, out.split("\n")[0]], [0, "erased bucket secrets"])
  assert.match(out, /Make a new backup of the metadata database/)
})

test("status shows first whether the store is safe", async () => {
  const { code, out } = await hayloft(["status"])
  assert.equal(code, 0)
  assert.match(out, /^unprotected: replica:1 in 1 folder on 1 disk: no disk may fail; a lost disk loses objects\n/)
  assert.match(out, /repair +33 % of 900 B, 20 B\/s, done in about 30 s; 3 of 9 partitions repaired; 2 shards rebuilt/)
  assert.match(out, /moving +33 % of 900 B/)
  assert.match(out, /scrub +1 of 1 device active; oldest verified/)
  assert.match(out, /erasing +bucket secrets, .*: waits for \/d2 \(offline: .*; 4 versions and 0 uploads left\n/)
  assert.match(out, /undelete +bucket photos: 3 days; 1,200 deleted objects, 2\.0 KiB\n/)
  assert.match(out, /undelete +bucket lost: off; how much is kept is lost\n/)
  assert.match(out, /key service vault unreachable, .*: status 503\n/)
  assert.match(out, /bytes +400 B survive no lost disk/)
  assert.match(out, new RegExp(`${ID} +active +500 B +1000 B +1 d 0 h +1 +yes +ext4 +/data`))
  const safety = { ...REPORT.safety, sentence: "any 2 of 7", safeLosses: 2, safeLossesWhenWhole: 2, reasons: [] }
  for (const [change, first] of [
    [{}, "safe: "],
    [{ safeLosses: 1, reasons: ["/mnt/c is out"] }, "degraded: "],
    [{ safeLosses: 0, reasons: ["/mnt/c is out"] }, "AT RISK: "],
    [{ safeLosses: -1, reasons: ["/mnt/c is out"] }, "NOT READABLE: "],
  ] as const) {
    store.shown = { safety: { ...safety, ...change } }
    assert.ok((await hayloft(["status"])).out.startsWith(`${first}any 2 of 7\n`), first)
  }
  store.shown = {}
  store.healthReport = { ready: false, reasons: ["the metadata log failed"] }
  const halted = await hayloft(["status"])
  assert.equal(halted.code, 1)
  assert.match(halted.error, /not ready: the metadata log failed/)
})

test("status names objects that could not be encrypted, and counts those that it leaves out", async () => {
  const troubles = Array.from({ length: 12 }, (_, at) => ({ bucket: "photos", key: `cat${at}`, reason: "no shards" }))
  store.shown = { encrypting: { percent: 63, doing: "waits", devices: [], troubles, troubleCount: 200 } }
  const { out } = await hayloft(["status"])
  assert.match(
    out,
    /encryption +being encrypted: 63 % of the objects; waits\n +could not be encrypted yet: photos\/cat0: /,
  )
  assert.match(out, /photos\/cat9: no shards\n +and 190 other objects; --json names up to 100\n/)
  assert.equal((await hayloft(["status", "--json"])).out.match(/"key":"cat\d+","reason":"no shards"/g)?.length, 12)
})

test("quota check shows what a bucket without a quota has", async () => {
  const { code, out } = await hayloft(["quota", "check", "unlimited"])
  assert.equal(code, 0)
  assert.match(out, /^ +BYTES +IN PARTS +OBJECTS\ncounters +700 +4\nwalk +700 +200 +4\nthere is no quota; they agree\n/)
})

test("quota is about a bucket, or with --account about an account; at least one limit is set", async () => {
  const limits = ["--bytes", "1000", "--warn-bytes", "800B", "--objects", "10"]
  const shown =
    /^bucket +photos\nbytes +900 B of 1000 B\nobjects +4 of 10\nused +90 %\nwarning level +800 B: above it\n$/
  assert.match((await hayloft(["quota", "set", "photos", ...limits])).out, shown)
  assert.ok(store.touched.includes('setQuota {"hardBytes":1000,"warnBytes":800,"hardObjects":10}'))
  assert.equal((await hayloft(["quota", "show", "unlimited"])).out, "unlimited has no quota\n")
  assert.match((await hayloft(["quota", "show", "unlimited", "--account"])).out, /^bytes +900 B of 1000 B$/m)
  const touched = store.touched.length
  assert.equal((await hayloft(["quota", "check", "unlimited", "--account", "--repair"])).code, 0)
  assert.deepEqual(store.touched.slice(touched), ["recount", "checkQuota"])
  assert.notEqual((await hayloft(["quota", "check", "unlimited", "--repair"])).code, 0)
  const cleared = await hayloft(["quota", "clear", "unlimited", "--account", "--json"])
  assert.equal(cleared.out, '{"name":"unlimited","cleared":true}\n')
  for (const wrong of [[], ["--bytes", "much"], ["--objects", "1.5"]])
    assert.equal((await hayloft(["quota", "set", "photos", ...wrong])).code, 2, wrong.join(" "))
})

test("bucket diff prints all pages, and sums up", async () => {
  await hayloft(["bucket", "create", "photos"])
  const id = "0".repeat(26)
  const diff = ["bucket", "diff", "photos", "2025-01-01T00:00:00Z"]
  const totals = "1 added, 1 removed, 0 changed, 6 objects unchanged"
  assert.equal((await hayloft(diff)).out, `+ a  7 B  ${id}\n- b  7 B  ${id}\n${totals}\n`)
  const lines = (await hayloft([...diff, "2025-02-01T00:00:00Z", "--json"])).out.split("\n")
  assert.deepEqual(lines.slice(2), ['{"totals":{"added":1,"removed":1,"changed":0,"unchanged":6}}', ""])
  assert.equal((await hayloft(["bucket", "diff", "photos", "yesterday"])).code, 2)
})

test("bucket undelete lists what is kept, restores one key or a prefix, and says what it left alone", async () => {
  store.undelete.deleted.push(...["a/1", "a/2\x1b", "a/exists", "b"].map(deletedOf))
  assert.equal((await hayloft(["bucket", "create", "photos"])).code, 0)
  const undelete = (verb: string, ...rest: readonly string[]) =>
    hayloft(["bucket", "undelete", verb, "photos", ...rest])
  assert.match(
    (await undelete("enable")).out,
    /^photos keeps what is deleted and overwritten for 3 days from now on\n$/,
  )
  assert.match(
    (await undelete("disable")).out,
    /keeps nothing more .*; 2 objects, 700 B: until their time, or until a purge\n/,
  )
  for (const days of ["0", "366", "1.5", "x"]) assert.equal((await undelete("enable", "--days", days)).code, 2, days)
  const listed = (await undelete("list", "--prefix", "a/", "--since", "1970-01-01T00:00:02Z")).out.split("\n")
  assert.deepEqual(listed, [
    "DELETED               UNTIL                 REASON       SIZE        KEY",
    "1970-01-01 00:00:02Z  1970-01-01 00:00:09Z  deleted      5 B         a/1",
    "1970-01-01 00:00:02Z  1970-01-01 00:00:09Z  deleted      5 B         a/2\\x1b",
    "1970-01-01 00:00:02Z  1970-01-01 00:00:09Z  deleted      5 B         a/exists",
    "",
  ])
  assert.equal((await undelete("list", "--json")).out.match(/^\{"key":/gm)?.length, 4)
  assert.equal((await undelete("list", "--since", "1h")).out, "nothing is kept of photos\n")
  assert.equal((await undelete("list", "--since", "yesterday")).code, 2)
  assert.match((await undelete("restore", "a/1", "--at", "1970-01-01 00:00:01Z")).out, /^restored photos\/a\/1\n$/)
  assert.ok(store.touched.includes("undelete a/1 at 1000"))
  const exists = await undelete("restore", "a/exists")
  assert.deepEqual([exists.code, /exists; add --over to replace it/.test(exists.error)], [6, true])
  assert.equal((await undelete("restore", "a/exists", "--over")).code, 0)
  assert.equal((await undelete("restore", "c")).code, 3)
  assert.equal((await undelete("restore", "--prefix", "c")).code, 3)
  assert.equal((await undelete("restore")).code, 2)
  assert.equal((await undelete("restore", "a/1", "--prefix", "a")).code, 2)
  const below = await undelete("restore", "--prefix", "")
  assert.match(below.out, /^restored 3 of photos\/\*; 1 exists and stays as it is \(--over replaces it\)\n$/)
})

test("bucket undelete purge removes what was confirmed; everything requires the bucket's name", async () => {
  store.undelete.deleted.push(...["a/1", "a/11", "a/2", "a/3", "b"].map(deletedOf))
  await hayloft(["bucket", "create", "photos"])
  const purge = (args: readonly string[], types?: string) =>
    hayloft(["bucket", "undelete", "purge", "photos", ...args], types === undefined ? {} : { types })
  const purged = () => store.touched.filter(what => what.startsWith("purge"))
  const unasked = await purge(["a/1"])
  assert.deepEqual([unasked.code, purged()], [2, []])
  assert.match(unasked.out, /^removes what is kept of photos\/a\/1: 1 object, 5 B; it cannot be restored any more\n/)
  assert.equal((await purge(["--prefix", "a/"], "n\n")).code, 1)
  for (const all of [["--yes"], ["--yes", "--prefix", ""], ["--yes", "--confirm", "other"]]) {
    assert.deepEqual([(await purge(all)).code, purged()], [2, []])
  }
  assert.match((await purge(["a/1", "--yes"])).out, /removed 1 object, 5 B\n$/)
  assert.match((await purge(["--prefix", "a/"], "y\n")).out, /removed 3 objects, 15 B\n$/)
  assert.match((await purge(["--yes", "--confirm", "photos"])).out, /removed 1 object, 5 B\n$/)
  assert.deepEqual(purged(), ["purge a/1", "purge a/*", "purge a/*", "purge *"])
  assert.match((await purge(["a/3", "--yes"])).out, /^nothing is kept of photos\/a\/3\n$/)
})

test("while a device is absent, status says what repair waits for, and ends with the commands that end this", async () => {
  const [device] = REPORT.devices
  store.shown = { devices: [{ ...device, state: "offline", reason: "EIO" }] as typeof REPORT.devices }
  store.repair = {
    ...store.repair,
    partitionsScanned: 65_536,
    partitionsRemaining: 0,
    progress: { doneBytes: 0, remainingBytes: 0, bytesPerSecond: 0 },
  }
  const { out } = await hayloft(["status"])
  assert.match(out, /^repair +waits for \/data to return, or to be replaced or forgotten/m)
  assert.match(
    out,
    new RegExp(
      `\\nnext +bring /data back, and: hayloft device check ${ID}\\n.*replace ${ID} FOLDER\\n.*forget ${ID}\\n`,
    ),
  )
  assert.doesNotMatch(out, /^riskiest/m)
})

test("the metadata is backed up now, and the status shows how old the backup is", async () => {
  store.jobs.set("metadata-backup", backupJob("2026-11-02T09:00:00.000Z"))
  assert.match((await hayloft(["status"])).out, /^backup +of the metadata: the last snapshot is from 2026-11-02T09/m)
  const { code, out } = await hayloft(["backup", "now"])
  assert.deepEqual(
    [code, /^the metadata is backed up: the last snapshot is from 2026-11-02 10:00:00Z, 9 B$/m.test(out)],
    [0, true],
    out,
  )
})

test("repair, scrub and jobs can be shown and controlled", async () => {
  assert.match((await hayloft(["repair", "status"])).out, /^33 % of 900 B/)
  assert.match((await hayloft(["repair", "pause"])).out, /^paused; 33 % of 900 B.*; 3 of 9/)
  assert.match((await hayloft(["repair", "resume", "--json"])).out, /^\{"isPaused":false/)
  assert.match((await hayloft(["scrub", "status"])).out, new RegExp(`${ID} +running +33 %`))
  assert.equal((await hayloft(["scrub", "start"])).code, 0)
  assert.equal((await hayloft(["scrub", "start", "/data"])).code, 0)
  assert.equal((await hayloft(["scrub", "pause"])).code, 0)
  assert.match((await hayloft(["orphans", "resume"])).out, /orphans +busy/)
  assert.ok(store.touched.includes("resumeOrphans"))
  assert.deepEqual(
    store.touched.filter(what => /Scrub/.test(what)),
    ["startScrub all", `startScrub ${ID}`, "pauseScrub"],
  )
  assert.match((await hayloft(["jobs", "list"])).out, /repair +busy +2 +3 of 9 partitions/)
  assert.match((await hayloft(["jobs", "set-throttle", "repair", "0"])).out, /repair +busy +0 /)
  assert.equal((await hayloft(["jobs", "wake", "nothing"])).code, 2)
  assert.match((await hayloft(["device", "check", ID])).out, /is rebuilding: answers, and has what it had/)
  assert.match(
    (await hayloft(["redundancy", "show"])).out,
    /^redundancy +ec:2\+1, automatic\nmeaning +any 1 of 3 disks\n/,
  )
})

test("layout plan shows the plan of staged changes, from options and from a file, and changes nothing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-layout-"))
  try {
    const file = join(folder, "changes.json")
    await writeFile(file, JSON.stringify([{ kind: "drainNode", node: "n2" }]))
    for (const args of [
      ["--drain-node", "n2"],
      ["--file", file],
      ["--weight", `${ID}=2`],
    ]) {
      const planned = await hayloft(["layout", "plan", ...args])
      assert.deepEqual([planned.code, store.changes], [0, []])
      assert.match(planned.out, /changeLayout as asked/)
    }
    await writeFile(file, "[{}]")
    assert.match((await hayloft(["layout", "plan", "--file", file])).error, /not a JSON list of changes/)
  } finally {
    await rm(folder, { recursive: true })
  }
  const wrong = await hayloft(["layout", "plan", "--weight", ID])
  assert.deepEqual([wrong.code, /is not DEVICE=NUMBER/.test(wrong.error)], [2, true])
  assert.match((await hayloft(["layout", "plan"])).error, /name at least one change/)
  const relative = await hayloft(["device", "add", "disk", "--node", "n2", "--yes"])
  assert.match(relative.error, /pass the absolute path of the folder on node n2/)
})

test("layout show prints the share of each device, now and before", async () => {
  const { code, out } = await hayloft(["layout", "show"])
  assert.equal(code, 0)
  assert.match(out, /version 2, 1 slot for each partition\nmoving {6}from layout 1: 33 % of 900 B/)
  assert.match(
    out,
    /DEVICE +STATE +WEIGHT +SHARE +BEFORE +FOLDER\n0123456789abcdef +active +1 +100.0 % +50.0 % +\/data/,
  )
})

test("node list and status show nodes, what they do, what they cannot reach, and what waits for the operator", async () => {
  assert.match((await hayloft(["node", "list"])).error, /this store has no nodes/)
  const devices = REPORT.devices.map(device => ({ ...device, node: "n1", zone: "a", machine: "m1" }))
  store.shown = { nodes: NODES_REPORT, devices }
  const { out } = await hayloft(["node", "list"])
  assert.match(out, /n1 +a +m1 +10.0.0.1:7700 +1.2.3 +1 +steward, repair +serving\n/)
  assert.match(out, /n2 .* silent, draining \(no heartbeat for 40 s\)\nn1 cannot reach n2\n/)
  assert.match(out, /no node does collector at the moment\nnode n2 has been silent or cut off for 16 min/)
  const status = (await hayloft(["status"])).out
  assert.match(status, /\nnodes {7}2 nodes in 2 zones, 1 serving; asked: n1\n {12}n1 cannot reach n2\n/)
  assert.match(
    status,
    /\nzone a\nn1: serving; machine m1, 10.0.0.1:7700, 1.2.3; does steward, repair\n {2}0123456789abcdef /,
  )
  assert.match(status, /\nzone b\nn2: silent, draining \(no heartbeat for 40 s\); machine m2, /)
})

test("a folder that several nodes have is named with its node", () => {
  const devices = [
    { id: ID, path: "/data", node: "n1" },
    { id: OTHER, path: "/data", node: "n2" },
  ]
  assert.throws(() => findDevice(devices, "/data", "/data"), /folder of several nodes/)
  assert.equal(findDevice(devices, "n2:/data", "/home/me/n2:/data").id, OTHER)
  assert.equal(findDevice(devices, ID, `/home/me/${ID}`).id, ID)
  const disks = ["d1", "d2", "d22"].map((disk, at) => ({ id: `00000000000000a${at}`, path: `/mnt/${disk}/hay` }))
  assert.equal(findDevice(disks, "d2", "/home/me/d2").path, "/mnt/d2/hay")
  assert.equal(findDevice(disks, "d22/hay", "/home/me/d22/hay").path, "/mnt/d22/hay")
  assert.throws(() => findDevice(disks, "hay", "/home/me/hay"), /is in the paths of several devices/)
  assert.throws(() => findDevice(disks, "2", "/home/me/2"), /is not a device/)
})
