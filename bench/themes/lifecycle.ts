/**
 * Lifecycle: what the daily pass over a bucket costs, in keys for each second of processor time of the server, and what
 * removals cost, beside a client that lists and deletes the same keys.
 *
 * The store's days are seconds long. What it costs without rules is measured before, and taken off.
 */
import { createHash } from "node:crypto"
import { setTimeout as rest } from "node:timers/promises"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { LIFECYCLE_STATUS } from "@hayloft/features/lifecycle/status.js"
import type { RawRequest } from "@hayloft/client/load/raw-connection.js"
import { runLoad } from "@hayloft/client/load/raw-load.js"
import { spreadKey } from "@hayloft/client/load/work-mix.js"
import { DELETE_KEYS_MAX } from "@hayloft/client/s3-client.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { CPU_SECONDS_MIN } from "../process-usage.js"
import { all, atLeast, type Measured, type Row } from "../row.js"
import type { Scale } from "../scale.js"
import { theme, type Fixture } from "../theme.js"

const STATUS = STORE_SCHEMAS.STATUS.extend({ lifecycle: LIFECYCLE_STATUS.optional() })
/** Passes of one measurement. */
const DAYS = 3
const MANY_RULES = 100
/** Longer than the run, in days of any length. */
const NEVER_DAYS = 1_000_000
const LOOK_EVERY_MS = 200
const REMOVAL_MS_MAX = 3_600_000
const EMPTY = Buffer.alloc(0)

const daySecondsOf = ({ seconds }: Scale): number => Math.ceil(seconds * 10)

const ruleOf = (id: number, prefix: string, days: number): string =>
  `<Rule><ID>${id}</ID><Filter><Prefix>${prefix}</Prefix></Filter><Status>Enabled</Status>` +
  `<Expiration><Days>${days}</Days></Expiration></Rule>`

class AgedStore implements Fixture {
  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
  ) {}

  static async open(bench: Bench): Promise<AgedStore> {
    const args = ["--lifecycle-day", String(daySecondsOf(bench.scale))]
    const aged = new AgedStore(bench, await OwnStore.open(bench, { name: "aged", folders: 1, args }))
    await aged.fill()
    return aged
  }

  close(): Promise<void> {
    return this.store.close()
  }

  private get keys(): number {
    return this.bench.scale.startObjects
  }

  /** Keys that passes look at, beside those of a client that lists all. */
  async pass(): Promise<Measured> {
    const listed = await this.cpuOf(async () => {
      for await (const key of this.listed()) void key
    })
    const figure = await this.passes([ruleOf(1, "", NEVER_DAYS)])
    return { figure, limit: this.keys / listed, unit: "keys/CPU s" }
  }

  async manyRules(): Promise<Measured> {
    const limit = await this.passes([ruleOf(1, "", NEVER_DAYS)])
    const rules = Array.from({ length: MANY_RULES }, (_, id) => ruleOf(id, `other/${id}/`, NEVER_DAYS))
    return { figure: await this.passes(rules), limit, unit: "keys/CPU s" }
  }

  /** Half of the keys by a client, half by a rule. */
  async removals(): Promise<Measured> {
    const half = Math.floor(this.keys / 2)
    const byClient = await this.cpuOf(async () => {
      const keys: string[] = []
      for await (const key of this.listed()) if (keys.push(key) === half) break
      for (let at = 0; at < half; at += DELETE_KEYS_MAX) {
        await this.store.client.removeMany(BUCKET, keys.slice(at, Math.min(half, at + DELETE_KEYS_MAX)))
      }
    })
    const left = this.keys - half
    await this.settle()
    const byRule = await this.cpuOf(async () => {
      await this.putRules([ruleOf(1, "", 1)])
      for (let waitedMs = 0; (await this.removed()) < left; waitedMs += LOOK_EVERY_MS) {
        if (waitedMs > REMOVAL_MS_MAX) throw new Error(`only ${await this.removed()} of ${left} keys were removed`)
        await rest(LOOK_EVERY_MS)
      }
    })
    return { figure: left / byRule, limit: half / byClient, unit: "keys/CPU s" }
  }

  /** Keys for each second of processor time that the rules cost. */
  private async passes(rules: readonly string[]): Promise<number> {
    const { forge } = this.store
    const days = () => this.cpuOf(() => rest(DAYS * daySecondsOf(this.bench.scale) * 1000))
    await this.send(forge.forge({ method: "DELETE", bucket: BUCKET, query: [["lifecycle", ""]], body: EMPTY }))
    await this.settle()
    const without = await days()
    await this.putRules(rules)
    const cpuSeconds = Math.max(CPU_SECONDS_MIN, (await days()) - without)
    return (this.keys * DAYS) / cpuSeconds
  }

  /** Background jobs follow up what was put or removed. */
  private settle(): Promise<void> {
    return rest(daySecondsOf(this.bench.scale) * 1000)
  }

  private async cpuOf(work: () => Promise<unknown>): Promise<number> {
    const before = await this.store.cpuSeconds()
    await work()
    return Math.max(CPU_SECONDS_MIN, (await this.store.cpuSeconds()) - before)
  }

  private removed(): Promise<number> {
    return this.store.admin(async admin => {
      const { lifecycle } = STATUS.parse(await admin.get("/v1/status"))
      return lifecycle?.removed.versions ?? 0
    })
  }

  private async *listed(): AsyncGenerator<string> {
    const { client } = this.store
    for (let after: string | undefined = ""; after !== undefined;) {
      const { keys } = await client.list(BUCKET, { prefix: "", delimiter: "", after })
      yield* keys.map(({ key }) => key)
      after = keys.at(-1)?.key
    }
  }

  private async putRules(rules: readonly string[]): Promise<void> {
    const body = Buffer.from(`<LifecycleConfiguration>${rules.join("")}</LifecycleConfiguration>`)
    const headers = [["content-md5", createHash("md5").update(body).digest("base64")]] as const
    const query = [["lifecycle", ""]] as const
    await this.send(this.store.forge.forge({ method: "PUT", bucket: BUCKET, query, headers, body }))
  }

  private fill(): Promise<void> {
    let n = 0
    return this.each(() => {
      if (n === this.keys) return undefined
      return this.store.forge.forge({ method: "PUT", bucket: BUCKET, key: spreadKey("aged/", n++), body: EMPTY })
    })
  }

  private send(request: RawRequest): Promise<void> {
    const waiting = [request]
    return this.each(() => waiting.pop())
  }

  private async each(make: () => RawRequest | undefined): Promise<void> {
    const { scale, clock, signal } = this.bench
    const next = () => {
      const request = make()
      return request && { request, bytes: 0 }
    }
    const plan = { endpoint: this.store.forge.endpoint, connections: scale.connections, next }
    const { firstError } = await runLoad(plan, clock, signal)
    if (firstError !== undefined) throw new Error(`a request failed: ${firstError}`)
  }
}

const rowsOf = ({ startObjects: keys }: Scale): Row<AgedStore>[] => [
  { work: `pass over ${keys} keys`, target: all(atLeast("ratio", 1)), measure: it => it.pass() },
  { work: `pass, ${MANY_RULES} rules`, target: all(atLeast("ratio", 0.5)), measure: it => it.manyRules() },
  { work: "removal by a rule", target: all(atLeast("ratio", 0.5)), isOnce: true, measure: it => it.removals() },
]

export const LIFECYCLE = theme({
  name: "lifecycle",
  isOnRequest: true,
  open: bench => AgedStore.open(bench),
  rows: rowsOf,
})
