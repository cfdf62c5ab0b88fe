/**
 * Sweeps: a story is played once to record its calls to one device; then once for each of these calls, with a fault
 * in that call.
 *
 * After each run: no acknowledged write is lost (read in the same process, and after a power cut or a kill), no
 * bytes are wrong, every failed request was refused with a known failure, and the store's reports about itself are
 * true.
 * With several devices, writes continue without a restart, within WRITES_BACK_MS (ROOM_BACK_MS when space was short).
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { Engine } from "@hayloft/node/engine.js"
import {
  answersLate,
  CallList,
  fails,
  hangs,
  nthOf,
  tears,
  type CallKind,
  type Intercept,
} from "@hayloft/base/seams/disk/index.js"
import { audit } from "../../sim/world/audit.js"
import { World } from "../../sim/world/world.js"
import { BUCKET, shown, Story } from "./story.js"

/** With any fault of one of several devices, writes continue within this time. */
const WRITES_BACK_MS = 5_000
/** If a file system refuses a write although it reports space, the store assumes a quota, and retries after a while. */
const ROOM_BACK_MS = 120_000
const TRY_EVERY_MS = 100

export const EFFECTS = {
  EIO: () => fails("EIO"),
  ENOSPC: () => fails("ENOSPC"),
  torn: () => tears(700, "EIO"),
  hung: () => hangs(new Promise(() => undefined)),
  late: () => answersLate(new Promise(() => undefined)),
} as const satisfies Record<string, () => Intercept>
export type EffectName = keyof typeof EFFECTS

export const CALLS = {
  changes: ["write", "sync", "truncate", "create", "rename", "remove", "syncFolder", "makeFolder"],
  looks: ["open", "read", "list", "size", "exists", "space"],
} as const satisfies Record<string, readonly CallKind[]>

export interface SweepOptions {
  readonly devices: number
  /** The folder of the device whose calls fail. */
  readonly bay: string
  readonly calls: keyof typeof CALLS
  readonly effect: EffectName
  readonly ending: "crash" | "kill"
  /** The phase whose calls fail: the story, or the start after it. */
  readonly when: "story" | "start"
}

export interface Site {
  readonly nth: number
  readonly kind: CallKind
  readonly path: string
}

export const describeSite = ({ devices, bay, when, effect, ending }: SweepOptions, { nth, kind, path }: Site): string =>
  `${devices} device(s), ${effect} at call ${nth} of the ${when} on ${bay} (${kind} ${path}), then a ${ending}`

/** The scope of a sweep: every call of the first and the last device. */
export function* sweeps(
  effects: readonly EffectName[],
  counts: readonly number[] = [1, 3, 4],
): Generator<SweepOptions> {
  for (const [at, effect] of effects.entries()) {
    for (const devices of counts) {
      const ending = (at + devices) % 2 === 0 ? "crash" : "kill"
      for (const bay of new Set(["/d1", `/d${devices}`])) {
        for (const calls of ["changes", "looks"] as const) {
          // Calls that only inspect can only be refused permission.
          if (calls === "looks" && (effect === "torn" || effect === "ENOSPC")) continue
          for (const when of ["story", "start"] as const) yield { devices, bay, calls, effect, ending, when }
        }
      }
    }
  }
}

/** The calls of a story without faults, by the number of devices: the same every time. */
const lists = new Map<number, Promise<Record<SweepOptions["when"], CallList>>>()

async function callsOf(devices: number): Promise<Record<SweepOptions["when"], CallList>> {
  const known = lists.get(devices)
  if (known) return known
  const called = { story: new CallList(), start: new CallList() }
  const recording = tell(devices, "kill", called.story.intercept, called.start.intercept).then(() => called)
  lists.set(devices, recording)
  return recording
}

/** The calls to which a sweep adds a fault, in order. */
export async function sitesOf({ devices, bay, calls, when }: SweepOptions): Promise<readonly Site[]> {
  const kinds: readonly CallKind[] = CALLS[calls]
  const made = (await callsOf(devices))[when].calls
  const sites = made.filter(({ kind, path }) => kinds.includes(kind) && path.startsWith(`${bay}/`))
  return sites.map((call, i) => ({ nth: i + 1, ...call }))
}

/** Plays a story with one faulty call. Throws if the store broke a promise. */
export async function sweepOne(options: SweepOptions, nth: number): Promise<void> {
  const which = { kind: CALLS[options.calls], pathPart: `${options.bay}/`, nth }
  const fault = nthOf(which, EFFECTS[options.effect]())
  const { devices, ending } = options
  const backMs = options.effect === "ENOSPC" ? ROOM_BACK_MS : WRITES_BACK_MS
  if (options.when === "story") await tell(devices, ending, fault, undefined, backMs)
  else await tell(devices, ending, () => undefined, fault, backMs)
}

const SEED = 7

/** Plays a story and the start after it, one of them with a fault. */
async function tell(
  devices: number,
  ending: SweepOptions["ending"],
  inStory: Intercept,
  inStart: Intercept | undefined,
  backMs = WRITES_BACK_MS,
): Promise<void> {
  const world = new World({ seed: SEED, devices })
  const story = new Story(world)
  let engine = await world.run(world.start())
  await story.begin(engine)
  world.failDisk(inStory)
  await story.tell(engine)
  await story.readAll(engine, devices === 1)
  if (devices > 1) await writesContinue(story, engine, backMs)
  end(world, ending)
  world.failDisk()
  story.observer.endLife()
  engine = await (inStart ? startUnder(story, devices, ending, inStart) : world.run(world.start()))
  await story.readAll(engine)
  await audit(world, engine, BUCKET)
  if (story.wrong.length > 0) throw new Error(story.wrong.join("\n"))
  await world.run(world.stop(engine))
}

function end(world: World, ending: SweepOptions["ending"]): void {
  if (ending === "crash") world.crash()
  else world.kill()
}

/** A start may fail once with a known failure; the next one must succeed. */
async function startUnder(
  story: Story,
  devices: number,
  ending: SweepOptions["ending"],
  fault: Intercept,
): Promise<Engine> {
  const { world } = story
  world.failDisk(fault)
  const engine = await world.run(world.start()).catch((error: unknown) => {
    if (!isFailure(error, "deviceFailed", "deviceFull")) story.wrong.push(`the start ended with ${shown(error)}`)
    return undefined
  })
  if (engine) {
    await story.readAll(engine, devices === 1)
    await story.tries(engine)
  }
  end(world, ending)
  world.failDisk()
  story.observer.endLife()
  return world.run(world.start())
}

async function writesContinue(story: Story, engine: Engine, withinMs: number): Promise<void> {
  const until = story.world.clock.monotonicMs() + withinMs
  while (!(await story.tries(engine))) {
    if (story.world.clock.monotonicMs() >= until) throw new Error(`no write succeeded within ${withinMs} ms`)
    await story.world.pass(TRY_EVERY_MS)
  }
}
