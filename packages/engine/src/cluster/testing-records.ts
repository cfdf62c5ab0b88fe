/** Control records of stores with a given number of devices, for tests of decisions. */
import assert from "node:assert/strict"
import {
  parseDeviceId,
  parseEpoch,
  parseIncarnation,
  parseNodeName,
  parseStoreId,
  parseTabletId,
  rowKeyOf,
  type DeviceId,
} from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { defaultMetaCopies, defaultPolicy, parsePolicy, shardCount } from "@hayloft/base/policy.js"
import type { ControlDevice, ControlRecord, DeviceHome } from "../format/device/control-record.js"
import { planLayout } from "../placement/index.js"
import type { NewDevice } from "./device-commands-core.js"
import { controlLayoutOf, layoutDevices } from "./record-layout-core.js"

export const TABLET = parseTabletId(1)
export const CAPACITY_BYTES = 1e12

export const deviceId = (number: number): DeviceId => parseDeviceId((number + 1).toString(16).padStart(16, "0"))

export const newDevice = (number: number, capacityBytes = CAPACITY_BYTES): NewDevice => ({
  id: deviceId(number),
  pathHint: `/mnt/${number}`,
  isMountPoint: true,
  capacityBytes,
})

/** Planning takes longer than most of the code under test. */
const made = new Map<string, ControlRecord>()

/** A store after its first start, with a chosen policy or the automatic one. */
export function storeOf(count: number, chosen?: string): ControlRecord {
  const name = `${count} ${chosen}`
  const store = made.get(name) ?? makeStore(count, chosen)
  made.set(name, store)
  return store
}

function makeStore(count: number, chosen: string | undefined): ControlRecord {
  const policy = chosen === undefined ? defaultPolicy(count) : parsePolicy(chosen)
  const devices = Array.from({ length: count }, (_, number): ControlDevice => {
    return { ...newDevice(number), weight: 1, state: "active", stateSinceMs: 0, more: [] }
  })
  const metaCopies = defaultMetaCopies(count, policy)
  const replicas = devices.slice(0, metaCopies).map(({ id }) => ({ id, since: parseEpoch(1) }))
  return {
    storeId: parseStoreId("0123456789abcdef0123456789abcdef"),
    generation: 1,
    devices,
    policy,
    isPolicyAutomatic: chosen === undefined,
    policyVersion: 1,
    blockBytes: 4 * MIB,
    metaCopies,
    tablets: [
      { id: TABLET, epoch: parseEpoch(1), replicas, learners: [], start: rowKeyOf(""), end: undefined, more: [] },
    ],
    layout: controlLayoutOf(planLayout(devices, shardCount(policy))),
    previousLayout: undefined,
    pausedWork: [],
    secrets: new Uint8Array(0),
    region: "us-east-1",
    more: [],
  }
}

/** A node that is its own machine. */
export const homeOn = (node: string, zone?: string, incarnation = 1): DeviceHome => ({
  node: parseNodeName(node),
  incarnation: parseIncarnation(incarnation),
  ...(zone === undefined ? {} : { zone }),
  machine: node,
})

/**
 * A store of several nodes, whose metadata is in a database. Each text is a node: its name,
 * its zone after "@" and its number of devices after ":", such as `n1@east:2`.
 */
export function clusterOf(nodes: readonly string[], chosen?: string): ControlRecord {
  const homes = nodes.flatMap(text => {
    const [, name = "", zone, count] = /^([^@:]+)(?:@([^:]+))?:(\d+)$/.exec(text) ?? assert.fail(text)
    return Array.from({ length: Number(count) }, () => homeOn(name, zone))
  })
  const name = `${nodes.join()} ${chosen}`
  const known = made.get(name)
  if (known !== undefined) return known
  const store = storeOf(homes.length, chosen)
  const devices = store.devices.map((device, number) => ({ ...device, home: homes[number] ?? assert.fail() }))
  const layout = controlLayoutOf(planLayout(layoutDevices(devices), shardCount(store.policy)))
  const cluster = { ...store, devices, tablets: [], layout }
  made.set(name, cluster)
  return cluster
}
