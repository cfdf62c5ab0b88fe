/**
 * Tests of what lifecycle rules that were put over S3 remove as days pass, over a store in simulated time. The cases
 * are those of ceph/s3-tests (`test_lifecycle_*`) that need a clock; days are real ones here.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { md5Base64 } from "../../conformance/checksums.js"
import { elements, text } from "../../conformance/xml.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { ask } from "./ask.js"
import { shown, world } from "./delays-world.js"

const DAY_MS = 86_400_000
const never = new AbortController().signal

const days = (count: number): string => `<Expiration><Days>${count}</Days></Expiration>`
const date = (day: string): string => `<Expiration><Date>${day}</Date></Expiration>`
const noncurrent = (count: number, newer = ""): string =>
  `<NoncurrentVersionExpiration><NoncurrentDays>${count}</NoncurrentDays>${newer}</NoncurrentVersionExpiration>`
const MARKERS = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
const abort = (count: number): string =>
  `<AbortIncompleteMultipartUpload><DaysAfterInitiation>${count}</DaysAfterInitiation></AbortIncompleteMultipartUpload>`
const prefix = (name: string): string => `<Prefix>${name}</Prefix>`
const tag = (key: string, value: string): string => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`
const rule = (filter: string, actions: string, status = "Enabled"): string =>
  `<Rule><Filter>${filter}</Filter><Status>${status}</Status>${actions}</Rule>`

/** A bucket in a store whose days pass at once. */
class Trial {
  private constructor(
    private readonly machine: Machine,
    private readonly made: Awaited<ReturnType<typeof world>>,
  ) {}

  /** Opens the bucket, runs the case and closes the store. */
  static run(rules: readonly string[], run: (trial: Trial) => Promise<void>, isVersioned = false): Promise<void> {
    const machine = new Machine({ devices: 1 })
    const whole = async (): Promise<void> => {
      const trial = new Trial(machine, await world(machine))
      await trial.send("PUT", "")
      if (isVersioned) {
        const xml = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        await trial.send("PUT", "?versioning", xml)
      }
      const xml = `<LifecycleConfiguration>${rules.join("")}</LifecycleConfiguration>`
      await trial.send("PUT", "?lifecycle", xml)
      await run(trial)
      await trial.made.engine.stop()
    }
    return machine.clock.runUntil(whole())
  }

  async send(method: string, place: string, body = "", headers: readonly string[] = []) {
    const digest = body === "" ? [] : ["content-md5", md5Base64(Buffer.from(body))]
    const length = method === "PUT" || body !== "" ? ["content-length", String(body.length)] : []
    const rawHeaders = ["host", "h", ...length, ...digest, ...headers]
    const request = this.made.sign({ method, rawTarget: `/trial${place}`, rawHeaders })
    const answer = shown(await ask(this.made.quick, { ...request, body: Buffer.from(body) }))
    assert.ok(answer.status < 300, `${method} ${place}: ${answer.status} ${answer.body}`)
    return answer
  }

  async put(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.send("PUT", `/${key}`, "body")
  }

  putTagged(key: string, tags: string): Promise<unknown> {
    return this.send("PUT", `/${key}`, "body", ["x-amz-tagging", tags])
  }

  get nowMs(): number {
    return this.machine.clock.wallMs()
  }

  /** Goes to this moment; everything that is due then is removed. */
  async until(timeMs: number): Promise<void> {
    await this.made.clock.sleep(timeMs - this.nowMs, never)
    const { lifecycle } = this.made.engine.services
    for (let steps = 0; (await lifecycle.step(never)) === "busy"; steps += 1) assert.ok(steps < 1_000, "the pass ends")
  }

  /** Goes to noon, this many midnights later. */
  midnights(count: number): Promise<void> {
    return this.until((Math.floor(this.nowMs / DAY_MS) + count + 0.5) * DAY_MS)
  }

  /** Keys of all versions, newest first; `*` follows a delete marker. */
  async versions(): Promise<readonly string[]> {
    const { body } = await this.send("GET", "?versions")
    const found = [
      ...elements(body, "Version").map(entry => text(entry, "Key") ?? ""),
      ...elements(body, "DeleteMarker").map(entry => `${text(entry, "Key") ?? ""}*`),
    ]
    return found.sort()
  }

  async uploads(): Promise<readonly string[]> {
    return elements((await this.send("GET", "?uploads")).body, "Upload").map(entry => text(entry, "Key") ?? "")
  }
}

test("rules with different prefixes and days act one after the other", () =>
  Trial.run([rule(prefix("expire1/"), days(1)), rule(prefix("expire3/"), days(5))], async trial => {
    await trial.put("expire1/bar", "expire1/foo", "expire3/bar", "keep2/foo")
    await trial.midnights(1)
    assert.equal((await trial.versions()).length, 4, "a day is not over")
    await trial.midnights(1)
    assert.deepEqual(await trial.versions(), ["expire3/bar", "keep2/foo"])
    await trial.midnights(3)
    assert.deepEqual(await trial.versions(), ["expire3/bar", "keep2/foo"])
    await trial.midnights(1)
    assert.deepEqual(await trial.versions(), ["keep2/foo"])
    await trial.midnights(30)
    assert.deepEqual(await trial.versions(), ["keep2/foo"])
  }))

test("an object goes at the moment that its header announced, and not a second before", () =>
  Trial.run([rule("", days(2))], async trial => {
    await trial.put("k")
    const { pairs } = await trial.send("HEAD", "/k")
    const header = pairs.find(pair => pair.startsWith("x-amz-expiration: ")) ?? ""
    const announcedMs = Date.parse(/expiry-date="([^"]+)"/.exec(header)?.[1] ?? "")
    assert.ok(announcedMs > trial.nowMs + 2 * DAY_MS, header)
    await trial.until(announcedMs - 1_000)
    assert.deepEqual(await trial.versions(), ["k"])
    await trial.until(announcedMs)
    assert.deepEqual(await trial.versions(), [])
  }))

test("a rule with one tag or several removes only objects that have all of them", () => {
  const both = `<And>${prefix("days1/")}${tag("tom", "sawyer")}${tag("huck", "finn")}</And>`
  return Trial.run([rule(both, days(1)), rule(tag("go", ""), days(3))], async trial => {
    await trial.put("days1/none")
    await trial.putTagged("days1/tom", "tom=sawyer")
    await trial.putTagged("days1/huck", "huck=finn&tom=sawyer&more=1")
    await trial.putTagged("elsewhere", "huck=finn&tom=sawyer")
    await trial.putTagged("go", "go=")
    await trial.midnights(2)
    assert.deepEqual(await trial.versions(), ["days1/none", "days1/tom", "elsewhere", "go"])
    await trial.midnights(2)
    assert.deepEqual(await trial.versions(), ["days1/none", "days1/tom", "elsewhere"])
  })
})

test("a rule with sizes removes objects strictly above or below", () => {
  const [above, below] = [
    "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>",
    "<ObjectSizeLessThan>3</ObjectSizeLessThan>",
  ]
  return Trial.run([rule(above, days(1)), rule(below, days(1))], async trial => {
    for (const size of [0, 2, 3, 5, 6]) await trial.send("PUT", `/of-${size}`, "x".repeat(size))
    await trial.midnights(2)
    assert.deepEqual(await trial.versions(), ["of-3", "of-5"])
  })
})

test("a date in the past removes what is there, one in the future nothing, a disabled rule nothing", () =>
  Trial.run(
    [
      rule(prefix("past/"), date("1970-01-01")),
      rule(prefix("future/"), date("2999-01-01")),
      rule(prefix("off/"), days(1), "Disabled"),
    ],
    async trial => {
      await trial.put("past/foo", "future/bar", "off/baz")
      await trial.midnights(2)
      assert.deepEqual(await trial.versions(), ["future/bar", "off/baz"])
    },
  ))

test("an expiration hides an object with versions; below a delete marker it does nothing", () =>
  Trial.run(
    [rule("", days(1))],
    async trial => {
      await trial.put("hidden", "seen")
      await trial.send("DELETE", "/hidden")
      await trial.midnights(2)
      assert.deepEqual(await trial.versions(), ["hidden", "hidden*", "seen", "seen*"])
      await trial.midnights(9)
      assert.deepEqual(await trial.versions(), ["hidden", "hidden*", "seen", "seen*"])
    },
    true,
  ))

test("old versions go by their days, except the newest that a rule keeps", () => {
  const keeping = "<NewerNoncurrentVersions>2</NewerNoncurrentVersions>"
  const rules = [rule(prefix("all/"), noncurrent(2)), rule(prefix("some/"), noncurrent(2, keeping))]
  return Trial.run(
    rules,
    async trial => {
      for (let i = 0; i < 4; i += 1) await trial.put("all/a", "some/a", "none/a")
      await trial.midnights(2)
      assert.equal((await trial.versions()).length, 12)
      await trial.midnights(1)
      const left = [...Array<string>(1).fill("all/a"), ...Array<string>(4).fill("none/a"), "some/a", "some/a", "some/a"]
      assert.deepEqual(await trial.versions(), left)
    },
    true,
  )
})

test("old versions with tags go by a rule for tags", () =>
  Trial.run(
    [rule(tag("vampire", "weekend"), noncurrent(1))],
    async trial => {
      await trial.putTagged("k", "vampire=weekend")
      await trial.put("k", "k")
      await trial.midnights(2)
      assert.deepEqual(await trial.versions(), ["k", "k"])
    },
    true,
  ))

test("a delete marker goes after the versions below it: at once, or by its own days", () =>
  Trial.run(
    [rule(prefix("once/"), noncurrent(1) + MARKERS), rule(prefix("days/"), noncurrent(1) + days(5))],
    async trial => {
      await trial.put("once/a", "days/a", "other/a")
      for (const key of ["once/a", "days/a", "other/a"]) await trial.send("DELETE", `/${key}`)
      await trial.midnights(2)
      await trial.midnights(1)
      assert.deepEqual(await trial.versions(), ["days/a*", "other/a", "other/a*"])
      await trial.midnights(3)
      assert.deepEqual(await trial.versions(), ["other/a", "other/a*"])
    },
    true,
  ))

test("uploads are aborted by the rule for their prefix, others after 7 days", () =>
  Trial.run([rule(prefix("test1/"), abort(2))], async trial => {
    for (const key of ["test1/a", "test2/a"]) await trial.send("POST", `/${key}?uploads`)
    await trial.midnights(2)
    assert.deepEqual(await trial.uploads(), ["test1/a", "test2/a"])
    await trial.midnights(1)
    assert.deepEqual(await trial.uploads(), ["test2/a"])
    await trial.midnights(4)
    assert.deepEqual(await trial.uploads(), ["test2/a"])
    await trial.midnights(1)
    assert.deepEqual(await trial.uploads(), [])
  }))

test("rules that are deleted over S3 remove nothing more", () =>
  Trial.run([rule("", days(1))], async trial => {
    await trial.put("k")
    await trial.send("DELETE", "?lifecycle")
    await trial.midnights(5)
    assert.deepEqual(await trial.versions(), ["k"])
  }))
