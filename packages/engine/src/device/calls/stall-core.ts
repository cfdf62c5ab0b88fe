/**
 * Stalls, decided: whether devices that do not answer are late together, in one stall of what they share (a controller,
 * a file system that is frozen for a snapshot, an overloaded machine), or fail one by one. Pure.
 *
 * Promises  A device is given up only if the store can go on without all devices that are late. If it cannot, giving one
 *           up gains nothing: no other device can answer in its place, each would have to be taken back later, and a log
 *           that was given up halts writes. So the last device of a store is never given up.
 */

/** A device of this process that the record does not mark offline. */
export interface JudgedDevice {
  /** It has made a caller wait for a part of the time that a call may take, now or moments ago. */
  readonly isLate: boolean
  /** It has not answered for as long as a call may take, or has been given up. */
  readonly isSilent: boolean
  /** It votes on the control record. */
  readonly isVoter: boolean
  /** It has a replica of the metadata. */
  readonly hasMetadata: boolean
}

export interface JudgedStore {
  readonly devices: readonly JudgedDevice[]
  /** How many devices a block needs to be read. */
  readonly needed: number
  /** Devices of other nodes: they do not share what these share. Where there are some, a database has the metadata. */
  readonly devicesElsewhere: number
  /** The devices keep the metadata, and vote on the control record. */
  readonly devicesDecide: boolean
}

type Away = (device: JudgedDevice) => boolean

/** Returns what would be left without the devices that are away. */
function leftOf({ devices, devicesElsewhere }: JudgedStore, isAway: Away) {
  const here = devices.filter(device => !isAway(device))
  const voting = (among: readonly JudgedDevice[]): number => among.filter(({ isVoter }) => isVoter).length
  return {
    away: devices.length - here.length,
    devices: here.length + devicesElsewhere,
    /** More than 1: more than half of those that vote; 1: half. */
    votes: (2 * voting(here)) / Math.max(1, voting(devices)),
    hasMetadata: here.some(({ hasMetadata }) => hasMetadata),
  }
}

/** So many are away at one moment that too few would remain to read blocks, to decide changes, or to know the objects. */
function isOneStall(store: JudgedStore, isAway: Away): boolean {
  const { needed, devicesDecide } = store
  const left = leftOf(store, isAway)
  if (left.away === 0) return false
  const hasDecision = !devicesDecide || (left.hasMetadata && left.votes > 1)
  // One that is late among others is a fault of its own.
  if (left.away === 1) return left.devices === 0 || (devicesDecide && !left.hasMetadata)
  return left.devices < needed || !hasDecision
}

/** Returns true if the store can serve, and write down that they are offline, without the devices that are away. */
function canGoOn(store: JudgedStore, isAway: Away): boolean {
  const { needed, devicesDecide } = store
  const left = leftOf(store, isAway)
  if (left.away <= 1) return !isOneStall(store, isAway)
  return left.devices >= needed && (!devicesDecide || (left.hasMetadata && left.votes >= 1))
}

const isLate: Away = device => device.isLate || device.isSilent
const isSilent: Away = device => device.isSilent

/** The store waits: one stall, as far as can be seen early. */
export const isStalling = (store: JudgedStore): boolean => isOneStall(store, isLate)

/** The same, of devices that have had all of their time. */
export const isStalled = (store: JudgedStore): boolean => isOneStall(store, isSilent)

/**
 * Returns true if a device whose call has had its time may be given up. `isPatient`: it has had as long as a stall is
 * waited for in any case; from then on those that still answer now and then count as present.
 */
export const mayGiveUp = (store: JudgedStore, isPatient: boolean): boolean =>
  isPatient ? canGoOn(store, isSilent) : !isStalling(store)
