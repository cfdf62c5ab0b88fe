/**
 * Nemesis of a store of several nodes: kills, freezes and cuts off nodes and their database, and takes the space of
 * disks, while clients use the store. Faults of nodes and faults of the network and the database happen at the same
 * time, each kind one after the other. A seed determines acts, targets and times.
 *
 * Limits  Each fault lasts up to `LASTS_MS`; `START_MS_MAX` until a node serves again.
 */
import { setTimeout as later } from "node:timers/promises"
import type { Shim } from "../faults/shim.js"
import { signalTree } from "../harness/process-tree.js"
import type { PeerNetwork } from "../harness/peer-network.js"
import type { TestNode, TestNodes } from "../harness/nodes.js"
import { SeededRandom } from "../kill/seeded-random.js"
import type { Cutter } from "../sql/cutter.js"

const PAUSE_MS = { least: 300, spread: 3_000 } as const
const LASTS_MS = { least: 300, spread: 9_000 } as const
/** Among nodes that wait less for each other. */
const HURRIED_SHARE = 1 / 4
const START_MS_MAX = 240_000
const START_PAUSE_MS = 500

/** One actor plays the acts of nodes, another one the rest. */
const NODE_ACTS = ["killNode", "killAllNodes", "restartNode", "freezeNode", "fillDisk", "failDisk"] as const
const OTHER_ACTS = ["cutPeers", "cutDatabase", "cutCommits", "crashDatabase", "freezeDatabase"] as const
const NODES_ACTS = [...NODE_ACTS, ...OTHER_ACTS]
export type NodesAct = (typeof NODES_ACTS)[number]

/** Throws for an unknown name. */
export function parseNodesActs(text: string): readonly NodesAct[] {
  return text.split(",").map(name => {
    const act = NODES_ACTS.find(each => each === name)
    if (act === undefined) throw new Error(`no act "${name}"; there are: ${NODES_ACTS.join(", ")}`)
    return act
  })
}

/** The store that is attacked. */
export interface AttackedNodes {
  readonly nodes: TestNodes
  readonly network: PeerNetwork
  /** By node, what is between it and the database. */
  readonly cutters: ReadonlyMap<TestNode, Cutter>
  /** The shim is undefined if file calls cannot be intercepted on this machine. */
  readonly shim: Shim | undefined
}

interface NemesisOptions {
  readonly seed: number
  /** All if absent. */
  readonly only?: readonly NodesAct[] | undefined
  /** Each actor plays so many; default: all of its acts. */
  readonly actsLeast?: number | undefined
  readonly isHurried?: boolean | undefined
  readonly log: (line: string) => void
  readonly onViolation: (text: string) => void
}

export class NodesNemesis {
  readonly done = new Map<NodesAct, number>()

  constructor(
    private readonly target: AttackedNodes,
    private readonly options: NemesisOptions,
  ) {}

  /** Plays until it is over and each actor has played as many acts as it must, or `isBroken`. Then nothing is at fault. */
  async run(isOver: () => boolean, isBroken: () => boolean): Promise<void> {
    const { seed, only } = this.options
    const actors = [NODE_ACTS, OTHER_ACTS].map((acts: readonly NodesAct[], number) => {
      const wanted = acts.filter(act => this.isPossible(act) && (only === undefined || only.includes(act)))
      return wanted.length === 0
        ? Promise.resolve()
        : this.play(wanted, new SeededRandom(seed * 31 + number), isOver, isBroken)
    })
    await Promise.all(actors)
  }

  private get shareOfTime(): number {
    return this.options.isHurried === true ? HURRIED_SHARE : 1
  }

  private isPossible(act: NodesAct): boolean {
    return this.target.shim !== undefined || (act !== "fillDisk" && act !== "failDisk")
  }

  /** Each act once before any repeats, in random order. */
  private async play(
    acts: readonly NodesAct[],
    random: SeededRandom,
    isOver: () => boolean,
    isBroken: () => boolean,
  ): Promise<void> {
    const { actsLeast = acts.length } = this.options
    const bag: NodesAct[] = []
    for (let played = 0; !isBroken() && (played < actsLeast || !isOver()); played += 1) {
      if (bag.length === 0) bag.push(...acts)
      const [act] = bag.splice(random.below(bag.length), 1)
      if (act === undefined) return
      await this.perform(act, random)
      this.done.set(act, (this.done.get(act) ?? 0) + 1)
      await later((PAUSE_MS.least + random.below(PAUSE_MS.spread)) * this.shareOfTime)
    }
  }

  private async perform(act: NodesAct, random: SeededRandom): Promise<void> {
    const node = random.pick(this.target.nodes.all)
    const lastsMs = Math.round((LASTS_MS.least + random.below(LASTS_MS.spread)) * this.shareOfTime)
    this.options.log(`${act}: ${node.name}, ${lastsMs} ms`)
    const during = async (begin: () => unknown, end: () => unknown): Promise<void> => {
      await begin()
      try {
        await later(lastsMs)
      } finally {
        await end()
      }
    }
    const { network, cutters, nodes } = this.target
    const cutter = cutters.get(node)
    switch (act) {
      case "killNode":
        return during(
          () => node.kill(),
          () => this.startAgain(node),
        )
      case "killAllNodes":
        return during(
          () => Promise.all(nodes.all.map(each => each.kill())),
          () => Promise.all(nodes.all.map(each => this.startAgain(each))),
        )
      case "restartNode":
        return during(
          () => this.stop(node),
          () => this.startAgain(node),
        )
      case "freezeNode":
        return during(
          () => node.signal("SIGSTOP"),
          () => node.signal("SIGCONT"),
        )
      case "fillDisk":
        return during(
          () => this.bend(node, random, "ENOSPC"),
          () => this.target.shim?.set([]),
        )
      case "failDisk":
        return during(
          () => this.bend(node, random, "EIO"),
          () => this.target.shim?.set([]),
        )
      case "cutPeers":
        return during(
          () => network.cut(node),
          () => network.heal(node),
        )
      case "cutDatabase":
        return during(
          () => cutter?.cut(),
          () => cutter?.heal(),
        )
      case "cutCommits":
        return during(
          () => this.cutCommits(true),
          () => this.cutCommits(false),
        )
      case "crashDatabase":
        return during(
          () => nodes.databases.server.stop("immediate"),
          () => nodes.databases.server.start(),
        )
      case "freezeDatabase": {
        const { pid } = nodes.databases.server
        return during(
          () => signalTree([pid], "SIGSTOP"),
          () => signalTree([pid], "SIGCONT"),
        )
      }
    }
  }

  /** Connections to the database end at random moments, most of them at a commit. */
  private cutCommits(isCutting: boolean): void {
    for (const cutter of this.target.cutters.values()) cutter.isCutting = isCutting
  }

  private async stop(node: TestNode): Promise<void> {
    const code = await node.stop()
    // A service manager also kills a process that waits for the database for too long.
    if (code === null) this.options.log(`${node.name} was killed: it did not stop in time`)
    else if (code !== 0) this.options.onViolation(`SIGTERM ended ${node.name} with ${code}`)
  }

  /** Starts the node like a service manager, which repeats a start that fails. */
  private async startAgain(node: TestNode): Promise<void> {
    const untilMs = performance.now() + START_MS_MAX
    const args = await this.target.network.argsOf(node)
    for (;;) {
      try {
        return await node.start(args)
      } catch (error) {
        if (performance.now() > untilMs) throw error
        this.options.log(`${node.name} did not start: ${reasonOf(String(error))}`)
        await later(START_PAUSE_MS)
      }
    }
  }

  private bend(node: TestNode, random: SeededRandom, errno: "ENOSPC" | "EIO"): void {
    const folder = random.pick(node.folders)
    const calls = errno === "EIO" ? (["write", "fdatasync", "fsync"] as const) : (["write"] as const)
    this.target.shim?.set([{ prefix: `${folder}/`, calls, nth: 1, forEver: true, how: { errno } }])
  }
}

/** The process has written why. */
const reasonOf = (text: string): string => /hayloft: .*/.exec(text)?.[0] ?? text.slice(0, 300)
