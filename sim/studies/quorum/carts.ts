/**
 * Carts: clients read a list, add an item and write it back, which is the workload of the Dynamo paper. An addition that was
 * acknowledged and is not in the list at the end is lost: another client had read the list before it, and wrote after it.
 */
import { Clients, type Fault, type StoreMaker } from "./clients.js"
import type { WriteEnd } from "./servers.js"

const CARTS = { keys: 4, triesMax: 20, settleMs: 10_000, readMs: 5_000 } as const

export interface CartsEnd {
  readonly acknowledged: number
  readonly lost: number
}

class Carts extends Clients {
  /** By write: its items. */
  private readonly lists = new Map<string, readonly string[]>()
  private readonly acknowledged: { readonly key: number; readonly item: string }[] = []

  constructor(
    make: StoreMaker,
    private readonly isConditional: boolean,
    fault: Fault,
    seed: number,
  ) {
    super(make, fault, seed)
    this.run(CARTS.settleMs)
  }

  protected operate(client: number): void {
    const { events, count } = this.servers
    const item = `item of ${client} at ${events.nowMs}`
    this.add(client, client % count, this.random.below(CARTS.keys), item, CARTS.triesMax)
  }

  private add(client: number, by: number, key: number, item: string, triesLeft: number): void {
    this.store.read(by, key, found => {
      if (found === undefined) return this.next(client)
      const write = `${item}, ${triesLeft}`
      const before = found.write === undefined ? [] : (this.lists.get(found.write) ?? [])
      this.lists.set(write, [...before, item])
      this.put(by, key, write, found.write, end => {
        if (end === "done") this.acknowledged.push({ key, item })
        if (end !== "refused" || !this.isConditional || triesLeft === 0) return this.next(client)
        this.add(client, by, key, item, triesLeft - 1)
      })
    })
  }

  private put(
    by: number,
    key: number,
    write: string,
    current: string | undefined,
    ended: (end: WriteEnd) => void,
  ): void {
    if (this.isConditional) this.store.writeIf?.(by, key, write, current, ended)
    else this.store.write(by, key, write, ended)
  }

  get end(): CartsEnd {
    const { events } = this.servers
    const kept = new Map<number, ReadonlySet<string>>()
    for (let key = 0; key < CARTS.keys; key += 1) {
      this.store.read(0, key, found => kept.set(key, new Set(this.lists.get(found?.write ?? "") ?? [])))
    }
    events.runUntil(events.nowMs + CARTS.readMs)
    const lost = this.acknowledged.filter(({ key, item }) => kept.get(key)?.has(item) !== true)
    return { acknowledged: this.acknowledged.length, lost: lost.length }
  }
}

export const cartsUnder = (make: StoreMaker, isConditional: boolean, fault: Fault, seed: number): CartsEnd =>
  new Carts(make, isConditional, fault, seed).end
