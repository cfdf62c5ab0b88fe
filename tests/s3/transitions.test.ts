/**
 * Transitions and restores over S3, as days pass in a store whose operator has mapped GLACIER and DEEP_ARCHIVE. The cases
 * cite the Amazon S3 API Reference (API) and the Amazon S3 User Guide (UG).
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { md5Base64 } from "../../conformance/checksums.js"
import { elements, text } from "../../conformance/xml.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { ask } from "./ask.js"
import { shown, world } from "./delays-world.js"

const DAY_MS = 86_400_000
const never = new AbortController().signal
const MINIMUM = "x-amz-transition-default-minimum-object-size"
const BODY = "b".repeat(131_072)

const to = (storageClass: string, count: number): string =>
  `<Transition><Days>${count}</Days><StorageClass>${storageClass}</StorageClass></Transition>`
const rule = (actions: string, filter = ""): string =>
  `<Rule><ID>r</ID><Filter>${filter}</Filter><Status>Enabled</Status>${actions}</Rule>`
const restore = (days: number): string =>
  `<RestoreRequest><Days>${days}</Days><GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters></RestoreRequest>`

interface Sent {
  readonly body?: string
  readonly headers?: readonly string[]
}

/** A bucket in a store whose days pass at once. */
class Trial {
  private constructor(
    private readonly machine: Machine,
    private readonly made: Awaited<ReturnType<typeof world>>,
  ) {}

  /** The operator has mapped the archives, unless `isPlain`. */
  static run(run: (trial: Trial) => Promise<void>, isPlain = false): Promise<void> {
    const machine = new Machine({ devices: 1 })
    const whole = async (): Promise<void> => {
      const trial = new Trial(machine, await world(machine))
      const policy = parsePolicy("replica:1")
      await trial.made.engine.recordManager.change("map", record => ({
        ...record,
        ...(!isPlain && {
          classes: [
            ["GLACIER", policy],
            ["DEEP_ARCHIVE", policy],
          ],
        }),
      }))
      await trial.send("PUT", "")
      await run(trial)
      await trial.made.engine.stop()
    }
    return machine.clock.runUntil(whole())
  }

  async ask(method: string, place: string, { body = "", headers = [] }: Sent = {}) {
    const digest = body === "" ? [] : ["content-md5", md5Base64(Buffer.from(body))]
    const length = method === "PUT" || body !== "" ? ["content-length", String(body.length)] : []
    const rawHeaders = ["host", "h", ...length, ...digest, ...headers]
    const request = this.made.sign({ method, rawTarget: `/trial${place}`, rawHeaders })
    return shown(await ask(this.made.quick, { ...request, body: Buffer.from(body) }))
  }

  async send(method: string, place: string, sent: Sent = {}) {
    const answer = await this.ask(method, place, sent)
    assert.ok(answer.status < 300, `${method} ${place}: ${answer.status} ${answer.body}`)
    return answer
  }

  async refuses(status: number, code: string, method: string, place: string, sent: Sent = {}): Promise<string> {
    const answer = await this.ask(method, place, sent)
    assert.deepEqual([answer.status, text(answer.body, "Code")], [status, code], `${method} ${place}`)
    return answer.body
  }

  rules(...rules: readonly string[]): Promise<unknown> {
    const body = `<LifecycleConfiguration>${rules.join("")}</LifecycleConfiguration>`
    return this.send("PUT", "?lifecycle", { body })
  }

  /** A header of HEAD; undefined: it has none. */
  async header(place: string, name: string): Promise<string | undefined> {
    const { pairs } = await this.send("HEAD", place)
    return pairs.find(pair => pair.toLowerCase().startsWith(`${name}: `))?.slice(name.length + 2)
  }

  classOf(place: string): Promise<string | undefined> {
    return this.header(place, "x-amz-storage-class")
  }

  /** The classes in the control record: once they are there, no earlier release opens the store. */
  get classes() {
    return this.made.engine.recordManager.record.classes
  }

  get nowMs(): number {
    return this.machine.clock.wallMs()
  }

  /** Goes to noon, this many midnights later; everything that is due then is done. */
  async midnights(count: number): Promise<void> {
    const timeMs = (Math.floor(this.nowMs / DAY_MS) + count + 0.5) * DAY_MS
    await this.made.clock.sleep(timeMs - this.nowMs, never)
    const { lifecycle } = this.made.engine.services
    for (let steps = 0; (await lifecycle.step(never)) === "busy"; steps += 1) assert.ok(steps < 1_000, "the pass ends")
  }
}

test("before rules with transitions are stored, the store refuses releases that cannot read them", () =>
  Trial.run(async trial => {
    await trial.rules(rule("<Expiration><Days>1</Days></Expiration>"))
    assert.equal(trial.classes, undefined)
    await trial.rules(rule(to("STANDARD_IA", 30)))
    assert.deepEqual(trial.classes, [])
  }, true))

const ARCHIVED: Sent = { body: BODY, headers: ["x-amz-storage-class", "GLACIER"] }

// (UG) "Amazon S3 calculates the time by adding the number of days specified in the rule to the object creation time and
// rounding up the resulting time to the next day at midnight UTC"; (API, HeadObject) "x-amz-storage-class: Provides storage
// class information of the object. Amazon S3 returns this header for all objects except for S3 Standard storage class
// objects."
test("an object moves through its classes as days pass, and HEAD and listings show them", () =>
  Trial.run(async trial => {
    await trial.rules(rule(to("STANDARD_IA", 30) + to("GLACIER_IR", 60) + to("DEEP_ARCHIVE", 150)))
    await trial.send("PUT", "/k", { body: BODY })
    const etag = await trial.header("/k", "etag")
    for (const [days, expected] of [
      [30, undefined],
      [1, "STANDARD_IA"],
      [29, "STANDARD_IA"],
      [1, "GLACIER_IR"],
      [90, "DEEP_ARCHIVE"],
    ] as const) {
      await trial.midnights(days)
      assert.equal(await trial.classOf("/k"), expected)
      const { body } = await trial.send("GET", "?list-type=2")
      assert.equal(text(body, "StorageClass"), expected ?? "STANDARD")
    }
    assert.equal(await trial.header("/k", "etag"), etag)
  }))

// (API, PutBucketLifecycleConfiguration) "varies_by_storage_class - Objects smaller than 128 KB will transition to Glacier
// Flexible Retrieval or Glacier Deep Archive storage classes"; "Custom filters always take precedence".
test("small objects stay, move to archives only, or move by a size of the rule", () =>
  Trial.run(async trial => {
    const put = (actions: string, filter: string, minimum: string) =>
      trial.send("PUT", "?lifecycle", {
        body: `<LifecycleConfiguration>${rule(actions, filter)}</LifecycleConfiguration>`,
        headers: [MINIMUM, minimum],
      })
    await put(to("GLACIER", 0), "", "all_storage_classes_128K")
    await trial.send("PUT", "/small", { body: "small" })
    await trial.midnights(2)
    assert.equal(await trial.classOf("/small"), undefined)
    await put(to("GLACIER_IR", 0), "", "varies_by_storage_class")
    await trial.midnights(1)
    assert.equal(await trial.classOf("/small"), undefined)
    await put(to("GLACIER_IR", 0), "<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>", "all_storage_classes_128K")
    await trial.midnights(1)
    assert.equal(await trial.classOf("/small"), "GLACIER_IR")
    await put(to("GLACIER", 0), "", "varies_by_storage_class")
    await trial.midnights(1)
    assert.equal(await trial.classOf("/small"), "GLACIER")
  }))

// (API, GetObject) "If the object you are retrieving is stored in the S3 Glacier Flexible Retrieval storage class, the S3
// Glacier Deep Archive storage class … before you can retrieve the object you must first restore a copy using RestoreObject.
// Otherwise, this action returns an InvalidObjectState error"; (API, CopyObject) likewise of its source.
test("an archived object is shown, and neither read nor copied, until it is restored", () =>
  Trial.run(async trial => {
    await trial.send("PUT", "/k", ARCHIVED)
    assert.equal(await trial.header("/k", "x-amz-restore"), undefined)
    assert.equal(text(await trial.refuses(403, "InvalidObjectState", "GET", "/k"), "StorageClass"), "GLACIER")
    await trial.refuses(403, "InvalidObjectState", "GET", "/k", { headers: ["range", "bytes=0-1"] })
    const source = ["x-amz-copy-source", "trial/k"]
    await trial.refuses(403, "InvalidObjectState", "PUT", "/copy", { headers: source })
    const upload = text((await trial.send("POST", "/parts?uploads")).body, "UploadId") ?? ""
    const part = `/parts?partNumber=1&uploadId=${upload}`
    await trial.refuses(403, "InvalidObjectState", "PUT", part, { headers: source })
    assert.equal((await trial.send("POST", "/k?restore", { body: restore(1) })).status, 202)
    assert.equal((await trial.send("GET", "/k")).body, BODY)
    await trial.send("PUT", "/copy", { headers: source })
    assert.equal(await trial.classOf("/copy"), undefined, "a copy has the class of its own request")
    await trial.send("PUT", part, { headers: source })
  }))

// (API, RestoreObject) "If the object is not previously restored, then Amazon S3 returns 202 Accepted in the response. If the
// object is previously restored, Amazon S3 returns 200 OK"; (API, HeadObject) "x-amz-restore: … If an archive copy is already
// restored, the header value indicates when Amazon S3 is scheduled to delete the object copy."
test("a restore ends at the midnight that its header names, and another one sets a new end", () =>
  Trial.run(async trial => {
    await trial.send("PUT", "/k", ARCHIVED)
    const midnight = (days: number) => new Date((Math.floor(trial.nowMs / DAY_MS) + days) * DAY_MS).toUTCString()
    assert.equal((await trial.send("POST", "/k?restore", { body: restore(1) })).status, 202)
    assert.equal(await trial.header("/k", "x-amz-restore"), `ongoing-request="false", expiry-date="${midnight(2)}"`)
    assert.equal((await trial.send("POST", "/k?restore", { body: restore(3) })).status, 200)
    assert.equal(await trial.header("/k", "x-amz-restore"), `ongoing-request="false", expiry-date="${midnight(4)}"`)
    await trial.midnights(3)
    assert.equal((await trial.send("GET", "/k")).body, BODY)
    await trial.midnights(1)
    await trial.refuses(403, "InvalidObjectState", "GET", "/k")
    assert.equal(await trial.header("/k", "x-amz-restore"), undefined)
    assert.equal(await trial.classOf("/k"), "GLACIER")
    assert.equal((await trial.send("POST", "/k?restore", { body: restore(1) })).status, 202)
  }))

// (API, RestoreObject) "versionId: VersionId used to reference a specific version of the object"; (API, Object) "RestoreStatus:
// Specifies the restoration status of an object … This header must be specified in the request".
test("one version is restored, and listings show it if they are asked to", () =>
  Trial.run(async trial => {
    const body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await trial.send("PUT", "?versioning", { body })
    await trial.send("PUT", "/k", ARCHIVED)
    const older = (await trial.header("/k", "x-amz-version-id")) ?? ""
    await trial.send("PUT", "/k", { ...ARCHIVED, headers: ["x-amz-storage-class", "DEEP_ARCHIVE"] })
    await trial.send("POST", `/k?restore&versionId=${older}`, { body: restore(1) })
    assert.equal((await trial.send("GET", `/k?versionId=${older}`)).body, BODY)
    await trial.refuses(403, "InvalidObjectState", "GET", "/k")
    const headers = ["x-amz-optional-object-attributes", "RestoreStatus"]
    const states = async (query: string, entry: string) =>
      elements((await trial.send("GET", query, { headers })).body, entry).map(each => text(each, "IsRestoreInProgress"))
    assert.deepEqual(await states("?versions", "Version"), [undefined, "false"])
    assert.deepEqual(await states("?list-type=2", "Contents"), [undefined])
    await trial.send("POST", "/k?restore", { body: restore(1) })
    assert.deepEqual(await states("?versions", "Version"), ["false", "false"])
    assert.deepEqual(await states("?list-type=2", "Contents"), ["false"])
    const { body: listed } = await trial.send("GET", "?list-type=2", { headers })
    const expected = new Date((Math.floor(trial.nowMs / DAY_MS) + 2) * DAY_MS).toISOString()
    assert.equal(text(listed, "RestoreExpiryDate"), expected)
    assert.equal(text((await trial.send("GET", "?list-type=2")).body, "RestoreStatus"), undefined)
  }))
