/**
 * The control record, step by step: commands of operators and failures of devices, and their effects on the layout,
 * the redundancy and the replicas of the metadata. Each command prints its changes.
 *
 * Limits  Each change of the layout plans all 65,536 partitions, which takes some hundredths of a second.
 */
import { must } from "@hayloft/base/assert.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { clusterOf, newDevice, storeOf, TABLET } from "@hayloft/engine/cluster/testing-records.js"
import {
  addDevice,
  addLearner,
  dropReplicas,
  finishTransition,
  followDevices,
  forgetDevice,
  forgetLearners,
  layoutOf,
  markOffline,
  markReturning,
  markWhole,
  narrowLayout,
  nextReplicaStep,
  placeWithoutLongOffline,
  promoteLearner,
  replaceDevice,
  setPolicy,
  tabletOf,
} from "@hayloft/engine/cluster/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { movement } from "@hayloft/engine/placement/index.js"
import type { Call } from "./call.js"
import { idOf, nameOf, namesOf, shownState } from "./devices.js"
import { nodeChanges, shownHome, silence, spread, survives, type Change } from "./node-changes.js"
import type { Subject } from "./run-scenario.js"
import { drainDevice, removeDevice, setWeight } from "@hayloft/engine/cluster/testing-changes.js"

const MINUTE_MS = 60_000
const SHOWN_STEPS = { learn: "learn", promote: "promote", drop: "drop" } as const

const deviceWord = (call: Call): DeviceId => idOf(call.word())
const added = (name: string) => ({ ...newDevice(0), id: idOf(name) })

export class StoreScenario implements Subject {
  private current: ControlRecord | undefined
  private nowMs = 0

  private readonly changes: Readonly<Record<string, Change>> = {
    add: (record, call) => {
      const weight = call.number("weight", 0)
      return addDevice(record, added(call.word()), weight > 0 ? weight : undefined, [], this.nowMs)
    },
    drain: (record, call) => drainDevice(record, deviceWord(call), [], this.nowMs),
    remove: (record, call) => removeDevice(record, deviceWord(call), [], this.nowMs),
    forget: (record, call) => forgetDevice(record, deviceWord(call), [], call.flag("accept-loss")),
    weight: (record, call) => setWeight(record, deviceWord(call), Number(call.word()), [], this.nowMs),
    replace: (record, call) => {
      const by = added(call.text("by"))
      return replaceDevice(record, deviceWord(call), by, [], call.flag("accept-loss"), this.nowMs)
    },
    offline: (record, call) => markOffline(record, call.rest().map(idOf), this.nowMs),
    return: (record, call) => markReturning(record, deviceWord(call), this.nowMs),
    whole: (record, call) => markWhole(record, deviceWord(call), this.nowMs),
    "transition-done": record => finishTransition(record),
    follow: record => followDevices(record, []),
    "reassign-long-offline": record => placeWithoutLongOffline(record, this.nowMs),
    policy: (record, call) => {
      const text = call.word()
      return setPolicy(record, text === "automatic" ? text : parsePolicy(text), [])
    },
    narrow: (record, call) =>
      narrowLayout(
        record,
        call.list("in-use").map(text => parsePolicy(text)),
      ),
    learn: (record, call) => addLearner(record, TABLET, deviceWord(call)),
    promote: (record, call) => {
      const id = deviceWord(call)
      const { learners, epoch } = tabletOf(record, TABLET)
      return promoteLearner(record, TABLET, learners.find(each => each.id === id) ?? { id, since: epoch })
    },
    drop: (record, call) => dropReplicas(record, [deviceWord(call)]),
    restart: record => forgetLearners(record),
    ...nodeChanges(() => this.nowMs),
  }

  readonly commands = {
    store: (call: Call) => this.open(call),
    cluster: (call: Call) => this.openCluster(call),
    ...Object.fromEntries(Object.keys(this.changes).map(name => [name, (call: Call) => this.change(name, call)])),
    "next-step": (call: Call) => this.nextStep(call),
    wait: (call: Call) => this.wait(call),
    state: () => this.state(),
    silent: (call: Call) => silence(this.record, call),
    spread: (call: Call) => spread(this.record, call),
    survives: () => survives(this.record),
  }

  private get record(): ControlRecord {
    return must(this.current, "the scenario begins with store")
  }

  private open(call: Call): readonly string[] {
    const store = storeOf(call.number("devices"), call.optional("policy"))
    this.current = { ...store, metaCopies: call.number("metadata-replicas", store.metaCopies) }
    return this.state()
  }

  /** Input: `n1 zone=east devices=2` for each node; metadata is in a database. */
  private openCluster(call: Call): readonly string[] {
    const nodes = call.inputCalls().map(line => {
      const zone = line.optional("zone")
      return `${line.name}${zone === undefined ? "" : `@${zone}`}:${line.number("devices")}`
    })
    this.current = clusterOf(nodes, call.optional("policy"))
    return this.state()
  }

  private change(name: string, call: Call): readonly string[] {
    const { record: before } = this
    this.current = must(this.changes[name], "the change has a handler")(before, call)
    return this.difference(before, this.current)
  }

  private wait(call: Call): readonly string[] {
    this.nowMs += call.number("minutes") * MINUTE_MS
    return []
  }

  private difference(before: ControlRecord, after: ControlRecord): readonly string[] {
    if (before === after) return ["nothing changes"]
    return [
      ...devicesDifference(before, after),
      ...policyDifference(before, after),
      ...layoutDifference(before, after),
      ...tabletDifference(before, after),
    ]
  }

  private nextStep(call: Call): readonly string[] {
    const [learned, mayLearn] = [call.list("learned").map(idOf), call.optional("may-learn")?.split(",").map(idOf)]
    const step = nextReplicaStep(
      this.record,
      TABLET,
      ({ id }) => learned.includes(id),
      id => mayLearn?.includes(id) ?? true,
    )
    if (!step) return ["nothing to do now"]
    return [`${SHOWN_STEPS[step.kind]} ${nameOf(step.kind === "promote" ? step.learner.id : step.id)}`]
  }

  private state(): readonly string[] {
    const { record } = this
    const { width, version } = layoutOf(record.layout)
    const moving = record.previousLayout ? `, moving from layout ${record.previousLayout.version}` : ""
    return [
      ...record.devices.map(({ id, state, weight, home }) => {
        return `device ${nameOf(id)}: ${shownState(state)}, weight ${weight}${shownHome(home)}`
      }),
      `policy ${shownPolicy(record)}`,
      `layout ${version}, width ${width}${moving}`,
      ...shownTablet(record),
    ]
  }
}

const shownPolicy = ({ policy, isPolicyAutomatic }: ControlRecord): string =>
  `${textOfPolicy(policy)}${isPolicyAutomatic ? " (automatic)" : ""}`

/** Nothing if the metadata is in a database. */
function shownTablet(record: ControlRecord): readonly string[] {
  if (record.tablets.length === 0) return []
  const { epoch, replicas, learners } = tabletOf(record, TABLET)
  const learning = learners.length > 0 ? `, learner ${namesOf(learners.map(({ id }) => id))}` : ""
  const wanted = `of ${record.metaCopies} wanted`
  return [`metadata epoch ${epoch}: replicas ${namesOf(replicas.map(({ id }) => id))} ${wanted}${learning}`]
}

function devicesDifference(before: ControlRecord, after: ControlRecord): readonly string[] {
  const ids = new Set([...before.devices, ...after.devices].map(({ id }) => id))
  return [...ids].flatMap(id => {
    const [was, is] = [before, after].map(({ devices }) => devices.find(device => device.id === id))
    const name = `device ${nameOf(id)}`
    if (!was) return is ? [`${name}: new, ${shownState(is.state)}, weight ${is.weight}${shownHome(is.home)}`] : []
    if (!is) return [`${name}: forgotten`]
    const lines: string[] = []
    if (was.state !== is.state) lines.push(`${name}: ${shownState(was.state)} -> ${shownState(is.state)}`)
    if (was.weight !== is.weight) lines.push(`${name}: weight ${was.weight} -> ${is.weight}`)
    if (was.home !== is.home) lines.push(`${name}:${shownHome(was.home)} ->${shownHome(is.home)}`)
    return lines
  })
}

function policyDifference(before: ControlRecord, after: ControlRecord): readonly string[] {
  const [was, is] = [shownPolicy(before), shownPolicy(after)]
  const copies = before.metaCopies === after.metaCopies ? [] : [`${before.metaCopies} -> ${after.metaCopies}`]
  return [
    ...(was === is ? [] : [`policy ${was} -> ${is}`]),
    ...copies.map(change => `metadata replicas wanted ${change}`),
  ]
}

function layoutDifference(before: ControlRecord, after: ControlRecord): readonly string[] {
  if (before.layout === after.layout) {
    return before.previousLayout === after.previousLayout ? [] : ["the transition has ended"]
  }
  const [from, to] = [layoutOf(before.layout), layoutOf(after.layout)]
  const { moved, added: more, dropped, share, devices } = movement(from, to)
  const counts = [`${moved} slots move (${(100 * share).toFixed(1)} %)`]
  if (more > 0) counts.push(`${more} are added`)
  if (dropped > 0) counts.push(`${dropped} are dropped`)
  const flows = [...devices]
    .filter(([, { slotsIn, offlineSlots }]) => slotsIn + offlineSlots > 0)
    .map(([id, { slotsIn, offlineSlots }]) => `${nameOf(id)} +${slotsIn} -${offlineSlots}`)
  const width = from.width === to.width ? `width ${to.width}` : `width ${from.width} -> ${to.width}`
  return [
    `layout ${from.version} -> ${to.version}, ${width}: ${counts.join(", ")}`,
    ...(flows.length > 0 ? [flows.join(", ")] : []),
  ]
}

function tabletDifference(before: ControlRecord, after: ControlRecord): readonly string[] {
  return before.tablets.every((tablet, i) => tablet === after.tablets[i]) ? [] : shownTablet(after)
}
