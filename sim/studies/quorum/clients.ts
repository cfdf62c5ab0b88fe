/** Clients of a store under study: each does one operation after the other, while the servers of the store have a fault. */
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { exponential } from "../draws.js"
import { Events } from "../events.js"
import { Servers, type StoreUnderStudy } from "./servers.js"

/** How long, how many, how often. */
export const RUN = {
  servers: 6,
  clients: 12,
  thinkMs: 100,
  faultFromMs: 10_000,
  faultToMs: 20_000,
  endMs: 30_000,
} as const

export interface Fault {
  readonly name: string
  begin(servers: Servers): void
}

export type StoreMaker = (servers: Servers) => StoreUnderStudy

export abstract class Clients {
  readonly store: StoreUnderStudy
  protected readonly servers: Servers
  protected readonly random: SimRandom

  constructor(
    make: StoreMaker,
    private readonly fault: Fault,
    seed: number,
  ) {
    this.random = new SimRandom(seed)
    this.servers = new Servers(new Events(), this.random.fork("servers"), RUN.servers)
    this.store = make(this.servers)
  }

  /** One operation of the client; at its end it calls `next`. */
  protected abstract operate(client: number): void

  /** Until the last calls have ended, `settleMs` after the last operation began. */
  protected run(settleMs: number): void {
    const { events } = this.servers
    for (let client = 0; client < RUN.clients; client += 1) this.next(client)
    events.after(RUN.faultFromMs, () => this.fault.begin(this.servers))
    events.after(RUN.faultToMs, () => this.servers.comeBack())
    events.runUntil(RUN.endMs + settleMs)
  }

  protected next(client: number): void {
    const { events } = this.servers
    if (events.nowMs < RUN.endMs) events.after(exponential(this.random, RUN.thinkMs), () => this.operate(client))
  }
}

/** Which server a fault meets depends on nothing. */
export const FAULTS: readonly Fault[] = [
  { name: "none but slow disk operations", begin: () => undefined },
  { name: "a server vanishes", begin: servers => servers.vanish(2) },
  {
    name: "two servers vanish",
    begin: servers => {
      servers.vanish(2)
      servers.vanish(4)
    },
  },
  { name: "a server is slow", begin: servers => servers.slowDown(2) },
  { name: "split 4 : 2", begin: servers => servers.split(server => (server >= 4 ? 1 : 0)) },
  { name: "split 3 : 3", begin: servers => servers.split(server => (server >= 3 ? 1 : 0)) },
]
