/**
 * Carts: clients read a list, add an item and write it back, which is the workload of the Dynamo paper. An addition that was
 * acknowledged and is not in the list at the end is lost: another client had read the list before it, and wrote after it.
 */
import { SimRandom } from "../../../src/seams/random/sim.js"
import { exponential } from "../draws.js"
import { Events } from "../events.js"
import { HISTORY, type Fault, type StoreMaker } from "./history.js"
import { Servers, type StoreUnderStudy, type WriteEnd } from "./servers.js"

const CARTS = { keys: 4, triesMax: 20, settleMs: 10_000, readMs: 5_000 } as const

export interface CartsEnd {
  readonly acknowledged: number
  readonly lost: number
}

class Carts {
  private readonly servers: Servers
  private readonly store: StoreUnderStudy
  private readonly random: SimRandom
  /** By write: its items. */
  private readonly lists = new Map<string, readonly string[]>()
  private readonly acknowledged: { readonly key: number; readonly item: string }[] = []

  constructor(
    make: StoreMaker,
    private readonly isConditional: boolean,
    fault: Fault,
    seed: number,
  ) {
    const events = new Events()
    this.random = new SimRandom(seed)
    this.servers = new Servers(events, this.random.fork("servers"), HISTORY.servers)
    this.store = make(this.servers)
    for (let client = 0; client < HISTORY.clients; client += 1) this.next(client)
    events.after(HISTORY.faultFromMs, () => fault.begin(this.servers))
    events.after(HISTORY.faultToMs, () => this.servers.comeBack())
    events.runUntil(HISTORY.endMs + CARTS.settleMs)
  }

  private next(client: number): void {
    const { events, count } = this.servers
    if (events.nowMs >= HISTORY.endMs) return
    events.after(exponential(this.random, HISTORY.thinkMs), () => {
      const item = `item of ${client} at ${events.nowMs}`
      this.add(client, client % count, this.random.below(CARTS.keys), item, CARTS.triesMax)
    })
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
