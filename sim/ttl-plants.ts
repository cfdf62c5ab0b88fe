/** Planted bugs of needles that end, which tests must catch. */
import type { TestedPlant } from "./plants.js"

const DEVICE = "packages/engine/src/volume/device-volumes.ts"
const COMPACTION = "packages/engine/src/volume/device-compaction.ts"
const MOVE = "packages/engine/src/volume/survivor-move.ts"
const KEYS = "packages/engine/src/format/needles/expiring-key.ts"

const plant = (bug: string, file: string, find: string, put: string, caughtBy: string): TestedPlant => ({
  bug: `ttl: ${bug}`,
  edits: [{ file, find, put }],
  caughtBy,
})
const [MODEL, TESTS] = ["packages/engine/src/volume/device-volumes-model", "packages/engine/src/volume/device-volumes"]

export const TTL_PLANTS: readonly TestedPlant[] = [
  plant(
    "needles are removed only from the ordinary volumes",
    DEVICE,
    "await mapBounded(this.all, INSTANCES_MAX, volumes => volumes.remove(ids))",
    "await this.ordinary.remove(ids)",
    MODEL,
  ),
  plant(
    "a removal does not wait for needles that move",
    DEVICE,
    "while (keys.some(key => this.moving?.keys.has(key) === true)) await this.moving?.done",
    "await undefined",
    TESTS,
  ),
  plant("needles move while they are removed", MOVE, "isHere() && !this.device.isRemoving(key)", "isHere()", TESTS),
  plant(
    "a removal does not wait for volumes that are being made",
    DEVICE,
    "await Promise.allSettled(this.placing)",
    "await undefined",
    MODEL,
  ),
  plant(
    "the original goes before its copy is written",
    MOVE,
    "await ordinary.upkeep.copy(copies)\n",
    "void ordinary.upkeep.copy(copies)\n",
    MODEL,
  ),
  plant(
    "classes share their rows",
    KEYS,
    "String.fromCharCode(classNumber)",
    "String.fromCharCode(classNumber && 1)",
    MODEL,
  ),
  plant(
    "the volumes of classes are not opened again",
    DEVICE,
    "for (const ends of plan.existing) await volumes.make(ends)",
    "plan.existing.slice()",
    MODEL,
  ),
  plant("ends are not looked at", DEVICE, "endsAtMs !== undefined && plan.placesApart()", "endsAtMs === -1", TESTS),
  plant(
    "earlier releases are not refused",
    DEVICE,
    "await this.plan.refuseEarlier()",
    "await Promise.resolve()",
    TESTS,
  ),
  plant("volumes of a class are written for ever", DEVICE, "void volumes.upkeep.leaveVolume()", "void volumes", TESTS),
  plant(
    "live needles are copied before the time of their volume is over",
    COMPACTION,
    "mayCopy: volume => this.mayCopy(volume),",
    "mayCopy: () => true,",
    TESTS,
  ),
  plant(
    "what stays never leaves its class",
    COMPACTION,
    "return mayMove && (await this.moveSome(signal))",
    "return !mayMove && (await this.moveSome(signal))",
    TESTS,
  ),
]
