/** Transactions of ten operations, compared with ten requests that do the same one by one. */
import type { TransactionEntry } from "@hayloft/client/index.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import { KIB } from "@hayloft/base/limits.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import type { Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { theme, type Fixture } from "../theme.js"

const OPERATIONS = 10
const ROUNDS = 30
/** Stored with the row. */
const BODY = noiseOf(KIB)

class Transactions implements Fixture {
  private drawn = 0

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
  ) {}

  static async open(bench: Bench): Promise<Transactions> {
    return new Transactions(bench, await OwnStore.open(bench, { name: "transactions", folders: 1 }))
  }

  close(): Promise<void> {
    return this.store.close()
  }

  /** Milliseconds for ten objects together, and one by one. */
  private async measured(
    operationOf: (key: string) => TransactionEntry,
    alone: (key: string) => Promise<unknown>,
  ): Promise<Measured> {
    const { clock, scale } = this.bench
    const { client } = this.store
    const [together, single]: [number[], number[]] = [[], []]
    for (let round = 0; round < shareOf(scale, ROUNDS); round += 1) {
      for (const times of [together, single]) {
        const stem = `t-${(this.drawn += 1)}`
        const keys = Array.from({ length: OPERATIONS }, (_, number) => `${stem}-${number}`)
        for (const key of keys) await client.put({ bucket: BUCKET, key, body: BODY })
        const beganMs = clock.monotonicMs()
        if (times === together) await client.transaction(keys.map(operationOf), { token: stem })
        else for (const key of keys) await alone(key)
        times.push(clock.monotonicMs() - beganMs)
      }
    }
    return { figure: median(together), unit: "ms", limit: median(single) }
  }

  deletes(): Promise<Measured> {
    return this.measured(
      key => ({ delete: { bucket: BUCKET, key } }),
      key => this.store.client.remove(BUCKET, key),
    )
  }

  renames(): Promise<Measured> {
    return this.measured(
      key => ({ rename: { bucket: BUCKET, key, toKey: `new-${key}` } }),
      async key => {
        const { etag } = await this.store.client.head(BUCKET, key)
        await this.store.client.rename({ bucket: BUCKET, key }, etag, { bucket: BUCKET, key: `new-${key}` }, key)
      },
    )
  }
}

const median = (figures: readonly number[]): number =>
  [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0

export const TRANSACTIONS = theme({
  name: "transactions",
  open: bench => Transactions.open(bench),
  rows: () => [
    { work: "transaction of 10 deletes, against 10 one by one", measure: it => it.deletes() },
    { work: "transaction of 10 renames of 1 KiB, against 10 one by one", measure: it => it.renames() },
  ],
})
