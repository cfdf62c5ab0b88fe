/**
 * A replicated tablet, step by step: the real primary, learner and recovery over devices whose logs the scenario
 * acknowledges, and over a configuration whose changes it can delay. After each command everything runs until it
 * waits for the scenario again; the events are printed in order.
 *
 * Limits  There is no time and no disk: a write without an acknowledgement never ends.
 */
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail, type Failure } from "@hayloft/base/failures.js"
import { parseEpoch, parseIncarnation, parseTabletId, rowKeyOf, type DeviceId, type Epoch } from "@hayloft/base/ids.js"
import { FIRST_EPOCH } from "@hayloft/engine/format/device/replica-incarnation.js"
import { command, query, soleProcess } from "@hayloft/engine/metadata/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { ConfigurationStore } from "@hayloft/engine/tablet/contract.js"
import { Replica } from "@hayloft/engine/tablet/replica.js"
import type { ReplicaIncarnationOf } from "@hayloft/engine/tablet/contract.js"
import { Primary } from "@hayloft/engine/tablet/primary.js"
import { recoverTablet } from "@hayloft/engine/tablet/recover.js"
import type { Call } from "./call.js"
import { idOf, nameOf, namesOf } from "./devices.js"
import { HandDevice } from "./hand-device.js"
import { DECISIONS, FAMILY, type Decide } from "./rows.js"
import type { Subject } from "./run-scenario.js"

const TABLET = parseTabletId(1)
/** After this many turns of the event loop without an event, everything has ended or waits for the scenario. */
const QUIET_TURNS = 4

interface Configuration {
  readonly epoch: Epoch
  readonly replicas: readonly ReplicaIncarnationOf[]
  readonly learner: ReplicaIncarnationOf | undefined
}

/** A change of the configuration that the scenario has not yet accepted. */
interface HeldChange {
  accept(): void
  refuse(): void
}

const decision = command<[decide: Decide], string>({
  name: "decision",
  grows: false,
  decide: (view, time, decide) => decide(view, time),
})

const readRow = query("read", (view, key: string) => {
  const row = view.get(FAMILY, rowKeyOf(key))
  return row && new TextDecoder().decode(row.value)
})

export class ReplicaScenario implements Subject {
  private readonly devices = new Map<DeviceId, HandDevice>()
  private configuration: Configuration = { epoch: FIRST_EPOCH, replicas: [], learner: undefined }
  private tablet: Primary | undefined
  private held: HeldChange[] | undefined
  private refusesSingleCopy = false
  private events: { readonly who: string | undefined; readonly what: string }[] = []
  /** Answers of an earlier process are not printed. */
  private process = 1

  readonly commands = {
    replicas: (call: Call) => this.create(call),
    ...Object.fromEntries(
      Object.entries(DECISIONS).map(([name, of]) => [
        name,
        (call: Call) => {
          const decide = of(call)
          return this.run(call.line, () => this.serving.run(decision(decide)))
        },
      ]),
    ),
    read: (call: Call) => this.read(call.word()),
    acknowledge: (call: Call) => this.settle(call, "durable"),
    fail: (call: Call) => this.settle(call, fail(call.flag("full") ? "deviceFull" : "deviceFailed")),
    "take-out": (call: Call) => this.takeOffline(call),
    learn: (call: Call) => this.learn(call),
    copy: () => this.run("copy", () => this.copy()),
    promote: (call: Call) => this.promote(call),
    "hold-configuration": () => this.holdConfiguration(),
    "accept-configuration": () => this.settleChange(change => change.accept()),
    "refuse-configuration": () => this.settleChange(change => change.refuse()),
    crash: (call: Call) => this.crash(call),
    checkpoint: (call: Call) => this.checkpoint(call),
    forget: (call: Call) => this.forget(call),
    corrupt: (call: Call) => this.corrupt(call),
    recover: () => this.recover(),
    compare: () => this.compare(),
    logs: () => this.logs(),
    state: () => this.state(),
  }

  private get serving(): Primary {
    return must(this.tablet, "the tablet is open: begin with replicas, or recover")
  }

  private device(name: string): HandDevice {
    const id = idOf(name)
    const trace = (who: string, what: string): void => void this.events.push({ who, what })
    const device = this.devices.get(id) ?? new HandDevice(id, trace)
    this.devices.set(id, device)
    return device
  }

  private note(what: string): void {
    this.events.push({ who: undefined, what })
  }

  /** Joins equal consecutive events of several devices into one line. */
  private take(): readonly string[] {
    const lines: { readonly who: string[]; readonly what: string }[] = []
    for (const { who, what } of this.events) {
      const last = lines.at(-1)
      if (who !== undefined && last && last.what === what && last.who.length > 0) last.who.push(who)
      else lines.push({ who: who === undefined ? [] : [who], what })
    }
    this.events = []
    return lines.map(({ who, what }) => (who.length > 0 ? `${who.sort().join(" ")}: ${what}` : what))
  }

  private async untilQuiet(): Promise<readonly string[]> {
    for (let quiet = 0, seen = -1; quiet < QUIET_TURNS; quiet += 1) {
      await new Promise(resolve => setImmediate(resolve))
      if (this.events.length !== seen) quiet = 0
      seen = this.events.length
    }
    return this.take()
  }

  /** Starts an operation whose answer may come with a later command. */
  private run(label: string, work: () => Promise<string | void>): Promise<readonly string[]> {
    const { process } = this
    const answer = (text: string): void => {
      if (process === this.process) this.note(`${label}: ${text}`)
    }
    work().then(
      result => answer(result ?? "done"),
      (error: unknown) => answer(`refused: ${asFailure(error).kind}`),
    )
    return this.untilQuiet()
  }

  private create(call: Call): Promise<readonly string[]> {
    this.refusesSingleCopy = call.flag("refuse-single-copy")
    const replicas = call.rest().map(name => ({ id: this.device(name).id, since: FIRST_EPOCH }))
    this.configuration = { epoch: FIRST_EPOCH, replicas, learner: undefined }
    return this.recover()
  }

  private read(key: string): readonly string[] {
    const answer = this.serving.ask(readRow(key))
    return [`${key}: ${answer instanceof Promise ? "is not in memory" : (answer ?? "absent")}`]
  }

  private settle(call: Call, outcome: "durable" | Failure): Promise<readonly string[]> {
    for (const name of call.rest()) {
      const device = this.device(name)
      if (!device.isWriting) call.reject(`but no write to ${name} waits`)
      device.settle(outcome)
    }
    return this.untilQuiet()
  }

  private readonly keeper: ConfigurationStore = {
    leave: ids => this.dropped(ids),
    learningFailed: (id, failure) => this.note(`learner ${nameOf(id)} has failed: ${failure.kind}`),
    damaged: (id, failure) => this.note(`${nameOf(id)} could not give a row: ${failure.kind}`),
    replicasWanted: () => this.configuration.replicas.length,
    refusesSingleCopy: () => this.refusesSingleCopy,
  }

  private async change(decide: (before: Configuration) => Omit<Configuration, "epoch">): Promise<Epoch> {
    const { held } = this
    if (held) {
      this.note("a change of the configuration waits")
      await new Promise<void>((resolve, reject) => {
        held.push({ accept: resolve, refuse: () => reject(fail("deviceFailed")) })
      })
    }
    const epoch = parseEpoch(this.configuration.epoch + 1)
    this.configuration = { ...decide(this.configuration), epoch }
    this.note(this.shownConfiguration())
    return epoch
  }

  private readonly dropped = (ids: readonly DeviceId[]): Promise<Epoch> =>
    this.change(({ replicas, learner }) => ({
      replicas: replicas.filter(({ id }) => !ids.includes(id)),
      learner: learner && ids.includes(learner.id) ? undefined : learner,
    }))

  private shownConfiguration(): string {
    const { epoch, replicas, learner } = this.configuration
    const learning = learner ? `, learner ${nameOf(learner.id)}` : ""
    return `configuration ${epoch}: replicas ${namesOf(replicas.map(({ id }) => id))}${learning}`
  }

  private holdConfiguration(): readonly string[] {
    this.held = []
    return []
  }

  private settleChange(settle: (change: HeldChange) => void): Promise<readonly string[]> {
    const changes = must(this.held, "hold-configuration comes first")
    this.held = undefined
    for (const change of changes) settle(change)
    return this.untilQuiet()
  }

  private takeOffline(call: Call): Promise<readonly string[]> {
    const ids = call.rest().map(idOf)
    return this.run(call.line, () => this.serving.dropReplicas(ids, fail("deviceFailed"), () => this.dropped(ids)))
  }

  private async learn(call: Call): Promise<readonly string[]> {
    const device = this.device(call.word())
    const epoch = await this.change(({ epoch: before, replicas }) => {
      return { replicas, learner: { id: device.id, since: parseEpoch(before + 1) } }
    })
    this.serving.addLearner(new Replica(device.open(), TABLET, epoch), epoch)
    return this.untilQuiet()
  }

  private async copy(): Promise<string> {
    const { learning } = this.serving
    if (!learning) return "there is no learner"
    const before = learning.rowsCopied
    await this.serving.stepLearning()
    const all = learning.isComplete ? ", and that is all" : ""
    return `${learning.rowsCopied - before} rows${all}`
  }

  private promote(call: Call): Promise<readonly string[]> {
    const id = idOf(call.word())
    return this.run(call.line, () =>
      this.serving.promote(id, () =>
        this.change(({ replicas, learner }) => {
          return { replicas: [...replicas, must(learner, "it learns")], learner: undefined }
        }),
      ),
    )
  }

  /** Ends the process: waiting writes are never acknowledged. */
  private crash(call: Call): readonly string[] {
    const keeps = call.list("keeps").map(idOf)
    for (const [id, device] of this.devices) device.crash(keeps.includes(id))
    this.process += 1
    this.tablet = undefined
    this.held = undefined
    return this.logs()
  }

  private checkpoint(call: Call): readonly string[] {
    for (const name of call.rest()) this.device(name).checkpoint(this.serving.position)
    return []
  }

  private forget(call: Call): readonly string[] {
    this.device(call.word()).forget(call.number("entry"))
    return []
  }

  private corrupt(call: Call): readonly string[] {
    const device = this.device(call.word())
    for (const [key, value] of call.restPairs()) device.corrupt(key, value)
    return []
  }

  /**
   * Starts a new process: the replicas agree, those that cannot agree leave the configuration, and a learner starts
   * over.
   */
  private async recover(): Promise<readonly string[]> {
    const { replicas: configured, learner } = this.configuration
    const opened = configured.map(({ id, since }) => new Replica(this.device(nameOf(id)).open(), TABLET, since))
    for (const device of this.devices.values()) device.isPrompt = true
    const { failed, replicas, position } = await recoverTablet(opened)
    for (const device of this.devices.values()) device.isPrompt = false
    for (const { replica, failure } of failed) this.note(`${nameOf(replica.id)} cannot continue: ${failure.kind}`)
    const lost = [...failed.map(({ replica }) => replica.id), ...(learner ? [learner.id] : [])]
    if (lost.length > 0) await this.dropped(lost)
    this.tablet = new Primary(
      { replicas, epoch: this.configuration.epoch, recovered: position },
      new SimClock(),
      new SimTelemetry().log,
      this.keeper,
      soleProcess(parseIncarnation(this.process)),
    )
    return [...this.take(), ...this.state()]
  }

  private compare(): readonly string[] {
    const comparison = this.serving.compareReplicas()
    while (comparison.step()) continue
    const { differences, rowsCompared } = comparison
    const found = differences.map(({ key, id, what }) =>
      id === undefined ? `${key}: replicas differ, and no majority decides` : `${key}: ${what} on ${nameOf(id)}`,
    )
    return [`${rowsCompared} rows compared`, ...found]
  }

  private logs(): readonly string[] {
    for (const device of this.devices.values()) device.showLog()
    return this.take()
  }

  private state(): readonly string[] {
    const { isServing, position, epoch, commandsWaiting, replicas, learning } = this.serving
    const since = new Map([...this.configuration.replicas].map(each => [each.id, each.since]))
    const shown = replicas.map(({ id }) => {
      const rows = this.device(nameOf(id)).shownRows(must(since.get(id) ?? FIRST_EPOCH, "it has a beginning"))
      return `replica ${nameOf(id)}: ${rows}`
    })
    const learner = learning ? [`learner ${nameOf(learning.id)}: ${learning.rowsCopied} rows copied`] : []
    const writes = isServing ? "serving" : "writes are halted"
    return [
      `${writes}; committed ${position}, epoch ${epoch}, answers waiting ${commandsWaiting}`,
      this.shownConfiguration(),
      ...shown,
      ...learner,
    ]
  }
}
