/** Devices that are late together are one stall exactly if the store could not go on without all of them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isStalled, isStalling, mayGiveUp, type JudgedDevice, type JudgedStore } from "./stall-core.js"

const WELL: JudgedDevice = { isLate: false, isSilent: false, isVoter: true, hasMetadata: false }

/** A letter each: `w` answers, `l` is late, `s` is silent; in capitals if it has metadata. */
const store = (states: string, needed: number, more: Partial<JudgedStore> = {}): JudgedStore => ({
  devices: [...states].map(state => ({
    ...WELL,
    isLate: "ls".includes(state.toLowerCase()),
    isSilent: state.toLowerCase() === "s",
    hasMetadata: state !== state.toLowerCase(),
  })),
  needed,
  devicesElsewhere: 0,
  devicesDecide: true,
  ...more,
})

const stalling = (states: string, needed: number): boolean => isStalling(store(states, needed))

test("fewer devices than a block needs would remain", () => {
  assert.deepEqual(
    ["WWWssww", "WWWsssw", "WWWssss", "SSSssss"].map(states => stalling(states, 5)),
    [false, true, true, true],
  )
})

test("not more than half of the voting devices would remain", () => {
  assert.deepEqual(
    ["SSWWW", "SSWW", "SSW"].map(states => stalling(states, 1)),
    [false, true, true],
  )
})

test("no metadata would remain", () => {
  assert.equal(stalling("SSSwwwww", 4), true)
  assert.equal(stalling("SSWwwwww", 4), false)
  assert.equal(stalling("Sww", 1), true, "the last that has it")
})

test("one device that is late among others is a fault of its own, whatever remains", () => {
  for (const [states, needed] of [
    ["SW", 1],
    ["SW", 2],
    ["SWW", 3],
  ] as const) {
    assert.equal(stalling(states, needed), false)
    assert.equal(mayGiveUp(store(states, needed), false), true)
    assert.equal(mayGiveUp(store(states, needed), true), true)
  }
})

test("the only device, and the last one, is never given up", () => {
  assert.equal(isStalled(store("S", 1)), true)
  assert.deepEqual(
    [false, true].map(isPatient => mayGiveUp(store("S", 1), isPatient)),
    [false, false],
  )
})

test("those that are late count early, those that are silent in the end", () => {
  assert.equal(isStalling(store("SLL", 2)), true)
  assert.equal(isStalled(store("SLL", 2)), false)
  assert.equal(mayGiveUp(store("SLL", 2), false), false)
  assert.equal(mayGiveUp(store("SLL", 2), true), true, "the others answer, slowly")
  assert.equal(isStalling(store("WWW", 2)), false, "and none waits for those that answer")
})

test("a group is given up after a while if half of the store can go on without it, and never otherwise", () => {
  const after = (states: string, needed: number): boolean => mayGiveUp(store(states, needed), true)
  assert.equal(after("SSWW", 2), true)
  assert.equal(after("SSWW", 3), false, "blocks cannot be read without it")
  assert.equal(after("SSW", 1), false, "no change could be decided without it")
  assert.equal(after("SSww", 2), false, "it has the metadata")
  assert.equal(after("SSS", 2), false)
})

test("devices of other nodes go on, and a database decides", () => {
  const node = (devicesElsewhere: number): JudgedStore => store("sss", 4, { devicesElsewhere, devicesDecide: false })
  assert.equal(isStalling(node(6)), false)
  assert.equal(mayGiveUp(node(6), false), true)
  assert.equal(isStalling(node(3)), true)
  assert.equal(mayGiveUp(node(3), true), false)
  assert.equal(isStalling(store("s", 1, { devicesDecide: false })), true, "the only one of a store")
})
