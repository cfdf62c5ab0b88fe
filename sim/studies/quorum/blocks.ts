/**
 * Hayloft's rule: the shards of a block are written once and never changed, a block is written when `decideAck` says so, and
 * then one row decides which version is the object. The plan and the verdict are the product's own
 * (`packages/engine/src/block/write-plan-core.ts`); this file plays the shards, and the row.
 */
import { must } from "@hayloft/base/assert.js"
import { parseDeviceId, type DeviceId } from "@hayloft/base/ids.js"
import { isFailure } from "@hayloft/base/failures.js"
import { shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import { BLOCK_LIMITS } from "@hayloft/engine/block/limits.js"
import { decideAck, planWrite, type WritePlan } from "@hayloft/engine/block/write-plan-core.js"
import type { ReadEnd, Servers, StoreUnderStudy, WriteEnd } from "./servers.js"

interface Block {
  readonly write: string
  readonly policy: Policy
  /** By slot. */
  readonly targets: readonly (number | undefined)[]
}

const deviceOf = (server: number): DeviceId => parseDeviceId(server.toString(16).padStart(16, "0"))
const serverOf = (id: DeviceId): number => Number.parseInt(id, 16)

export class BlockStore implements StoreUnderStudy {
  readonly survives = new Map<string, number>()
  /** By key, in one place. */
  private readonly rows = new Map<number, Block>()
  /** By server: the shards on its disk. */
  private readonly shards: readonly Set<string>[]
  /** By write: the place of its commit. */
  private readonly order = new Map<string, number>()
  private placed = 0
  private blocks = 0
  private bytes = 0

  constructor(
    private readonly servers: Servers,
    private readonly policy: Policy,
  ) {
    this.shards = Array.from({ length: servers.count }, () => new Set())
  }

  get bytesPerByte(): number {
    return this.bytes / this.blocks
  }

  replaces(earlier: string, later: string): boolean {
    return (this.order.get(later) ?? 0) > (this.order.get(earlier) ?? 0)
  }

  /** Neighbouring blocks begin with different servers, as partitions do. */
  private slotsOf(by: number): readonly { readonly id: DeviceId; readonly isWritable: boolean }[] {
    const { count } = this.servers
    this.placed += 1
    return Array.from({ length: shardCount(this.policy) }, (_, slot) => {
      const server = (this.placed + slot) % count
      return { id: deviceOf(server), isWritable: this.servers.isCallable(by, server) }
    })
  }

  write(by: number, key: number, write: string, ended: (end: WriteEnd) => void): void {
    this.writeAnd(by, key, write, () => true, ended)
  }

  writeIf(by: number, key: number, write: string, current: string | undefined, ended: (end: WriteEnd) => void): void {
    this.writeAnd(by, key, write, () => this.rows.get(key)?.write === current, ended)
  }

  /** The condition is decided with the commit. */
  private writeAnd(by: number, key: number, write: string, holds: () => boolean, ended: (end: WriteEnd) => void): void {
    const plan = this.plan(by)
    if (plan === undefined) return ended("refused")
    const { policy } = plan
    const targets = plan.targets.map(id => (id === undefined ? undefined : serverOf(id)))
    this.blocks += 1
    this.writeShards(by, plan, targets, write, durable => {
      if (durable === undefined) return ended("refused")
      this.survives.set(write, durable - shardsNeeded(policy))
      const commit = (): boolean => {
        if (!holds()) return false
        this.rows.set(key, { write, policy, targets })
        this.order.set(write, this.order.size + 1)
        return true
      }
      this.servers.statement(by, commit, committed => ended(committed === true ? "done" : "refused"))
    })
  }

  private plan(by: number): WritePlan | undefined {
    try {
      return planWrite(this.policy, this.slotsOf(by))
    } catch (error) {
      if (isFailure(error, "deviceFailed")) return undefined
      throw error
    }
  }

  /** The loop of `BlockWriter` around `decideAck`; it ends with the durable shards, or without if the block has failed. */
  private writeShards(
    by: number,
    plan: WritePlan,
    targets: readonly (number | undefined)[],
    write: string,
    ended: (durable: number | undefined) => void,
  ): void {
    const shards = { durable: 0, failed: 0, pending: targets.filter(each => each !== undefined).length }
    let [stragglerOver, isAlarmSet, isOver] = [false, false, false]
    const decide = (): void => {
      if (isOver) return
      const verdict = decideAck(plan, { ...shards, stragglerOver })
      if (verdict !== "wait") {
        isOver = true
        return ended(verdict === "ack" ? shards.durable : undefined)
      }
      if (isAlarmSet || shards.durable < plan.durableMin) return
      isAlarmSet = true
      this.servers.events.after(BLOCK_LIMITS.stragglerMs, () => {
        stragglerOver = true
        decide()
      })
    }
    for (const [slot, server] of targets.entries()) {
      if (server === undefined) continue
      this.bytes += 1 / shardsNeeded(plan.policy)
      const put = (): Set<string> => must(this.shards[server], "the server exists").add(`${write} ${slot}`)
      this.servers.call(by, server, "write", put, answer => {
        shards.pending -= 1
        if (answer === undefined) shards.failed += 1
        else shards.durable += 1
        decide()
      })
    }
  }

  private has(server: number | undefined, write: string, slot: number): boolean {
    return server !== undefined && this.shards[server]?.has(`${write} ${slot}`) === true
  }

  read(by: number, key: number, ended: (end: ReadEnd | undefined) => void): void {
    this.servers.statement(
      by,
      () => [this.rows.get(key)] as const,
      answer => {
        if (answer === undefined) return ended(undefined)
        const [block] = answer
        if (block === undefined) return ended({ write: undefined })
        this.readShards(by, block, isRead => ended(isRead ? { write: block.write } : undefined))
      },
    )
  }

  /** Reads as many shards as are needed, and a further one for each that fails or is slow. */
  private readShards(by: number, block: Block, ended: (isRead: boolean) => void): void {
    const needed = shardsNeeded(block.policy)
    const slots = [...block.targets.entries()].flatMap(([slot, server]) =>
      server === undefined ? [] : [[slot, server] as const],
    )
    // Servers that do not answer come last.
    const order = [
      ...slots.filter(([, server]) => this.servers.isCallable(by, server)),
      ...slots.filter(([, server]) => !this.servers.isCallable(by, server)),
    ]
    let [found, running, isOver] = [0, 0, false]
    const end = (isRead: boolean): void => {
      if (isOver) return
      isOver = true
      ended(isRead)
    }
    const ask = (): void => {
      const next = order.shift()
      if (next === undefined) return
      const [slot, server] = next
      let isAnswered = false
      running += 1
      const get = (): boolean => this.has(server, block.write, slot)
      this.servers.call(by, server, "read", get, answer => {
        isAnswered = true
        running -= 1
        if (answer === true) found += 1
        else ask()
        if (found >= needed) end(true)
        else if (running === 0) end(false)
      })
      this.servers.events.after(BLOCK_LIMITS.slowReadMsMin, () => {
        if (!isAnswered && !isOver) ask()
      })
    }
    for (let begun = 0; begun < needed; begun += 1) ask()
  }
}
